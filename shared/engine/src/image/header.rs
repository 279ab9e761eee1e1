//! The view of a whole image.

#[cfg(feature = "pack")]
use super::record::Layer;
use super::record::{self, Entry, Record};
use super::{ImageError, check, u16_at, u32_at};
use crate::engine::{bytes_mut, part, values};
use crate::kernels::{Family, Kernel};
use crate::picture::{Fit, Preprocessing};
use crate::shape::Shape;

/// Offsets of the header's fields, in bytes.
#[allow(missing_docs)]
pub mod field {
    pub const MAGIC: usize = 0;
    pub const CHECKSUM: usize = 4;
    pub const VERSION: usize = 8;
    pub const FLAGS: usize = 10;
    pub const LENGTH: usize = 12;
    pub const HEIGHT: usize = 16;
    pub const WIDTH: usize = 18;
    pub const CHANNELS: usize = 20;
    pub const CLASSES: usize = 22;
    pub const OUTPUT_SCALE: usize = 24;
    pub const OUTPUT_ZERO: usize = 28;
    pub const FAMILY: usize = 29;
    pub const ARENA_BYTES: usize = 32;
    pub const INPUT_OFFSET: usize = 36;
    pub const OUTPUT_OFFSET: usize = 40;
    pub const LAYERS: usize = 44;
    pub const LAYER_COUNT: usize = 48;
    pub const GOLDEN_COUNT: usize = 50;
    pub const GOLDEN: usize = 52;
    pub const LABELS: usize = 56;
    pub const PIXELS: usize = 60;
    pub const FIT: usize = 64;
    pub const BACKGROUND: usize = 65;
    pub const END: usize = 68;
}

/// Every channel maps `pixel` to `pixel - 128`, so the image holds no pixel tables.
pub(super) const FLAG_PLAIN_PIXELS: u16 = 1;

/// A device image whose every offset and length is known to be good, with the kernels that run it. It is no
/// more than two references: a copy, and any number of engines, cost no second check.
///
/// ```
/// use goldcrest_engine::{Image, ImageError, kernels};
///
/// let error = Image::new_checked(b"GCI", &[&kernels::CONV]).unwrap_err();
/// assert_eq!(error, ImageError::Truncated { found: 3, expected: 68 });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    kernels: &'a [&'static Kernel],
}

impl<'a> Image<'a> {
    /// What the address of an image is a multiple of.
    pub const ALIGNMENT: usize = super::ALIGNMENT;

    /// Checks bytes once, whoever wrote them; what follows the image's own length is ignored. `kernels` are
    /// those that the program has: the linker drops the others.
    ///
    /// # Errors
    /// The first thing found wrong, also a layer whose kernel is not among `kernels`, and an image for
    /// instructions that this build does not have.
    pub fn new_checked(bytes: &'a [u8], kernels: &'a [&'static Kernel]) -> Result<Self, ImageError> {
        let bytes = check::envelope(bytes)?;
        let image = Self { bytes, kernels };
        check::contents(&image)?;
        Ok(image)
    }

    /// The image in bytes that passed the check before, cut to the image's own length.
    #[cfg(feature = "alloc")]
    pub(super) fn checked_before(bytes: &'a [u8], kernels: &'a [&'static Kernel]) -> Self {
        Self { bytes, kernels }
    }

    /// The kernels that run it.
    pub(crate) fn kernels(&self) -> &'a [&'static Kernel] {
        self.kernels
    }

    /// The bytes, as long as the header says.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Checksum in the header; names the image in logs.
    pub fn crc(&self) -> u32 {
        u32_at(self.bytes, field::CHECKSUM)
    }

    /// The cores it was packed for.
    pub fn family(&self) -> Family {
        Family::from_code(self.byte(field::FAMILY)).unwrap_or_default()
    }

    /// Whether it was packed for the instructions of this build. If not, it runs right but slower than the
    /// core could; `goldcrest pack --board BOARD`, with a board of the same core, makes one that does not.
    pub fn is_native(&self) -> bool {
        self.family() == Family::NATIVE
    }

    /// Bytes of arena that inference needs.
    pub fn arena_bytes(&self) -> usize {
        u32_at(self.bytes, field::ARENA_BYTES) as usize
    }

    /// Words of arena that inference needs.
    pub fn arena_words(&self) -> usize {
        self.arena_bytes().div_ceil(size_of::<u32>())
    }

    /// Shape of the input picture.
    pub fn input_shape(&self) -> Shape {
        let short = |at| usize::from(u16_at(self.bytes, at));
        Shape::new(short(field::HEIGHT), short(field::WIDTH), short(field::CHANNELS))
    }

    /// How pictures become the input.
    pub fn preprocessing(&self) -> Preprocessing {
        let background = self.bytes.get(field::BACKGROUND..).and_then(|rest| rest.first_chunk());
        Preprocessing {
            fit: Fit::from_code(self.byte(field::FIT)).unwrap_or_default(),
            background: background.copied().unwrap_or_default(),
        }
    }

    /// Where the input stands in the arena.
    pub(crate) fn input_offset(&self) -> usize {
        u32_at(self.bytes, field::INPUT_OFFSET) as usize
    }

    /// Where the logits stand in the arena after a run.
    pub(crate) fn output_offset(&self) -> usize {
        u32_at(self.bytes, field::OUTPUT_OFFSET) as usize
    }

    /// The logits that the last run of this image left in an arena.
    pub fn logits_in<'r>(&self, arena: &'r [u32]) -> &'r [i8] {
        part(values(arena), self.output_offset(), self.classes())
    }

    /// The place of the input in an arena, and the larger part of the arena beside it, in which a program may
    /// work until it runs the network: nothing there is kept between runs. None where the arena is too small.
    pub fn input_in<'r>(&self, arena: &'r mut [u32]) -> Option<(&'r mut [u8], &'r mut [u32])> {
        let length = self.input_shape().len();
        let (before, rest) = arena.split_at_mut_checked(self.input_offset() / size_of::<u32>())?;
        let (input, behind) = rest.split_at_mut_checked(length.div_ceil(size_of::<u32>()))?;
        let beside = if before.len() > behind.len() { before } else { behind };
        Some((bytes_mut(input).get_mut(..length)?, beside))
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        usize::from(u16_at(self.bytes, field::CLASSES))
    }

    /// Scale of the logits: `real = scale * (logit - zero_point)`.
    pub fn output_scale(&self) -> f32 {
        f32::from_bits(u32_at(self.bytes, field::OUTPUT_SCALE))
    }

    /// Zero point of the logits.
    pub fn output_zero_point(&self) -> i8 {
        self.byte(field::OUTPUT_ZERO) as i8
    }

    /// Class names in the order of the logits.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut at = u32_at(self.bytes, field::LABELS) as usize;
        let bytes = self.bytes;
        (0..self.classes()).map(move |_| {
            let length = usize::from(u16_at(bytes, at));
            let label = part(bytes, at + 2, length);
            at += 2 + length;
            core::str::from_utf8(label).unwrap_or("")
        })
    }

    /// The table from a pixel of a channel to the network's input, or `None` when it is
    /// `pixel - 128` everywhere.
    pub(crate) fn pixel_table(&self, channel: usize) -> Option<&'a [u8; 256]> {
        if u16_at(self.bytes, field::FLAGS) & FLAG_PLAIN_PIXELS != 0 {
            return None;
        }
        let start = u32_at(self.bytes, field::PIXELS) as usize + channel * 256;
        self.bytes.get(start..).and_then(|rest| rest.first_chunk())
    }

    /// Pictures with the logits they must give: `(pixels, logits)`, pixels HWC.
    pub fn golden(&self) -> impl Iterator<Item = (&'a [u8], &'a [i8])> + use<'a> {
        let (pixels, classes) = (self.input_shape().len(), self.classes());
        let (bytes, start) = (self.bytes, u32_at(self.bytes, field::GOLDEN) as usize);
        (0..usize::from(u16_at(bytes, field::GOLDEN_COUNT))).map(move |index| {
            let at = start + index * (pixels + classes);
            (part(bytes, at, pixels), record::signed(part(bytes, at + pixels, classes)))
        })
    }

    /// Number of layers.
    pub fn layer_count(&self) -> usize {
        usize::from(u16_at(self.bytes, field::LAYER_COUNT))
    }

    /// The layers in the order they run, as the packer wrote them.
    #[cfg(feature = "pack")]
    pub fn layers(&self) -> impl Iterator<Item = Layer<'a>> + use<'a> {
        self.entries().map(|entry| entry.layer())
    }

    /// The layer table.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let (image, start) = (self.bytes, u32_at(self.bytes, field::LAYERS) as usize);
        let table = part(image, start, self.layer_count() * Record::BYTES);
        table.as_chunks().0.iter().map(move |bytes| Entry { image, bytes })
    }

    /// The entry of layer `index`.
    pub(crate) fn entry(&self, index: usize) -> Option<Entry<'a>> {
        self.entries().nth(index)
    }

    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }
}

#[cfg(target_endian = "big")]
compile_error!("the device image is little-endian and read in place");
