//! What a folder or an archive holds, and its pictures in their final order.
//!
//! Folders and archives fill the same [`Layout`], so they obey the same rules, which [`super::sort`] applies.

use std::collections::{BTreeMap, BTreeSet};

use super::error::DatasetError;

/// The file extensions of pictures, in lower case.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// One of this many images goes to the test part when the source has none.
const TEST_SHARE: usize = 5;

/// Hidden files and what macOS adds to archives.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

pub(super) fn is_picture(name: &str) -> bool {
    extension(name).is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

pub(super) fn is_csv(name: &str) -> bool {
    extension(name).is_some_and(|found| found.eq_ignore_ascii_case("csv"))
}

pub(super) fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// The names of the folders above a file or folder, and its own.
pub(super) type Names = Vec<String>;

/// What a folder or an archive holds; `L` says where the bytes of a file are.
#[derive(Debug)]
pub(super) struct Layout<L> {
    pub place: String,
    /// Folders that were named, empty ones too.
    pub folders: BTreeSet<Names>,
    pub pictures: BTreeMap<Names, L>,
    /// Files that are not pictures.
    pub others: BTreeSet<Names>,
    /// The CSV files among them.
    pub tables: BTreeMap<Names, Vec<u8>>,
}

/// The files of one class.
#[derive(Debug)]
pub(super) struct Class<L> {
    /// By file name: the path below the source, and the place of the bytes.
    pub pictures: BTreeMap<String, (Names, L)>,
    /// Files that are not pictures: how many, and one of them.
    pub others: usize,
    pub example: String,
}

impl<L> Default for Class<L> {
    fn default() -> Self {
        Self { pictures: BTreeMap::new(), others: 0, example: String::new() }
    }
}

pub(super) type Classes<L> = BTreeMap<String, Class<L>>;

/// Pictures that belong to a part and a class.
#[derive(Debug)]
pub(super) struct Sorted<L> {
    pub place: String,
    pub train: Classes<L>,
    /// Nothing where the source has no test part.
    pub test: Option<Classes<L>>,
    /// Files that are not read: how many of each kind.
    pub ignored: BTreeMap<String, usize>,
    /// The folders that everything lies in, where it is not the source itself.
    pub inside: Option<String>,
}

/// One labelled picture.
#[derive(Debug)]
pub(super) struct Labelled<L> {
    /// The source and the path below it.
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
    /// Files that are not read: how many of each kind.
    pub ignored: BTreeMap<String, usize>,
}

impl<L> Layout<L> {
    pub(super) fn new(place: String) -> Self {
        Self {
            place,
            folders: BTreeSet::new(),
            pictures: BTreeMap::new(),
            others: BTreeSet::new(),
            tables: BTreeMap::new(),
        }
    }

    /// Notes a folder, empty or not.
    pub(super) fn folder(&mut self, path: &[&str]) {
        if !path.iter().any(|name| is_hidden(name)) {
            self.folders.insert(owned(path));
        }
    }

    /// Notes a file.
    pub(super) fn file(&mut self, path: &[&str], locator: L) {
        let Some(name) = path.last().filter(|_| !path.iter().any(|name| is_hidden(name))) else { return };
        if is_picture(name) {
            self.pictures.insert(owned(path), locator);
        } else {
            self.others.insert(owned(path));
        }
    }

    /// Notes the content of a CSV file.
    pub(super) fn table(&mut self, path: &[&str], bytes: Vec<u8>) {
        if !path.iter().any(|name| is_hidden(name)) {
            self.tables.insert(owned(path), bytes);
        }
    }

    /// The same layout with other locators.
    pub(super) fn map<'a, M>(&'a self, locate: impl Fn(&'a L) -> M) -> Layout<M> {
        Layout {
            place: self.place.clone(),
            folders: self.folders.clone(),
            pictures: self.pictures.iter().map(|(path, at)| (path.clone(), locate(at))).collect(),
            others: self.others.clone(),
            tables: self.tables.clone(),
        }
    }
}

fn owned(path: &[&str]) -> Names {
    path.iter().map(|&name| name.to_owned()).collect()
}

impl<L> Sorted<L> {
    /// Where the bytes of all pictures are.
    pub(super) fn locators(&self) -> impl Iterator<Item = &L> {
        let parts = self.train.values().chain(self.test.iter().flat_map(BTreeMap::values));
        parts.flat_map(|class| class.pictures.values().map(|(_, locator)| locator))
    }

    /// Gives every picture its label and its place in the order: classes are sorted by name, the files of a
    /// class too, and the classes take turns.
    ///
    /// Without a test part, one fifth of each class becomes it. Which fifth depends on the files' contents
    /// only, of which `content` makes a number: never on a seed, so a model never meets its training images
    /// when it is tested later, and copies of a file stay together.
    pub(super) fn arrange(self, content: impl Fn(&L) -> u64) -> Result<Arranged<L>, DatasetError> {
        let Self { place, train, test, ignored, .. } = self;
        let classes = train.keys().cloned().collect();
        let invented_test = test.is_none();
        let (train, test) = match test {
            Some(test) => (train, test),
            None => set_aside(&place, train, content)?,
        };
        let (train, test) = (take_turns(&place, train), take_turns(&place, test));
        Ok(Arranged { classes, train, test, invented_test, ignored })
    }
}

/// A number of a file's content: FNV-1a with a final mix, stable for all time, unlike the standard library's
/// hasher.
pub(super) fn content(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    super::random::Random::new(folded).bits()
}

/// Moves a fifth of every class, or a little more where copies stay together, to the test part.
fn set_aside<L>(
    place: &str,
    classes: Classes<L>,
    content: impl Fn(&L) -> u64,
) -> Result<(Classes<L>, Classes<L>), DatasetError> {
    let (mut train, mut test) = (Classes::new(), Classes::new());
    for (name, class) in classes {
        let wanted = (class.pictures.len() / TEST_SHARE).max(1);
        let mut groups: BTreeMap<u64, BTreeMap<String, (Names, L)>> = BTreeMap::new();
        for (file, (path, locator)) in class.pictures {
            groups.entry(content(&locator)).or_default().insert(file, (path, locator));
        }
        if groups.len() < 2 {
            let hint = " left to test with (it has one, and without a test folder a fifth is set aside)";
            return Err(DatasetError::EmptyClass { place: place.to_owned(), class: name, hint: hint.into() });
        }
        let (mut kept, mut aside) = (Class::default(), Class::default());
        let last = groups.len() - 1;
        for (index, group) in groups.into_values().enumerate() {
            let to = if index < last && aside.pictures.len() < wanted { &mut aside } else { &mut kept };
            to.pictures.extend(group);
        }
        test.insert(name.clone(), aside);
        train.insert(name, kept);
    }
    Ok((train, test))
}

/// The first file of every class, then the second of every class, and so on.
fn take_turns<L>(place: &str, classes: Classes<L>) -> Vec<Labelled<L>> {
    let mut turns: Vec<(usize, Labelled<L>)> = Vec::new();
    for (label, class) in classes.into_values().enumerate() {
        for (turn, (path, locator)) in class.pictures.into_values().enumerate() {
            let name = format!("{place}/{}", path.join("/"));
            turns.push((turn, Labelled { name, label: label as u16, locator }));
        }
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, labelled)| labelled).collect()
}
