//! What can be wrong with a data set.

use std::{io, path::PathBuf};

use goldcrest_engine::shape::Shape;

/// Why a data set could not be opened. Every message names the file, says what was found and what
/// was expected, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// There is nothing at the path.
    #[error(
        "{}: no such file or folder; a data set is an image folder, a .tar, .tar.gz or .zip file, \
         CIFAR-10's binary files, `cifar10` or `glyphs`",
        .0.display()
    )]
    Missing(PathBuf),
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that is not an archive.
    #[error("{}: {found}; expected is a folder of images, or a .tar, .tar.gz or .zip archive of \
         one", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// An archive that ends too early or whose checksum is wrong.
    #[error("{}: truncated or damaged archive ({detail}); fetch or make it again", archive.display())]
    Truncated {
        /// The archive.
        archive: PathBuf,
        /// Where reading stopped, and why.
        detail: String,
    },
    /// An archive entry that no data set needs: a link, a path that leaves the archive, an absurd
    /// size.
    #[error("{}: entry `{entry}` {reason}; a data set archive holds plain files only", archive.display())]
    Unsafe {
        /// The archive.
        archive: PathBuf,
        /// The name of the entry.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No picture where pictures are expected.
    #[error(
        "{place}: no images found{hint}; expected train/<class>/*.jpg and test/<class>/*.jpg (or .png, \
         .webp, .bmp, .gif, .tif), or <class>/*.jpg, or CIFAR-10's data_batch_*.bin and test_batch.bin"
    )]
    NoImages {
        /// The folder or archive.
        place: String,
        /// What was found instead, if that helps.
        hint: String,
    },
    /// A picture in the wrong folder.
    #[error(
        "{file}: misplaced image; images lie directly in a class folder, as in {expected}, all class \
         folders beside each other"
    )]
    Misplaced {
        /// The picture.
        file: String,
        /// An example of the right place.
        expected: &'static str,
    },
    /// Two data sets, or two pictures of one name.
    #[error("{place}: more than one data set, {one} and {other}; give the path of one")]
    Several {
        /// The folder or archive.
        place: String,
        /// What belongs to one.
        one: String,
        /// What belongs to another.
        other: String,
    },
    /// A CSV file of labels with a mistake.
    #[error(
        "{table}, line {line}: {problem}; expected is a heading with `file` and `label`, and a row for each \
         image"
    )]
    Table {
        /// The file.
        table: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A CSV file of labels names a picture that is not there.
    #[error("{table}, line {line}: `{file}` is not there{}; paths start at the folder of the CSV \
         file", and_more(*.others))]
    NotThere {
        /// The CSV file.
        table: String,
        /// The line, from 1.
        line: usize,
        /// The picture.
        file: String,
        /// How many further ones are not there.
        others: usize,
    },
    /// A picture with two labels.
    #[error("{table}, line {line}: `{file}` is labelled `{}` and `{}`; a picture has one \
         class", labels[0], labels[1])]
    TwoLabels {
        /// The CSV file.
        table: String,
        /// The line of the second, from 1.
        line: usize,
        /// The picture.
        file: String,
        /// Both.
        labels: [String; 2],
    },
    /// A class without pictures.
    #[error(
        "{place}/{class}: no .jpg, .png, .webp, .bmp, .gif or .tif image{hint}; add images of the class or \
         remove the class everywhere"
    )]
    EmptyClass {
        /// The data set and its part.
        place: String,
        /// The class.
        class: String,
        /// What was found instead, if anything.
        hint: String,
    },
    /// A class folder in `test` that `train` does not have.
    #[error(
        "{place}/test/{class}: this class has no folder in {place}/train, which has {known}; remove it or \
         add training images"
    )]
    UnknownClass {
        /// The data set.
        place: String,
        /// The class.
        class: String,
        /// The classes of the training part.
        known: String,
    },
    /// There is a test part, but nothing to train on.
    #[error(
        "{place}: there is a `test` folder but no `train` folder with images; expected train/<class>/*.jpg"
    )]
    NoTrain {
        /// The data set.
        place: String,
    },
    /// There is a training part and a folder of unknown meaning, but no test part.
    #[error(
        "{place}: there is a `{stranger}` folder but no `test`; rename it to `test`, or remove it to have a \
         fifth of the training images set aside for testing"
    )]
    NoTest {
        /// The data set.
        place: String,
        /// The folder that may be meant.
        stranger: String,
    },
    /// Fewer than two classes, or more than labels can count.
    #[error("{place}: found {found} class folder(s); a classifier takes 2 to 65536 classes")]
    Classes {
        /// The data set.
        place: String,
        /// Number of classes found.
        found: usize,
    },
    /// A picture that cannot be decoded.
    #[error(
        "{file}: broken image: {reason}; replace or delete it, or leave broken ones out with --skip-broken"
    )]
    Broken {
        /// The picture.
        file: String,
        /// What the decoder said.
        reason: String,
    },
    /// A picture of another size than the first one.
    #[error(
        "{file}: {}x{} image, but {first} is {}x{} (width x height); pass --resize",
        found[1], found[0], expected[1], expected[0]
    )]
    WrongSize {
        /// The picture.
        file: String,
        /// Its rows and columns.
        found: [usize; 2],
        /// The first picture.
        first: String,
        /// Rows and columns of the first picture.
        expected: [usize; 2],
    },
    /// Several pictures cannot be used.
    #[error("{}", listed(.0))]
    Unusable(Vec<DatasetError>),
    /// A size to resize to that makes no sense.
    #[error("cannot resize images to {}x{} (width x height); each side is 1 to {most} \
         pixels", size[1], size[0])]
    Resize {
        /// Rows and columns asked for.
        size: [usize; 2],
        /// The longest side.
        most: usize,
    },
    /// More pixels than the memory limit.
    #[error(
        "{place}: {images} images of {shape} take {} MiB in memory, and the limit is {} MiB; pass --resize \
         with a smaller size",
        .bytes >> 20, .limit >> 20
    )]
    TooLarge {
        /// The data set.
        place: String,
        /// Number of images.
        images: usize,
        /// Height x width x channels.
        shape: Shape,
        /// Bytes needed.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A CIFAR-10 binary file whose size is not a whole number of records.
    #[error(
        "{file}: {bytes} bytes, but CIFAR-10's binary files are a positive multiple of {record} bytes \
         (label, 32x32 red, green, blue) up to {limit}; fetch the file again"
    )]
    CifarSize {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
        /// Size of a record.
        record: u64,
        /// The largest size taken.
        limit: u64,
    },
    /// A label that is not a class.
    #[error(
        "{file}: record {record} (byte {offset}) has label {found}, but there are {classes} classes (0 to \
         {last}); the file is damaged or no CIFAR-10 file",
        last = classes - 1
    )]
    Label {
        /// The file.
        file: String,
        /// Which record, from 0.
        record: usize,
        /// Where the label is.
        offset: usize,
        /// The label.
        found: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The names of CIFAR-10's classes are not ten.
    #[error(
        "{file}: {found} usable class names, but CIFAR-10 has 10, one a line; fetch the file again or \
         delete it to use the known names"
    )]
    ClassNames {
        /// The file.
        file: String,
        /// Number of names found.
        found: usize,
    },
    /// A part of CIFAR-10 is not there.
    #[error(
        "{place}: {missing} not found; CIFAR-10's binary version has data_batch_1.bin to data_batch_5.bin \
         and test_batch.bin"
    )]
    CifarPart {
        /// The folder or archive.
        place: String,
        /// The missing file.
        missing: &'static str,
    },
    /// No cache folder is known.
    #[error("no cache folder for downloads: set HOME or XDG_CACHE_HOME, or give the path of the data set")]
    NoCacheFolder,
    /// A download that did not work.
    #[error("{url}: {reason}; {next}")]
    Download {
        /// What was fetched.
        url: String,
        /// Why it failed.
        reason: String,
        /// What to do.
        next: String,
    },
    /// A download with the wrong content.
    #[error(
        "{url}: sha256 {found}, expected {expected}; the file was deleted: try again, or fetch it by hand \
         and pass its path"
    )]
    Checksum {
        /// What was fetched.
        url: String,
        /// The sum of what arrived.
        found: String,
        /// The sum it should have.
        expected: String,
    },
}

fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        _ => format!(" (nor are {count} more)"),
    }
}

/// Errors of which a message has one line each; an error as JSON has all of them.
const LISTED: usize = 50;

fn listed(errors: &[DatasetError]) -> String {
    let mut text = format!("{} images cannot be used", errors.len());
    for error in errors.iter().take(LISTED) {
        text += &format!("\n  {error}");
    }
    if errors.len() > LISTED {
        text += &format!("\n  and {} more; --json lists all", errors.len() - LISTED);
    }
    text
}

impl DatasetError {
    /// The errors of pictures as one.
    pub(super) fn all(mut errors: Vec<Self>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Unusable(errors),
        }
    }

    /// The pictures that cannot be used: names and reasons.
    pub fn pictures(&self) -> Vec<(&str, String)> {
        match self {
            Self::Broken { file, reason } => vec![(file, reason.clone())],
            Self::WrongSize { file, found, expected, .. } => {
                let reason = format!("{}x{}, not {}x{}", found[1], found[0], expected[1], expected[0]);
                vec![(file, reason)]
            }
            Self::Unusable(errors) => errors.iter().flat_map(Self::pictures).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            _ => Self::Io { path, source },
        }
    }
}
