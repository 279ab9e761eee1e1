#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod alike;
mod archive;
mod asked;
pub mod augment;
mod batches;
mod cache;
mod cifar_binary;
mod decode;
pub mod download;
mod error;
mod findings;
mod folder;
pub mod glyphs;
pub mod inspect;
mod label_table;
mod layout;
mod names;
pub mod normalization;
pub mod picture;
pub mod progress;
pub mod random;
mod sort;
mod spec;
mod split;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use goldcrest_engine::picture::Preprocessing;
use goldcrest_engine::shape::Shape;
use rayon::prelude::*;

pub use asked::{Asked, Conflict};
pub use augment::{AugmentRecipe, RecipeError};
pub use batches::{Batch, BatchOptions, Batches};
pub use cifar_binary::CLASSES as CIFAR10_CLASSES;
pub use error::DatasetError;
pub use findings::{Findings, is_constant};
pub use names::NamesError;
pub use normalization::Normalization;
pub use progress::{Event, Progress};
pub use spec::{Spec, SpecError};
pub use split::Split;

/// The longest side images can be resized to.
const MAX_SIDE: usize = 4096;

/// Labelled images in memory, for training and for testing.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// For people: the file name of the source, and how the test images were chosen if the source
    /// does not say.
    pub name: String,
    /// The names of the classes; a label is a position in this list.
    pub classes: Vec<String>,
    /// Height, width and channels (3: RGB, 1: gray) of every image.
    pub shape: Shape,
    /// Images to train on.
    pub train: Split,
    /// Images to test with.
    pub test: Split,
    /// How the images were made of the source's pictures.
    pub preprocessing: Preprocessing,
    /// What was come across on the way.
    pub findings: Findings,
}

/// How to open a data set.
#[derive(Clone, Debug)]
pub struct Options {
    /// For what is drawn at random: the pictures of `glyphs`. Never changes which images of a
    /// folder are test images.
    pub seed: u64,
    /// Rows and columns every image is resized to; without it, all images must have one size.
    pub resize: Option<[usize; 2]>,
    /// What of each picture becomes the image, and the colour below transparent pixels.
    pub preprocessing: Preprocessing,
    /// 1: every image becomes gray, 3: RGB; without it, images are gray where all pictures are.
    pub channels: Option<usize>,
    /// Leave broken pictures out instead of ending with an error.
    pub skip_broken: bool,
    /// Hears of slow steps and remarks.
    pub progress: Progress,
    /// Maximum number of bytes of pixels to hold in memory, and most bytes an archive may expand to.
    pub memory_limit: u64,
    /// Where decoded images and downloads are kept.
    pub cache: Cache,
    /// The most time a download may take; what has arrived by then is kept for the next time.
    pub patience: Option<Duration>,
}

/// Where decoded images and downloads are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// In the user's cache folder.
    #[default]
    User,
    /// In this folder.
    Folder(PathBuf),
    /// Decode every time. Downloads still go to the user's cache folder.
    Off,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            resize: None,
            preprocessing: Preprocessing::default(),
            channels: None,
            skip_broken: false,
            progress: |_| (),
            memory_limit: 8 << 30,
            cache: Cache::User,
            patience: None,
        }
    }
}

impl Dataset {
    /// Opens a data set and decodes all its images.
    ///
    /// # Errors
    ///
    /// [`DatasetError`], when files are missing, broken, of different sizes or not laid out as
    /// expected.
    pub fn open(spec: &Spec, options: &Options) -> Result<Self, DatasetError> {
        if let Some(size) = options.resize
            && size.iter().any(|side| !(1..=MAX_SIDE).contains(side))
        {
            return Err(DatasetError::Resize { size, most: MAX_SIDE });
        }
        let mut dataset = Self::find(spec, options)?;
        dataset.preprocessing = options.preprocessing;
        dataset.findings.look_at(&dataset.train, &dataset.test);
        Ok(dataset)
    }

    fn find(spec: &Spec, options: &Options) -> Result<Self, DatasetError> {
        match spec {
            Spec::Glyphs { train, test } => resized(glyphs::draw(*train, *test, options.seed), options),
            Spec::Cifar10 => {
                let path = download::fetch(&download::cifar10(), options)?;
                Ok(Self { name: "cifar10".to_owned(), ..open_archive(&path, options)? })
            }
            Spec::Path(path) => {
                let found = fs::metadata(path).map_err(DatasetError::io(path))?;
                if found.is_dir() { open_folder(path, options) } else { open_archive(path, options) }
            }
        }
    }
}

fn open_folder(path: &Path, options: &Options) -> Result<Dataset, DatasetError> {
    let (place, name) = (path.display().to_string(), name_of(path));
    if let Some(files) = cifar_binary::read_folder(path)? {
        return resized(cifar_binary::assemble(&place, name, files)?, options);
    }
    let sorted = folder::layout(path)?.sort()?;
    let name = announce(name, &sorted, options);
    let ignored = sorted.ignored.clone();
    let slot = cache::Slot::new(path, sorted.locators().map(PathBuf::as_path), options);
    let mut dataset = kept(slot, options, || {
        let arranged = sorted.arrange(decode::content)?;
        decode::decode(&place, name, &arranged, options)
    })?;
    // What is kept may be older than the files beside the pictures.
    dataset.findings.ignored = ignored;
    Ok(dataset)
}

fn open_archive(path: &Path, options: &Options) -> Result<Dataset, DatasetError> {
    kept(cache::Slot::new(path, [path], options), options, || decode_archive(path, options))
}

/// What the cache has, else what `decode` makes, for the cache too.
fn kept(
    slot: Option<cache::Slot>,
    options: &Options,
    decode: impl FnOnce() -> Result<Dataset, DatasetError>,
) -> Result<Dataset, DatasetError> {
    if let Some(dataset) = slot.as_ref().and_then(|slot| slot.load(options)) {
        return Ok(dataset);
    }
    let dataset = decode()?;
    if let Some(slot) = slot {
        slot.store(&dataset, options);
    }
    Ok(dataset)
}

fn decode_archive(path: &Path, options: &Options) -> Result<Dataset, DatasetError> {
    let (place, name) = (path.display().to_string(), name_of(path));
    let archive = archive::Archive::read(path, options.memory_limit)?;
    match archive.contents() {
        archive::Contents::Cifar(files) => resized(cifar_binary::assemble(&place, name, files)?, options),
        archive::Contents::Pictures(layout) => {
            let sorted = layout.sort().map_err(|error| match error {
                DatasetError::NoImages { place, .. } => {
                    DatasetError::NoImages { place, hint: archive.hint().to_owned() }
                }
                other => other,
            })?;
            let name = announce(name, &sorted, options);
            decode::decode(&place, name, &sorted.arrange(decode::content)?, options)
        }
    }
}

/// What the source does not say plainly is said aloud: where the pictures lie, and, in the name too, a test
/// part that it does not have.
fn announce<L>(name: String, sorted: &layout::Sorted<L>, options: &Options) -> String {
    if let Some(inside) = &sorted.inside {
        (options.progress)(&Event::Remark(&format!("{name}: its images lie in {inside}")));
    }
    if sorted.test.is_some() {
        return name;
    }
    let remark =
        format!("{name}: no test folder; a fifth of the images of each class is set aside for testing");
    (options.progress)(&Event::Remark(&remark));
    format!("{name} (80/20 split)")
}

/// `photos` for `a/photos`, `a/photos.tar` and `a/photos.tar.gz`.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = full.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = name.replace(char::is_control, "\u{fffd}");
    let stem = [".tar.gz", ".tgz", ".tar", ".zip"].iter().find_map(|end| name.strip_suffix(end));
    stem.unwrap_or(&name).to_owned()
}

/// Makes the images of a source that brings its own size and colours what the options ask for.
fn resized(dataset: Dataset, options: &Options) -> Result<Dataset, DatasetError> {
    let size = options.resize.unwrap_or([dataset.shape.height, dataset.shape.width]);
    let channels = options.channels.unwrap_or(dataset.shape.channels);
    let shape = Shape::new(size[0], size[1], channels);
    if shape == dataset.shape {
        return Ok(dataset);
    }
    decode::check_memory(&dataset.name, dataset.train.len() + dataset.test.len(), shape, options)?;
    let split = |split: &Split| -> Result<Split, DatasetError> {
        let mut pixels = vec![0; split.len() * shape.len()];
        pixels.par_chunks_exact_mut(shape.len()).enumerate().try_for_each(|(index, to)| {
            let image = split.image(index);
            picture::prepare(&options.preprocessing, split.shape(), image, shape, to)
                .map_err(|error| decode::broken(&format!("image {index}"), error))
        })?;
        Ok(Split::new(shape, pixels, split.labels().to_vec()))
    };
    Ok(Dataset { train: split(&dataset.train)?, test: split(&dataset.test)?, shape, ..dataset })
}
