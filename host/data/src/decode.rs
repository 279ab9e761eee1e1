//! Picture files to pixels, all at once on all cores.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use goldcrest_engine::picture::color;
use goldcrest_engine::shape::Shape;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use rayon::prelude::*;

use super::{
    Dataset, Findings, Options, Split,
    error::DatasetError,
    layout::{self, Arranged, Labelled},
    picture,
    progress::Images,
};

/// The largest picture taken: enough for a camera, too little to exhaust memory.
const MAX_SIDE: u32 = 16_384;
const MAX_BYTES: u64 = 1 << 30;

/// What is read, found by content, not by name.
const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
];
const READ: &str = "JPEG, PNG, WebP, BMP, GIF (the first frame) and TIFF are read";

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

/// Decodes all pictures. Where the options do not say, they stay gray when all of them are, else all become
/// RGB.
pub(super) fn decode<L: Bytes>(
    place: &str,
    name: String,
    arranged: &Arranged<L>,
    options: &Options,
) -> Result<Dataset, DatasetError> {
    let all: Vec<&Labelled<L>> = arranged.train.iter().chain(&arranged.test).collect();
    // A broken picture has no size; if all are broken, any will do to say so.
    let found = || all.iter().find_map(|&one| Some((one, File::read(one).ok()?.open().ok()?.size)));
    let (first, size) = match options.resize {
        Some(size) => (all[0], size),
        None => found().unwrap_or((all[0], [1, 1])),
    };
    let shape = Shape::new(size[0], size[1], options.channels.unwrap_or(3));
    check_memory(place, all.len(), shape, options)?;

    let progress = Images::begin(options.progress, "decoding", all.len());
    let mut pixels = vec![0; all.len() * shape.len()];
    let outcomes: Vec<Result<Seen, DatasetError>> = pixels
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
                    });
                }
                let Decoded { shape: found, pixels, seen } =
                    opened.decode(options.preprocessing.background)?;
                picture::prepare(&options.preprocessing, found, &pixels, shape, to)
                    .map_err(|error| broken(&one.name, error))?;
                Ok(seen)
            });
            progress.one();
            outcome
        })
        .collect();
    drop(progress);

    let mut findings = Findings { ignored: arranged.ignored.clone(), ..Findings::default() };
    let (mut errors, mut is_kept) = (Vec::new(), Vec::with_capacity(all.len()));
    for (outcome, one) in outcomes.into_iter().zip(&all) {
        is_kept.push(outcome.is_ok());
        match outcome {
            Ok(seen) => seen.note(&one.name, &mut findings),
            Err(DatasetError::Broken { file, reason }) if options.skip_broken => {
                findings.skipped.push((file, reason));
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(DatasetError::all(errors));
    }
    let labels = |part: &[Labelled<L>], is_kept: &[bool]| -> Vec<u16> {
        part.iter().zip(is_kept).filter(|&(_, &is_kept)| is_kept).map(|(one, _)| one.label).collect()
    };
    let (train_kept, test_kept) = is_kept.split_at(arranged.train.len());
    let (train, test) = (labels(&arranged.train, train_kept), labels(&arranged.test, test_kept));
    if !findings.skipped.is_empty() {
        let mut kept = is_kept.iter();
        pixels = pixels
            .chunks_exact(shape.len())
            .filter(|_| kept.next() == Some(&true))
            .flatten()
            .copied()
            .collect();
        for (part, labels) in [("", &train), (" in the test part", &test)] {
            if let Some(class) = (0..arranged.classes.len()).find(|&class| !labels.contains(&(class as u16)))
            {
                let (place, class) = (place.to_owned(), arranged.classes[class].clone());
                let hint = format!("{part} that is not broken");
                return Err(DatasetError::EmptyClass { place, class, hint });
            }
        }
    }
    let gray = options.channels.is_none() && findings.coloured.count == 0;
    let shape = if gray { Shape { channels: 1, ..shape } } else { shape };
    if gray {
        pixels = pixels.chunks_exact(3).map(|pixel| pixel[0]).collect();
    }
    let test_pixels = pixels.split_off(train.len() * shape.len());
    pixels.shrink_to_fit();
    Ok(Dataset {
        name,
        classes: arranged.classes.clone(),
        shape,
        train: Split::new(shape, pixels, train),
        test: Split::new(shape, test_pixels, test),
        preprocessing: options.preprocessing,
        findings,
    })
}

/// A number of a file's content; 0 of one that cannot be read, which decoding will explain.
pub(super) fn content<L: Bytes>(locator: &L) -> u64 {
    locator.bytes().map_or(0, |bytes| layout::content(&bytes))
}

/// Decodes one picture file, upright and over a background.
pub(super) fn one(path: &Path, background: [u8; 3]) -> Result<Decoded, DatasetError> {
    std::fs::metadata(path).map_err(|source| DatasetError::Io { path: path.to_path_buf(), source })?;
    let one = Labelled { name: path.display().to_string(), label: 0, locator: path.to_path_buf() };
    labelled(&one, background)
}

/// Decodes one picture of a data set, upright and over a background.
pub(super) fn labelled<L: Bytes>(one: &Labelled<L>, background: [u8; 3]) -> Result<Decoded, DatasetError> {
    File::read(one)?.open()?.decode(background)
}

/// A decoded picture.
pub(super) struct Decoded {
    /// Rows and columns, upright; 1 channel where the file is gray, else 3.
    pub shape: Shape,
    /// u8, row by row.
    pub pixels: Vec<u8>,
    /// What the file was like.
    pub seen: Seen,
}

/// What a file was like.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    size: [usize; 2],
    is_coloured: bool,
    /// A pixel lets the background through.
    is_transparent: bool,
    /// 16 bits, but all values below 256.
    is_dark: bool,
}

impl Seen {
    pub(super) fn note(self, name: &str, findings: &mut Findings) {
        findings.size(self.size);
        if self.is_coloured { &mut findings.coloured } else { &mut findings.gray }.add(name);
        if self.is_transparent {
            findings.transparent.add(name);
        }
        if self.is_dark {
            findings.dark.add(name);
        }
    }
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

pub(super) fn broken(name: &str, reason: impl ToString) -> DatasetError {
    DatasetError::Broken { file: name.to_owned(), reason: reason.to_string() }
}

impl<'a> File<'a> {
    fn read<L: Bytes>(one: &'a Labelled<L>) -> Result<Self, DatasetError> {
        let name = &one.name;
        let bytes = one.locator.bytes().map_err(|error| broken(name, error))?;
        let format = match image::guess_format(&bytes) {
            Ok(format) if FORMATS.contains(&format) => format,
            _ if bytes.is_empty() => return Err(broken(name, "the file is empty")),
            Ok(other) => return Err(broken(name, format!("{other:?} content; {READ}"))),
            Err(_) => return Err(broken(name, format!("not a picture; {READ}"))),
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
    /// Decodes into upright pixels of 8 bits over a background. Values of 16 bits are scaled: 65535 becomes
    /// 255.
    fn decode(self, background: [u8; 3]) -> Result<Decoded, DatasetError> {
        let mut image = DynamicImage::from_decoder(self.decoder).map_err(|error| broken(self.name, error))?;
        image.apply_orientation(self.orientation);
        let color = image.color();
        if matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
            return Err(broken(self.name, "floating-point pixels; store them as 8 or 16 bits"));
        }
        let is_dark = match &image {
            DynamicImage::ImageLuma16(image) => all_dark(image.as_raw(), 1, 1),
            DynamicImage::ImageLumaA16(image) => all_dark(image.as_raw(), 2, 1),
            DynamicImage::ImageRgb16(image) => all_dark(image.as_raw(), 3, 3),
            DynamicImage::ImageRgba16(image) => all_dark(image.as_raw(), 4, 3),
            _ => false,
        };
        let size = [image.height() as usize, image.width() as usize];
        let [red, green, blue] = background;
        let mut is_transparent = false;
        let (channels, pixels) = if color.has_alpha() {
            let rgba = image.into_rgba8();
            let pixels = rgba.as_raw().as_chunks::<4>().0;
            is_transparent = pixels.iter().any(|pixel| pixel[3] < 255);
            if color.has_color() || is_transparent && !(red == green && green == blue) {
                (3, pixels.iter().flat_map(|&pixel| color::over(pixel, background)).collect())
            } else {
                (1, pixels.iter().map(|&pixel| color::over(pixel, background)[0]).collect())
            }
        } else if color.has_color() {
            (3, image.into_rgb8().into_raw())
        } else {
            (1, image.into_luma8().into_raw())
        };
        // Gray strokes over a coloured background are coloured.
        let seen = Seen { size, is_coloured: channels == 3, is_transparent, is_dark };
        Ok(Decoded { shape: Shape::new(size[0], size[1], channels), pixels, seen })
    }
}

/// Whether all colour values of 16 bits, the first `colors` of each pixel, lie below 256 and not all are 0.
fn all_dark(values: &[u16], channels: usize, colors: usize) -> bool {
    let pixels = || values.chunks_exact(channels).flat_map(|pixel| &pixel[..colors]);
    pixels().all(|&value| value < 256) && pixels().any(|&value| value > 0)
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
    let (head, end) = (&bytes[..bytes.len().min(64 << 10)], &bytes[bytes.len().saturating_sub(64 << 10)..]);
    let tiff = bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*");
    // WebP has it behind the pixels.
    tiff || [head, end]
        .iter()
        .any(|part| part.windows(4).any(|word| word == b"Exif" || word == b"eXIf" || word == b"EXIF"))
}
