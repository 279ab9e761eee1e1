//! A look at all pictures of a data set that does not stop at the first broken one.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};

use goldcrest_engine::shape::Shape;
use rayon::prelude::*;

use super::alike::{self, Likeness, Painter};
use super::archive::{Archive, Contents};
use super::decode::{self, Bytes, Seen};
use super::findings::{Findings, is_constant};
use super::layout::{Arranged, Labelled};
use super::{Dataset, DatasetError, Options, Spec, Split, cifar_binary, download, folder, name_of};
use crate::progress::Images;

/// Near twins across the parts spoil a result where they are one of so many test pictures: less moves an
/// accuracy by less than a point.
const FEW: usize = 100;
/// A class is rare where the largest has so many times its training images.
const RARE: usize = 10;

/// What is in a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// The data set's name.
    pub name: String,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Pictures of each class for training and for testing, broken ones included.
    pub counts: [Vec<usize>; 2],
    /// Whether the test pictures are a fifth of a source without a test part.
    pub invented_test: bool,
    /// Sizes, colours, and files that are not read.
    pub findings: Findings,
    /// Pictures that cannot be decoded, each with the reason.
    pub broken: Vec<(String, String)>,
    /// Pictures with one value everywhere, or nearly.
    pub constant: Vec<String>,
    /// Pictures with the same pixels: groups of two or more.
    pub copies: Vec<Copies>,
    /// Pictures that look like another one, copies left out.
    pub near: Vec<Near>,
}

/// A picture that looks like another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The picture.
    pub picture: String,
    /// The one that is most like it: of the training pictures for a test picture that has one there, else an
    /// earlier one of the same part.
    pub twin: String,
    /// Whether one is to train on and the other to test with.
    pub is_across: bool,
    /// Whether they belong to one class.
    pub agree: bool,
}

/// Pictures with the same pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Their names.
    pub pictures: Vec<String>,
    /// How many of them are test pictures.
    pub tests: usize,
    /// Whether they belong to one class.
    pub agree: bool,
}

impl Copies {
    /// Whether there are such pictures to train on and to test with.
    pub fn are_across(&self) -> bool {
        self.tests > 0 && self.tests < self.pictures.len()
    }
}

/// One picture that was looked at.
struct Look {
    shape: Shape,
    sum: u64,
    is_constant: bool,
    seen: Option<Seen>,
    likeness: Option<Likeness>,
}

impl Look {
    fn at(painter: &Painter, shape: Shape, pixels: &[u8], seen: Option<Seen>) -> Self {
        let mut hasher = DefaultHasher::new();
        pixels.hash(&mut hasher);
        let likeness = painter.paint(shape, pixels);
        Self { shape, sum: hasher.finish(), is_constant: is_constant(pixels), seen, likeness }
    }
}

impl Inspection {
    /// Looks at every picture of a data set, at the size it has.
    ///
    /// # Errors
    /// [`DatasetError`] where the source cannot be read or its layout is not understood.
    pub fn of(spec: &Spec, options: &Options) -> Result<Self, DatasetError> {
        let path = match spec {
            Spec::Glyphs { .. } => return Ok(Self::of_images(&Dataset::open(spec, options)?)),
            Spec::Cifar10 => download::fetch(&download::cifar10(), options)?,
            Spec::Path(path) => path.clone(),
        };
        let name = name_of(&path);
        if fs::metadata(&path).map_err(DatasetError::io(&path))?.is_dir() {
            if cifar_binary::read_folder(&path)?.is_some() {
                return Ok(Self::of_images(&Dataset::open(&Spec::Path(path), options)?));
            }
            return Ok(Self::of_files(
                name,
                &folder::layout(&path)?.sort()?.arrange(decode::content)?,
                options,
            ));
        }
        let archive = Archive::read(&path, options.memory_limit)?;
        match archive.contents() {
            Contents::Cifar(_) => Ok(Self::of_images(&Dataset::open(&Spec::Path(path), options)?)),
            Contents::Pictures(layout) => {
                Ok(Self::of_files(name, &layout.sort()?.arrange(decode::content)?, options))
            }
        }
    }

    fn of_files<L: Bytes>(name: String, arranged: &Arranged<L>, options: &Options) -> Self {
        let all: Vec<(&Labelled<L>, bool)> = arranged
            .train
            .iter()
            .map(|one| (one, false))
            .chain(arranged.test.iter().map(|one| (one, true)))
            .collect();
        let progress = Images::begin(options.progress, "looking", all.len());
        let looks: Vec<Result<Look, DatasetError>> = all
            .par_iter()
            .map_init(Painter::new, |painter, (one, _)| {
                progress.one();
                let decoded = decode::labelled(one, options.preprocessing.background)?;
                Ok(Look::at(painter, decoded.shape, &decoded.pixels, Some(decoded.seen)))
            })
            .collect();
        drop(progress);
        let mut inspection = Self {
            name,
            classes: arranged.classes.clone(),
            invented_test: arranged.invented_test,
            findings: Findings { ignored: arranged.ignored.clone(), ..Findings::default() },
            ..Self::default()
        };
        let pictures = all.iter().map(|&(one, is_test)| (one.name.clone(), one.label, is_test));
        inspection.gather(pictures.zip(looks));
        inspection
    }

    fn of_images(dataset: &Dataset) -> Self {
        let mut inspection =
            Self { name: dataset.name.clone(), classes: dataset.classes.clone(), ..Self::default() };
        let look = |split: &Split| -> Vec<_> {
            let look =
                |painter: &mut Painter, index| Ok(Look::at(painter, split.shape(), split.image(index), None));
            (0..split.len()).into_par_iter().map_init(Painter::new, look).collect()
        };
        let named = |part: &'static str, split: &Split, is_test| -> Vec<_> {
            let name = |index| (format!("{part} image {index}"), split.label(index) as u16, is_test);
            (0..split.len()).map(name).collect()
        };
        let (train, test) = (&dataset.train, &dataset.test);
        let pictures = named("training", train, false).into_iter().chain(named("test", test, true));
        inspection.gather(pictures.zip(look(train).into_iter().chain(look(test))));
        inspection
    }

    fn gather(&mut self, pictures: impl Iterator<Item = ((String, u16, bool), Result<Look, DatasetError>)>) {
        self.counts = [vec![0; self.classes.len()], vec![0; self.classes.len()]];
        let mut groups: HashMap<(Shape, u64), Vec<(String, u16, bool)>> = HashMap::new();
        let mut order = Vec::new();
        let mut likenesses = Vec::new();
        for ((name, label, is_test), look) in pictures {
            if let Some(count) = self.counts[usize::from(is_test)].get_mut(usize::from(label)) {
                *count += 1;
            }
            let look = match look {
                Ok(look) => look,
                Err(error) => {
                    let reason = match error {
                        DatasetError::Broken { reason, .. } => reason,
                        other => other.to_string(),
                    };
                    self.broken.push((name, reason));
                    continue;
                }
            };
            if let Some(seen) = look.seen {
                seen.note(&name, &mut self.findings);
            } else {
                self.findings.size([look.shape.height, look.shape.width]);
            }
            if look.is_constant {
                self.constant.push(name.clone());
            }
            if let Some(likeness) = look.likeness {
                likenesses.push(((name.clone(), label, is_test), (look.shape, look.sum), likeness));
            }
            let group = groups.entry((look.shape, look.sum)).or_default();
            if group.len() == 1 {
                order.push((look.shape, look.sum));
            }
            group.push((name, label, is_test));
        }
        self.findings.constant = self.constant.len();
        let of_part = |wanted: bool| -> Vec<(usize, &Likeness)> {
            let all = likenesses.iter().enumerate();
            all.filter(|(_, one)| one.0.2 == wanted).map(|(index, (.., one))| (index, one)).collect()
        };
        let (train, test) = (of_part(false), of_part(true));
        let is_other = |one: usize, other: usize| likenesses[one].1 != likenesses[other].1;
        let across = alike::across(&test, &train, is_other);
        let within = |part: &[(usize, &Likeness)]| alike::within(part, is_other);
        let near = |&(one, other): &(usize, usize), is_across| {
            let ((picture, label, _), (twin, other_label, _)) = (&likenesses[one].0, &likenesses[other].0);
            Near { picture: picture.clone(), twin: twin.clone(), is_across, agree: label == other_label }
        };
        self.near = across.iter().map(|pair| near(pair, true)).collect();
        self.near.extend(within(&train).iter().map(|pair| near(pair, false)));
        self.near.extend(within(&test).iter().map(|pair| near(pair, false)));
        self.copies = order
            .into_iter()
            .filter_map(|key| groups.remove(&key))
            .map(|group| Copies {
                tests: group.iter().filter(|(_, _, is_test)| *is_test).count(),
                agree: group.iter().all(|(_, label, _)| *label == group[0].1),
                pictures: group.into_iter().map(|(name, ..)| name).collect(),
            })
            .collect();
    }

    /// What would spoil a training or its result, each as a sentence.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some((name, reason)) = self.broken.first() {
            let broken = counted(self.broken.len(), "broken picture", "broken pictures");
            problems.push(format!("{broken}, such as {name}: {reason}"));
        }
        let across: Vec<&Copies> = self.copies.iter().filter(|copies| copies.are_across()).collect();
        if let Some(first) = across.first() {
            let tests: usize = across.iter().map(|copies| copies.tests).sum();
            problems.push(format!(
                "{} ({}), so the accuracy says too little of new pictures",
                counted(
                    tests,
                    "test picture is a copy of a training picture",
                    "test pictures are copies of training pictures"
                ),
                listed(&first.pictures)
            ));
        }
        if let Some(sentence) = self.near_across().filter(|_| self.near_count(true) * FEW >= self.tests()) {
            problems.push(sentence);
        }
        let mut torn = self.copies.iter().filter(|copies| !copies.agree);
        if let Some(first) = torn.next() {
            let many = "pictures are in more than one class";
            let count = counted(1 + torn.count(), "picture is in more than one class", many);
            problems.push(format!("{count}: {}", listed(&first.pictures)));
        }
        let all: usize = self.counts.iter().flatten().sum();
        if self.constant.len() * RARE >= all.max(1) {
            problems.push(format!("{} of {all} pictures have one value everywhere", self.constant.len()));
        }
        if self.findings.dark.count > 0 {
            problems.push(format!(
                "{} pictures of 16 bits hold only values below 256 of 65536, such as {}; store them as 8 \
                 bits",
                self.findings.dark.count, self.findings.dark.example
            ));
        }
        for (name, count) in self.classes.iter().zip(&self.counts[1]) {
            if *count == 0 {
                problems.push(format!("the class {name} has no test picture"));
            }
        }
        problems
    }

    fn tests(&self) -> usize {
        self.counts[1].iter().sum()
    }

    /// Pictures with a near twin, across the parts or within one.
    pub fn near_count(&self, is_across: bool) -> usize {
        self.near.iter().filter(|near| near.is_across == is_across).count()
    }

    fn near_across(&self) -> Option<String> {
        let first = self.near.iter().find(|near| near.is_across)?;
        Some(format!(
            "{} of {} test pictures look like a training picture, such as {} like {}; the accuracy on them \
             says little of new ones",
            self.near_count(true),
            self.tests(),
            first.picture,
            first.twin
        ))
    }

    /// What is worth a thought, each as a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let within: usize = self
            .copies
            .iter()
            .filter(|copies| !copies.are_across())
            .map(|copies| copies.pictures.len() - 1)
            .sum();
        if within > 0 {
            let many = "pictures are copies of others in the same part";
            warnings.push(counted(within, "picture is a copy of another in the same part", many));
        }
        if let Some(sentence) = self.near_across().filter(|_| self.near_count(true) * FEW < self.tests()) {
            warnings.push(sentence);
        }
        if let Some(first) = self.near.iter().find(|near| !near.is_across) {
            warnings.push(format!(
                "{} pictures look like another one of the same part, such as {} like {}",
                self.near_count(false),
                first.picture,
                first.twin
            ));
        }
        let train = &self.counts[0];
        let (most, least) =
            (train.iter().max().copied().unwrap_or(0), train.iter().min().copied().unwrap_or(0));
        if most >= RARE * least.max(1) {
            warnings.push(format!(
                "classes have {least} to {most} training pictures; accuracy then says little of the rare ones"
            ));
        }
        let all: usize = self.counts.iter().flatten().sum();
        if !self.constant.is_empty() && self.constant.len() * RARE < all {
            warnings.push(format!(
                "{} of {all} pictures have one value everywhere, such as {}",
                self.constant.len(),
                self.constant[0]
            ));
        }
        if self.findings.coloured.count > 0 && self.findings.gray.count > 0 {
            warnings.push(format!(
                "{} pictures are coloured (such as {}), {} are gray (such as {})",
                self.findings.coloured.count,
                self.findings.coloured.example,
                self.findings.gray.count,
                self.findings.gray.example
            ));
        }
        if self.findings.transparent.count > 0 {
            warnings.push(format!(
                "{} pictures have transparent pixels, such as {}",
                self.findings.transparent.count, self.findings.transparent.example
            ));
        }
        if self.findings.ignored.values().any(|&count| count > 0) {
            let kinds = self.findings.ignored.iter().map(|(kind, count)| format!("{count} {kind}"));
            warnings.push(format!(
                "files in class folders that are not read: {}",
                kinds.collect::<Vec<_>>().join(", ")
            ));
        }
        warnings
    }
}
/// `1 picture`, `2 pictures`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The first of some pictures, for a message.
fn listed(pictures: &[String]) -> String {
    let shown = pictures.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
    match pictures.len().saturating_sub(4) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
