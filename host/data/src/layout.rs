//! From file names to labels: which part and which class each picture belongs to.
//!
//! Folders and archives fill the same [`Layout`], so they obey the same rules:
//!
//! * `train/<class>/<image>` and `test/<class>/<image>`; `val`, `valid` or `validation` stands in
//!   for `test` where there is no `test`;
//! * without a test part, or with plain `<class>/<image>`, one fifth of each class becomes the test
//!   part. Which fifth depends on the file names only, never on a seed, so a model never meets its
//!   training images when it is tested later;
//! * classes are sorted by name, the files of a class too, and the classes take turns.

use std::collections::BTreeMap;

use super::error::DatasetError;

/// The file extensions of pictures, in lower case.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// One of this many images goes to the test part when the source has none.
const TEST_SHARE: usize = 5;

const EXPECTED: &str = "train/<class>/0001.jpg";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Test,
    Validation,
    /// Class folders without a part above.
    Flat,
}

impl Part {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "train" => Some(Self::Train),
            "test" => Some(Self::Test),
            "val" | "valid" | "validation" => Some(Self::Validation),
            _ => None,
        }
    }
}

/// Hidden files and what macOS adds to archives.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

pub(super) fn is_picture(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// The files of one class; `L` says where the bytes of a file are.
#[derive(Debug)]
struct Class<L> {
    pictures: BTreeMap<String, L>,
    /// Files that are no pictures: how many, and one of them.
    others: usize,
    example: String,
}

impl<L> Default for Class<L> {
    fn default() -> Self {
        Self { pictures: BTreeMap::new(), others: 0, example: String::new() }
    }
}

impl<L> Class<L> {
    fn hint(&self) -> String {
        match self.others {
            0 => String::new(),
            1 => format!(" (only `{}`)", self.example),
            others => format!(" ({others} other files, such as `{}`)", self.example),
        }
    }
}

type Classes<L> = BTreeMap<String, Class<L>>;

/// What a folder or an archive holds.
#[derive(Debug)]
pub(super) struct Layout<L> {
    place: String,
    parts: BTreeMap<Part, Classes<L>>,
    /// The folders above `<class>/<image>` where there is no part.
    flat_prefix: Option<String>,
    /// A folder that is no known part.
    stranger: Option<String>,
    /// Files in class folders that are no pictures, by extension.
    ignored: BTreeMap<String, usize>,
}

/// One labelled picture.
#[derive(Debug)]
pub(super) struct Labelled<L> {
    /// For messages.
    pub name: String,
    pub label: u16,
    pub locator: L,
}

/// Pictures with labels, in their final order.
#[derive(Debug)]
pub(super) struct Arranged<L> {
    pub classes: Vec<String>,
    pub train: Vec<Labelled<L>>,
    pub test: Vec<Labelled<L>>,
    /// The source has no test part: a fifth of its images was set aside.
    pub invented_test: bool,
    /// Files in class folders that are no pictures, by extension.
    pub ignored: BTreeMap<String, usize>,
}

impl<L> Layout<L> {
    pub(super) fn new(place: String) -> Self {
        Self { place, parts: BTreeMap::new(), flat_prefix: None, stranger: None, ignored: BTreeMap::new() }
    }

    /// Notes a class folder, empty or not.
    pub(super) fn class(&mut self, part: Part, class: &str) {
        self.parts.entry(part).or_default().entry(class.to_owned()).or_default();
    }

    /// Notes a folder beside the parts.
    pub(super) fn stranger(&mut self, name: &str) {
        self.stranger.get_or_insert_with(|| name.to_owned());
    }

    /// Notes a file by the folders above it; those above `train` or `test` do not matter.
    pub(super) fn file(&mut self, path: &[&str], locator: L) -> Result<(), DatasetError> {
        if path.iter().any(|name| is_hidden(name)) {
            return Ok(());
        }
        let misplaced = || Err(DatasetError::Misplaced { file: path.join("/"), expected: EXPECTED });
        let (part, class, file) = match path {
            [.., part, class, file] if Part::from_name(part).is_some() => {
                (Part::from_name(part).unwrap_or(Part::Flat), *class, *file)
            }
            [.., file] if !is_picture(file) => {
                // In a class folder only: what lies above is not meant to be a picture.
                if path.len() > 1 {
                    self.ignore(file);
                }
                return Ok(());
            }
            [prefix @ .., class, file] if !path.iter().any(|name| Part::from_name(name).is_some()) => {
                let prefix = prefix.join("/");
                if *self.flat_prefix.get_or_insert_with(|| prefix.clone()) != prefix {
                    return misplaced();
                }
                (Part::Flat, *class, *file)
            }
            _ => return misplaced(),
        };
        let entry = self.parts.entry(part).or_default().entry(class.to_owned()).or_default();
        if is_picture(file) {
            entry.pictures.insert(file.to_owned(), locator);
        } else {
            entry.others += 1;
            file.clone_into(&mut entry.example);
            self.ignore(file);
        }
        Ok(())
    }

    fn ignore(&mut self, file: &str) {
        let kind = match file.rsplit_once('.') {
            Some((_, extension)) => format!(".{}", extension.to_lowercase()),
            None => "without extension".to_owned(),
        };
        *self.ignored.entry(kind).or_default() += 1;
    }

    /// The same layout with other locators.
    pub(super) fn map<'a, M>(&'a self, locate: impl Fn(&'a L) -> M) -> Layout<M> {
        let class = |class: &'a Class<L>| Class {
            pictures: class.pictures.iter().map(|(name, at)| (name.clone(), locate(at))).collect(),
            others: class.others,
            example: class.example.clone(),
        };
        let classes = |classes: &'a Classes<L>| {
            classes.iter().map(|(name, files)| (name.clone(), class(files))).collect()
        };
        Layout {
            place: self.place.clone(),
            parts: self.parts.iter().map(|(&part, found)| (part, classes(found))).collect(),
            flat_prefix: self.flat_prefix.clone(),
            stranger: self.stranger.clone(),
            ignored: self.ignored.clone(),
        }
    }

    /// Gives every picture its label and its place in the order.
    pub(super) fn arrange(mut self) -> Result<Arranged<L>, DatasetError> {
        let (place, ignored) = (self.place, self.ignored);
        let flat = self.parts.remove(&Part::Flat);
        let test = self.parts.remove(&Part::Test).or(self.parts.remove(&Part::Validation));
        let stranger = self.stranger.or(flat.as_ref().and(self.flat_prefix));
        let (train, test) = match (self.parts.remove(&Part::Train), test, flat) {
            (Some(train), Some(test), _) => (train, Some(test)),
            (Some(train), None, _) => match stranger {
                Some(stranger) => {
                    return Err(DatasetError::NoTest { place, stranger });
                }
                None => (train, None),
            },
            (None, Some(_), _) => return Err(DatasetError::NoTrain { place }),
            (None, None, Some(flat)) => (flat, None),
            (None, None, None) => return Err(DatasetError::NoImages { place, hint: String::new() }),
        };
        let names: Vec<String> = train.keys().cloned().collect();
        if !(2..=usize::from(u16::MAX) + 1).contains(&names.len()) {
            return Err(DatasetError::Classes { place, found: names.len() });
        }
        check_filled(&place, &train)?;
        match test {
            Some(test) => {
                if let Some(class) = test.keys().find(|class| !train.contains_key(*class)) {
                    let class = class.clone();
                    return Err(DatasetError::UnknownClass { place, class, known: listing(&names) });
                }
                let test_place = format!("{place}/test");
                if let Some(class) = names.iter().find(|class| !test.contains_key(*class)) {
                    let (class, hint) = (class.clone(), " in the test part".to_owned());
                    return Err(DatasetError::EmptyClass { place, class, hint });
                }
                check_filled(&test_place, &test)?;
                let (train, test) = (take_turns("train/", train), take_turns("test/", test));
                Ok(Arranged { classes: names, train, test, invented_test: false, ignored })
            }
            None => {
                let (train, test) = set_aside(&place, train)?;
                let (train, test) = (take_turns("", train), take_turns("", test));
                Ok(Arranged { classes: names, train, test, invented_test: true, ignored })
            }
        }
    }
}

fn listing(names: &[String]) -> String {
    let shown = names.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 12 { format!("{shown}, ... ({} classes)", names.len()) } else { shown }
}

fn check_filled<L>(place: &str, classes: &Classes<L>) -> Result<(), DatasetError> {
    match classes.iter().find(|(_, class)| class.pictures.is_empty()) {
        None => Ok(()),
        Some((name, class)) => {
            Err(DatasetError::EmptyClass { place: place.to_owned(), class: name.clone(), hint: class.hint() })
        }
    }
}

/// Moves a fifth of every class, chosen by the hash of the file names, to the test part.
fn set_aside<L>(place: &str, classes: Classes<L>) -> Result<(Classes<L>, Classes<L>), DatasetError> {
    let (mut train, mut test) = (Classes::new(), Classes::new());
    for (name, class) in classes {
        if class.pictures.len() < 2 {
            return Err(DatasetError::EmptyClass {
                place: place.to_owned(),
                class: name,
                hint: " left to test with (it has one, and without a test folder a fifth is set aside)"
                    .to_owned(),
            });
        }
        let mut pictures: Vec<(String, L)> = class.pictures.into_iter().collect();
        pictures.sort_by_cached_key(|(file, _)| hash(file));
        let kept = pictures.split_off((pictures.len() / TEST_SHARE).max(1));
        let filled = |pictures: Vec<(String, L)>| Class {
            pictures: pictures.into_iter().collect(),
            ..Class::default()
        };
        test.insert(name.clone(), filled(pictures));
        train.insert(name, filled(kept));
    }
    Ok((train, test))
}

/// FNV-1a with a final mix: stable for all time, unlike the standard library's hasher.
fn hash(text: &str) -> u64 {
    let folded = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    super::random::Random::new(folded).bits()
}

/// The first file of every class, then the second of every class, and so on.
fn take_turns<L>(part: &str, classes: Classes<L>) -> Vec<Labelled<L>> {
    let mut turns: Vec<(usize, Labelled<L>)> = Vec::new();
    for (label, (class, files)) in classes.into_iter().enumerate() {
        for (turn, (file, locator)) in files.pictures.into_iter().enumerate() {
            let name = format!("{part}{class}/{file}");
            turns.push((turn, Labelled { name, label: label as u16, locator }));
        }
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, labelled)| labelled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrange(files: &[&str]) -> Result<Arranged<()>, DatasetError> {
        let mut layout = Layout::new("set".to_owned());
        for file in files {
            layout.file(&file.split('/').collect::<Vec<_>>(), ())?;
        }
        layout.arrange()
    }

    fn names(labelled: &[Labelled<()>]) -> Vec<(&str, u16)> {
        labelled.iter().map(|one| (one.name.as_str(), one.label)).collect()
    }

    #[test]
    fn classes_are_sorted_and_take_turns() {
        let files = [
            "top/train/dog/b.jpg",
            "top/train/dog/a.JPG",
            "top/train/cat/1.png",
            "top/train/cat/2.jpeg",
            "top/train/cat/3.jpg",
            "top/train/cat/notes.txt",
            "top/train/.DS_Store",
            "__MACOSX/train/owl/1.jpg",
            "top/test/cat/1.png",
            "top/test/dog/1.png",
            "top/readme.md",
        ];
        let arranged = arrange(&files).unwrap();
        assert_eq!(arranged.classes, ["cat", "dog"]);
        assert_eq!(
            names(&arranged.train),
            [
                ("train/cat/1.png", 0),
                ("train/dog/a.JPG", 1),
                ("train/cat/2.jpeg", 0),
                ("train/dog/b.jpg", 1),
                ("train/cat/3.jpg", 0)
            ]
        );
        assert_eq!(names(&arranged.test), [("test/cat/1.png", 0), ("test/dog/1.png", 1)]);
        assert!(!arranged.invented_test);
    }

    #[test]
    fn without_a_test_part_the_same_fifth_is_set_aside() {
        let files: Vec<String> = (0..50).map(|n| format!("{}/{n}.png", ["a", "b"][n % 2])).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let first = arrange(&files).unwrap();
        assert!(first.invented_test);
        assert_eq!((first.train.len(), first.test.len()), (40, 10));
        let under_train: Vec<String> = files.iter().rev().map(|file| format!("x/train/{file}")).collect();
        let again = arrange(&under_train.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(names(&first.test), names(&again.test));
        let picked = names(&first.test);
        assert!(names(&first.train).iter().all(|one| !picked.contains(one)));
    }

    #[test]
    fn validation_stands_in_for_test() {
        let files = ["train/a/1.png", "train/b/1.png", "val/a/2.png", "val/b/2.png"];
        assert_eq!(arrange(&files).unwrap().test.len(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        let cases: [(&[&str], &str); 10] = [
            (&["readme.md"], "set: no images found; expected train/<class>/*.jpg"),
            (&["train/a/1.png", "test/a/1.png"], "set: found 1 class folder(s)"),
            (
                &["train/a/1.png", "train/b/x.heic", "test/a/1.png"],
                "set/b: no .jpg, .png, .webp, .bmp, .gif or .tif image (only `x.heic`)",
            ),
            (
                &["train/a/1.png", "train/b/1.png", "test/a/1.png"],
                "set/b: no .jpg, .png, .webp, .bmp, .gif or .tif image in the test part",
            ),
            (
                &["train/a/1.png", "train/b/1.png", "test/c/1.png"],
                "set/test/c: this class has no folder in set/train, which has a, b",
            ),
            (&["train/1.png"], "train/1.png: misplaced image"),
            (&["train/a/b/1.png"], "train/a/b/1.png: misplaced image"),
            (&["a/1.png", "x/b/1.png"], "x/b/1.png: misplaced image"),
            (
                &["a/1.png", "b/1.png"],
                "set/a: no .jpg, .png, .webp, .bmp, .gif or .tif image left to test with",
            ),
            (
                &["train/a/1.png", "train/b/1.png", "tset/a/1.png"],
                "set: there is a `tset` folder but no `test`",
            ),
        ];
        for (files, message) in cases {
            let error = arrange(files).unwrap_err().to_string();
            assert!(error.starts_with(message), "{files:?}: {error}");
        }
        assert!(arrange(&["test/a/1.png"]).unwrap_err().to_string().contains("no `train`"));
    }
}
