//! From file names to labels: which part and which class each picture belongs to.
//!
//! * `train/<class>/<image>` and `test/<class>/<image>`; `training`, `testing` and capitals are understood,
//!   and `val`, `valid` or `validation` stands in for `test` where there is no `test`;
//! * `<class>/<image>` without parts;
//! * `train/<class>.0001.jpg`, or such files alone in a folder, where there are no class folders;
//! * a CSV file with the columns `file` and `label`, which wins over folders.
//!
//! All of it may lie within other folders.

use std::collections::BTreeMap;

use super::error::DatasetError;
use super::label_table::{self, Row};
use super::layout::{Class, Classes, Layout, Names, Sorted, extension};
use super::names::composed;

const EXPECTED: &str = "train/<class>/0001.jpg";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Train,
    Test,
    Validation,
    /// Classes without a part above.
    Flat,
}

impl Part {
    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "test" | "testing" => Some(Self::Test),
            "val" | "valid" | "validation" => Some(Self::Validation),
            _ => None,
        }
    }
}

/// `cat` for `cat.0001.jpg`.
fn dotted(file: &str) -> Option<&str> {
    let (class, number) = file.rsplit_once('.')?.0.rsplit_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    Some(class).filter(|class| is_number && !class.is_empty())
}

/// Where a picture belongs by its path.
struct Place<'a> {
    part: Part,
    /// The folders above the part, or above the class where there is none.
    above: &'a [String],
    class: &'a str,
}

/// By the folders above, and the name in a folder without classes.
fn place(path: &[String], flat_is_dotted: bool) -> Option<Place<'_>> {
    let part = |name: &String| Part::from_name(name);
    match path {
        [above @ .., name, class, _] if part(name).is_some() => {
            Some(Place { part: part(name)?, above, class })
        }
        [above @ .., name, file] if part(name).is_some() => {
            Some(Place { part: part(name)?, above, class: dotted(file)? })
        }
        _ if path.iter().any(|name| Part::from_name(name).is_some()) => None,
        [above @ .., file] if flat_is_dotted => Some(Place { part: Part::Flat, above, class: dotted(file)? }),
        [above @ .., class, _] => Some(Place { part: Part::Flat, above, class }),
        _ => None,
    }
}

struct Parts<L> {
    place: String,
    classes: BTreeMap<Part, Classes<L>>,
    /// The folders above each part.
    above: BTreeMap<Part, Names>,
    ignored: BTreeMap<String, usize>,
}

impl<L> Layout<L> {
    /// Finds the part and the class of every picture.
    pub(super) fn sort(self) -> Result<Sorted<L>, DatasetError> {
        let rows = label_table::rows(&self.place, &self.tables)?;
        if rows.is_empty() { self.by_folder() } else { self.by_table(rows) }
    }

    fn by_folder(self) -> Result<Sorted<L>, DatasetError> {
        let Self { place: source, folders, pictures, others, .. } = self;
        let misplaced = |path: &[String]| DatasetError::Misplaced {
            file: format!("{source}/{}", path.join("/")),
            expected: EXPECTED,
        };
        let has_part = |path: &[String]| path.iter().any(|name| Part::from_name(name).is_some());
        let flat: Vec<&Names> = pictures.keys().filter(|path| !has_part(path)).collect();
        let folder_of = |path: &Names| path[..path.len() - 1].to_vec();
        let flat_is_dotted = flat
            .iter()
            .all(|path| dotted(&path[path.len() - 1]).is_some() && folder_of(path) == folder_of(flat[0]));
        let of_train =
            |path: &Names| place(path, false).filter(|at| at.part == Part::Train).map(|at| at.above.len());
        let train_depth = pictures.keys().find_map(of_train);
        let mut parts = Parts {
            place: source.clone(),
            classes: BTreeMap::new(),
            above: BTreeMap::new(),
            ignored: BTreeMap::new(),
        };
        let mut stranger = None;
        for (path, locator) in pictures {
            let Some(at) = place(&path, flat_is_dotted) else { return Err(misplaced(&path)) };
            if let (Part::Flat, Some(depth)) = (at.part, train_depth) {
                // Beside `train`, or the folders above it.
                stranger.get_or_insert_with(|| path[depth.min(path.len() - 1)].clone());
                *parts.ignored.entry("outside train and test".into()).or_default() += 1;
                continue;
            }
            let (part, above, class) = (at.part, at.above.to_vec(), composed(at.class));
            let first = parts.above.entry(part).or_insert_with(|| above.clone());
            if *first != above {
                let [one, other] = [&*first, &above].map(|above| format!("{source}/{}", above.join("/")));
                return Err(match part {
                    Part::Flat => misplaced(&path),
                    _ => DatasetError::Several { place: source, one, other },
                });
            }
            parts.put(part, class, path, locator)?;
        }
        for path in &folders {
            // Classes that may be empty.
            let (part, class) = match &path[..] {
                [.., part, class] if Part::from_name(part).is_some() => (Part::from_name(part), class),
                [above @ .., class] if parts.above.get(&Part::Flat).is_some_and(|flat| flat == above) => {
                    (Some(Part::Flat).filter(|_| !flat_is_dotted), class)
                }
                _ => continue,
            };
            if let Some(part) = part.filter(|part| parts.classes.contains_key(part) || *part == Part::Train) {
                parts.classes.entry(part).or_default().entry(composed(class)).or_default();
            }
        }
        for path in &others {
            // In a class folder only: what lies above is not meant to be a picture.
            if let Some(at) = place(path, false)
                && path.len() > 1
            {
                let file = &path[path.len() - 1];
                let classes = parts.classes.get_mut(&at.part);
                let class = classes.and_then(|classes| classes.get_mut(&composed(at.class)));
                if let Some(class) = class {
                    class.others += 1;
                    class.example.clone_from(file);
                    *parts.ignored.entry(kind(file)).or_default() += 1;
                }
            }
        }
        parts.choose(stranger)
    }

    fn by_table(self, rows: Vec<Row>) -> Result<Sorted<L>, DatasetError> {
        let Self { place: source, mut pictures, .. } = self;
        let mut parts = Parts {
            place: source.clone(),
            classes: BTreeMap::new(),
            above: BTreeMap::new(),
            ignored: BTreeMap::new(),
        };
        let mut known: BTreeMap<Names, String> = BTreeMap::new();
        let mut lost = Vec::new();
        for Row { table, line, file, label } in rows {
            if let Some(before) = known.get(&file) {
                if *before == label {
                    continue;
                }
                return Err(DatasetError::TwoLabels {
                    table,
                    line,
                    file: file.join("/"),
                    labels: [before.clone(), label],
                });
            }
            let Some(locator) = pictures.remove(&file) else {
                lost.push((table, line, file.join("/")));
                continue;
            };
            known.insert(file.clone(), label.clone());
            let of_table = table.rsplit('/').next().and_then(|name| Part::from_name(name.split('.').next()?));
            let of_folder = || file.iter().rev().skip(1).find_map(|name| Part::from_name(name));
            let part = of_table.or_else(of_folder).unwrap_or(Part::Flat);
            // One label may have files of one name in several folders.
            let class = parts.classes.entry(part).or_default().entry(composed(&label)).or_default();
            class.pictures.insert(file.join("/"), (file, locator));
        }
        if let Some((table, line, file)) = lost.first().cloned() {
            return Err(DatasetError::NotThere { table, line, file, others: lost.len() - 1 });
        }
        if !pictures.is_empty() {
            parts.ignored.insert("without a label in the CSV file".into(), pictures.len());
        }
        if parts.classes.contains_key(&Part::Train)
            && let Some(flat) = parts.classes.remove(&Part::Flat)
        {
            let count = flat.values().map(|class| class.pictures.len()).sum();
            parts.ignored.insert("outside train and test".into(), count);
        }
        parts.choose(None)
    }
}

fn kind(file: &str) -> String {
    extension(file).map_or_else(|| "without extension".into(), |found| format!(".{}", found.to_lowercase()))
}

impl<L> Parts<L> {
    fn put(&mut self, part: Part, class: String, path: Names, locator: L) -> Result<(), DatasetError> {
        let class = self.classes.entry(part).or_default().entry(class).or_default();
        let file = path[path.len() - 1].clone();
        let [one, other] = match class.pictures.insert(file, (path.clone(), locator)) {
            None => return Ok(()),
            Some((before, _)) => [before, path].map(|path| format!("{}/{}", self.place, path.join("/"))),
        };
        Err(DatasetError::Several { place: self.place.clone(), one, other })
    }

    /// Which part is which.
    fn choose(mut self, stranger: Option<String>) -> Result<Sorted<L>, DatasetError> {
        let place = self.place;
        let flat = self.classes.remove(&Part::Flat);
        let test = self.classes.remove(&Part::Test).or(self.classes.remove(&Part::Validation));
        let train = self.classes.remove(&Part::Train);
        let above = self.above.remove(if train.is_some() { &Part::Train } else { &Part::Flat });
        let (train, test) = match (train, test, flat) {
            (Some(train), Some(test), _) => (train, Some(test)),
            (Some(train), None, _) => match stranger {
                Some(stranger) => return Err(DatasetError::NoTest { place, stranger }),
                None => (train, None),
            },
            (None, Some(_), _) => return Err(DatasetError::NoTrain { place }),
            (None, None, Some(flat)) => (flat, None),
            (None, None, None) => return Err(DatasetError::NoImages { place, hint: String::new() }),
        };
        if !(2..=usize::from(u16::MAX) + 1).contains(&train.len()) {
            return Err(DatasetError::Classes { place, found: train.len() });
        }
        check_filled(&place, &train)?;
        if let Some(test) = &test {
            if let Some(class) = test.keys().find(|class| !train.contains_key(*class)) {
                let known = listing(train.keys());
                return Err(DatasetError::UnknownClass { place, class: class.clone(), known });
            }
            if let Some(class) = train.keys().find(|class| !test.contains_key(*class)) {
                let (class, hint) = (class.clone(), " in the test part".to_owned());
                return Err(DatasetError::EmptyClass { place, class, hint });
            }
            check_filled(&format!("{place}/test"), test)?;
        }
        let inside = above.filter(|above| !above.is_empty()).map(|above| above.join("/"));
        Ok(Sorted { place, train, test, ignored: self.ignored, inside })
    }
}

fn listing<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    let shown = names.take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    if count > 12 { format!("{shown}, ... ({count} classes)") } else { shown }
}

fn check_filled<L>(place: &str, classes: &Classes<L>) -> Result<(), DatasetError> {
    let Some((name, class)) = classes.iter().find(|(_, class)| class.pictures.is_empty()) else {
        return Ok(());
    };
    let Class { others, example, .. } = class;
    let hint = match others {
        0 => String::new(),
        1 => format!(" (only `{example}`)"),
        others => format!(" ({others} other files, such as `{example}`)"),
    };
    Err(DatasetError::EmptyClass { place: place.to_owned(), class: name.clone(), hint })
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Arranged, Labelled, content};
    use super::*;

    /// The locator of a file is its name: its content, too.
    fn sort(files: &[&str], table: Option<(&str, &str)>) -> Result<Sorted<String>, DatasetError> {
        let mut layout = Layout::new("set".to_owned());
        for file in files {
            let path: Vec<&str> = file.split('/').collect();
            (1..path.len()).for_each(|depth| layout.folder(&path[..depth]));
            layout.file(&path, (*file).to_owned());
        }
        if let Some((name, text)) = table {
            layout.table(&name.split('/').collect::<Vec<_>>(), text.into());
        }
        layout.sort()
    }

    fn arrange(files: &[&str]) -> Result<Arranged<String>, DatasetError> {
        sort(files, None)?.arrange(|name| content(name.as_bytes()))
    }

    fn names(labelled: &[Labelled<String>]) -> Vec<(&str, u16)> {
        labelled.iter().map(|one| (one.locator.as_str(), one.label)).collect()
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
        assert_eq!(sort(&files, None).unwrap().inside.as_deref(), Some("top"));
        let arranged = arrange(&files).unwrap();
        assert_eq!(arranged.classes, ["cat", "dog"]);
        assert_eq!(arranged.train[0].name, "set/top/train/cat/1.png");
        assert_eq!(
            names(&arranged.train),
            [
                ("top/train/cat/1.png", 0),
                ("top/train/dog/a.JPG", 1),
                ("top/train/cat/2.jpeg", 0),
                ("top/train/dog/b.jpg", 1),
                ("top/train/cat/3.jpg", 0)
            ]
        );
        assert_eq!(names(&arranged.test), [("top/test/cat/1.png", 0), ("top/test/dog/1.png", 1)]);
        assert!(!arranged.invented_test);
        assert_eq!(arranged.ignored.into_iter().collect::<Vec<_>>(), [(".txt".to_owned(), 1)]);
    }

    #[test]
    fn without_a_test_part_a_fifth_is_set_aside_by_content() {
        let files: Vec<String> = (0..50).map(|n| format!("{}/{n}.png", ["a", "b"][n % 2])).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        // Five copies of each picture have one content.
        let copied = |name: &String| {
            let number: u64 = name.rsplit(['/', '.']).nth(1).unwrap().parse().unwrap();
            content(&(number / 10).to_le_bytes())
        };
        let arranged = sort(&files, None).unwrap().arrange(copied).unwrap();
        assert!(arranged.invented_test);
        assert_eq!((arranged.train.len(), arranged.test.len()), (40, 10));
        let contents = |part: &[Labelled<String>]| -> std::collections::BTreeSet<u64> {
            part.iter().map(|one| copied(&one.locator)).collect()
        };
        assert!(contents(&arranged.train).is_disjoint(&contents(&arranged.test)));
        // Other names and places, the same contents: the same fifth.
        let moved: Vec<String> = files.iter().rev().map(|file| format!("x/train/{file}")).collect();
        let moved: Vec<&str> = moved.iter().map(String::as_str).collect();
        let again = sort(&moved, None).unwrap().arrange(copied).unwrap();
        assert_eq!(contents(&again.test), contents(&arranged.test));
    }

    #[test]
    fn parts_have_many_names() {
        for (train, test) in
            [("train", "val"), ("Train", "Test"), ("Training", "Testing"), ("TRAIN", "valid")]
        {
            let files = [("a", train, 1), ("b", train, 1), ("a", test, 2), ("b", test, 2)];
            let files = files.map(|(class, part, number)| format!("{part}/{class}/{number}.png"));
            let arranged = arrange(&files.each_ref().map(String::as_str)).unwrap();
            assert_eq!((arranged.classes.len(), arranged.test.len()), (2, 2), "{test}");
        }
    }

    #[test]
    fn names_tell_classes_where_folders_do_not() {
        let files =
            ["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "test/cat.7.jpg", "test/dog.8.jpg"];
        let arranged = arrange(&files).unwrap();
        assert_eq!(arranged.classes, ["cat", "dog"]);
        assert_eq!((arranged.train.len(), arranged.test.len()), (3, 2));
        let arranged =
            arrange(&["all/cat.0.jpg", "all/cat.1.jpg", "all/dog.0.jpg", "all/dog.1.jpg"]).unwrap();
        assert_eq!((arranged.classes.len(), arranged.train.len(), arranged.test.len()), (2, 2, 2));
        // In class folders such names are names.
        assert_eq!(
            arrange(&["a/x.0.jpg", "a/y.1.jpg", "b/x.0.jpg", "b/y.1.jpg"]).unwrap().classes,
            ["a", "b"]
        );
    }

    #[test]
    fn a_table_tells_classes() {
        let files = ["img/1.jpg", "img/2.jpg", "img/3.jpg", "img/4.jpg", "img/5.jpg"];
        let table =
            "file,label\nimg/1.jpg,cat\nimg/2.jpg,cat\r\n./img/3.jpg,\"dog, wet\"\nimg/4.jpg,\"dog, wet\"\n";
        let sorted = sort(&files, Some(("labels.csv", table))).unwrap();
        assert_eq!(sorted.ignored["without a label in the CSV file"], 1);
        assert_eq!(sorted.train.keys().collect::<Vec<_>>(), ["cat", "dog, wet"]);
        assert_eq!((sorted.test.is_none(), sorted.locators().count()), (true, 4));
        let split = ["train/1.jpg", "train/2.jpg", "test/1.jpg", "test/2.jpg"];
        let rows = split.map(|file| format!("{},{file}\n", if file.ends_with("1.jpg") { "a" } else { "b" }));
        let sorted = sort(&split, Some(("labels.csv", &format!("label,path\n{}", rows.concat())))).unwrap();
        assert_eq!((sorted.train.len(), sorted.test.map(|test| test.len())), (2, Some(2)));
        let says = |table: &str| sort(&files, Some(("labels.csv", table))).unwrap_err().to_string();
        let lost = says("file,label\nimg/1.jpg,a\nimg/9.jpg,b\n");
        assert!(lost.starts_with("set/labels.csv, line 3: `img/9.jpg` is not there"), "{lost}");
        let torn = says("file,label\nimg/1.jpg,a\nimg/1.jpg,b\n");
        assert!(torn.contains("line 3") && torn.contains("`a`") && torn.contains("`b`"), "{torn}");
        let short = says("file,label\nimg/1.jpg\n");
        assert!(short.starts_with("set/labels.csv, line 2: 1 column"), "{short}");
    }

    #[test]
    fn says_what_is_wrong() {
        let cases: [(&[&str], &str); 12] = [
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
            (&["train/1.png"], "set/train/1.png: misplaced image"),
            (&["train/a/b/1.png"], "set/train/a/b/1.png: misplaced image"),
            (&["a/1.png", "x/b/1.png"], "set/x/b/1.png: misplaced image"),
            (
                &["a/1.png", "b/1.png"],
                "set/a: no .jpg, .png, .webp, .bmp, .gif or .tif image left to test with",
            ),
            (
                &["train/a/1.png", "train/b/1.png", "tset/a/1.png"],
                "set: there is a `tset` folder but no `test`",
            ),
            (
                &["v1/train/a/1.png", "v2/train/a/1.png"],
                "set: more than one data set, set/v1 and set/v2; give the path of one",
            ),
            (
                &["Train/a/1.png", "train/a/1.png"],
                "set: more than one data set, set/Train/a/1.png and set/train/a/1.png",
            ),
        ];
        for (files, message) in cases {
            let error = arrange(files).unwrap_err().to_string();
            assert!(error.starts_with(message), "{files:?}: {error}");
        }
        assert!(arrange(&["test/a/1.png"]).unwrap_err().to_string().contains("no `train`"));
    }
}
