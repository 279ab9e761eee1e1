//! JPEG and PNG files to pixels, all at once on all cores.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use goldcrest_engine::shape::Shape;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Luma, Pixel, Rgb};
use rayon::prelude::*;

use super::{
    Dataset, Options, Split,
    error::DatasetError,
    layout::{Arranged, Labelled},
    progress::{Event, Unit},
};

/// The largest picture taken: enough for a camera, too little to exhaust memory.
const MAX_SIDE: u32 = 16_384;
const MAX_BYTES: u64 = 1 << 30;

/// Where the bytes of a picture are.
pub(super) trait Bytes: Sync {
    /// The whole encoded file.
    fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>>;
}

impl Bytes for PathBuf {
    fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        std::fs::read(self).map(Cow::Owned)
    }
}

impl Bytes for &[u8] {
    fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self))
    }
}

/// Decodes all pictures. They stay gray when all of them are, else all become RGB.
pub(super) fn decode<L: Bytes>(
    place: &str,
    name: String,
    arranged: &Arranged<L>,
    options: &Options,
) -> Result<Dataset, DatasetError> {
    let all: Vec<&Labelled<L>> = arranged.train.iter().chain(&arranged.test).collect();
    let first = all.first().expect("a layout has pictures of every class");
    let size = match options.resize {
        Some(size) => size,
        None => File::read(first)?.open()?.size,
    };
    let shape = Shape::new(size[0], size[1], 3);
    check_memory(place, all.len(), shape, options)?;

    let done = AtomicU64::new(0);
    (options.progress)(&Event::Begin { what: "decoding", length: all.len() as u64, unit: Unit::Images });
    let mut pixels = vec![0; all.len() * shape.len()];
    let outcomes: Vec<Result<Tone, DatasetError>> = pixels
        .par_chunks_exact_mut(shape.len())
        .zip(&all)
        .map(|(to, one)| {
            let outcome = File::read(one).and_then(|file| {
                let opened = file.open()?;
                if options.resize.is_none() && opened.size != size {
                    return Err(DatasetError::WrongSize {
                        file: one.name.clone(),
                        found: opened.size,
                        first: first.name.clone(),
                        expected: size,
                        others: 0,
                    });
                }
                opened.write(to, size)
            });
            (options.progress)(&Event::At(1 + done.fetch_add(1, Ordering::Relaxed)));
            outcome
        })
        .collect();
    (options.progress)(&Event::End);

    let gray = outcomes.iter().all(|outcome| matches!(outcome, Ok(Tone::Gray)));
    let failures = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    if let Some(error) = outcomes.into_iter().find_map(Result::err) {
        return Err(error.with_others(failures - 1));
    }
    let shape = if gray { Shape { channels: 1, ..shape } } else { shape };
    if gray {
        pixels = pixels.chunks_exact(3).map(|pixel| pixel[0]).collect();
    }
    let test_pixels = pixels.split_off(arranged.train.len() * shape.len());
    pixels.shrink_to_fit();
    let labels = |part: &[Labelled<L>]| part.iter().map(|one| one.label).collect();
    Ok(Dataset {
        name,
        classes: arranged.classes.clone(),
        shape,
        train: Split::new(shape, pixels, labels(&arranged.train)),
        test: Split::new(shape, test_pixels, labels(&arranged.test)),
    })
}

/// Decodes one picture file: its shape (3 channels) and its RGB pixels, upright.
pub(super) fn one(path: &Path) -> Result<(Shape, Vec<u8>), DatasetError> {
    std::fs::metadata(path).map_err(|source| DatasetError::Io { path: path.to_path_buf(), source })?;
    let one = Labelled { name: path.display().to_string(), label: 0, locator: path.to_path_buf() };
    let file = File::read(&one)?;
    let opened = file.open()?;
    let size = opened.size;
    let shape = Shape::new(size[0], size[1], 3);
    let mut pixels = vec![0; shape.len()];
    opened.write(&mut pixels, size)?;
    Ok((shape, pixels))
}

/// Refuses data sets that would not fit into memory, before any memory is taken.
pub(super) fn check_memory(
    place: &str,
    images: usize,
    shape: Shape,
    options: &Options,
) -> Result<(), DatasetError> {
    let bytes = images as u64 * shape.len() as u64;
    if bytes > options.memory_limit {
        let (place, limit) = (place.to_owned(), options.memory_limit);
        return Err(DatasetError::TooLarge { place, images, shape, bytes, limit });
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Gray,
    Colour,
}

/// An encoded picture.
struct File<'a> {
    name: &'a str,
    bytes: Cow<'a, [u8]>,
    format: ImageFormat,
}

/// A picture whose header was read.
struct Opened<'a, D> {
    name: &'a str,
    decoder: D,
    orientation: Orientation,
    /// Rows and columns, upright.
    size: [usize; 2],
}

fn broken(name: &str, reason: impl ToString) -> DatasetError {
    DatasetError::Broken { file: name.to_owned(), reason: reason.to_string(), others: 0 }
}

impl<'a> File<'a> {
    fn read<L: Bytes>(one: &'a Labelled<L>) -> Result<Self, DatasetError> {
        let name = &one.name;
        let bytes = one.locator.bytes().map_err(|error| broken(name, error))?;
        let format = match image::guess_format(&bytes) {
            Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
            _ if bytes.is_empty() => return Err(broken(name, "the file is empty")),
            Ok(other) => {
                return Err(broken(name, format!("{other:?} content, but only JPEG and PNG are read")));
            }
            Err(_) => return Err(broken(name, "neither JPEG nor PNG")),
        };
        if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
            return Err(broken(name, "truncated JPEG (no end of image marker)"));
        }
        Ok(Self { name, bytes, format })
    }

    /// Reads the header.
    fn open(&self) -> Result<Opened<'_, impl ImageDecoder>, DatasetError> {
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(&self.bytes[..]), self.format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|error| broken(self.name, error))?;
        let orientation = match has_exif(&self.bytes) {
            true => decoder.orientation().unwrap_or(Orientation::NoTransforms),
            false => Orientation::NoTransforms,
        };
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let (width, height) = decoder.dimensions();
        let (rows, columns) = match orientation {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (width, height),
            _ => (height, width),
        };
        Ok(Opened { name: self.name, decoder, orientation, size: [rows as usize, columns as usize] })
    }
}

impl<D: ImageDecoder> Opened<'_, D> {
    /// Decodes into upright RGB pixels of the given size; gray is repeated. Transparency is dropped.
    fn write(self, to: &mut [u8], size: [usize; 2]) -> Result<Tone, DatasetError> {
        let mut image = DynamicImage::from_decoder(self.decoder).map_err(|error| broken(self.name, error))?;
        image.apply_orientation(self.orientation);
        let tone = if image.color().has_color() { Tone::Colour } else { Tone::Gray };
        let rgb = image.into_rgb8();
        let from = Shape::new(rgb.height() as usize, rgb.width() as usize, 3);
        resize(rgb.as_raw(), from, to, size);
        Ok(tone)
    }
}

/// Resizes one image (Lanczos, 3 lobes, the aspect ratio is not kept) or copies it when it has the
/// size already.
pub(super) fn resize(from: &[u8], shape: Shape, to: &mut [u8], size: [usize; 2]) {
    if [shape.height, shape.width] == size {
        to.copy_from_slice(from);
    } else if shape.channels == 1 {
        to.copy_from_slice(&resized::<Luma<u8>>(from, shape, size));
    } else {
        to.copy_from_slice(&resized::<Rgb<u8>>(from, shape, size));
    }
}

fn resized<P: Pixel<Subpixel = u8> + 'static>(from: &[u8], shape: Shape, size: [usize; 2]) -> Vec<u8> {
    let image = ImageBuffer::<P, &[u8]>::from_raw(shape.width as u32, shape.height as u32, from)
        .expect("the buffer has the size of its shape");
    imageops::resize(&image, size[1] as u32, size[0] as u32, FilterType::Lanczos3).into_raw()
}

/// The decoder fills missing rows with gray and says nothing, so look for the end marker: within
/// compressed data an 0xff byte is never followed by 0xd9.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    match (last(0xda), last(0xd9)) {
        (Some(scan), Some(end)) => end > scan,
        _ => false,
    }
}

/// Most small pictures have no EXIF data, and looking for the orientation costs a pass over the
/// headers.
fn has_exif(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64 << 10)];
    head.windows(4).any(|word| word == b"Exif" || word == b"eXIf")
}
