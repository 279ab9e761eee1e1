//! Inference: a walk over an image's layers in one caller-owned arena.

mod arena;

pub use arena::values;
use arena::values_mut;
pub(crate) use arena::{Arena, part};
#[cfg(feature = "alloc")]
pub(crate) use arena::{bytes, bytes_mut};

use crate::image::Image;
use crate::kernels;

/// A network in its arena, ready to run as often as wanted.
///
/// No allocation, no floating point, no recursion. Each run needs its input written again: layers
/// reuse its memory.
#[derive(Debug)]
pub struct Engine<'a> {
    image: Image<'a>,
    arena: &'a mut [u32],
}

/// The arena is smaller than the image needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ArenaTooSmall {
    /// Bytes given.
    pub found: usize,
    /// Bytes the image needs.
    pub expected: usize,
}

impl core::fmt::Display for ArenaTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { found, expected } = self;
        write!(f, "arena of {found} bytes, but the model needs {expected}; enlarge the arena or pack for RAM")
    }
}

impl core::error::Error for ArenaTooSmall {}

/// A picture with another number of bytes than the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WrongPixelCount {
    /// Bytes given.
    pub found: usize,
    /// Height x width x channels of the input.
    pub expected: usize,
}

impl core::fmt::Display for WrongPixelCount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { found, expected } = self;
        write!(f, "picture of {found} bytes, but the model takes {expected}; resize it to the model's input")
    }
}

impl core::error::Error for WrongPixelCount {}

impl<'a> Engine<'a> {
    /// A network in an arena of words; [`Engine::words`] says how many.
    ///
    /// # Errors
    /// When the arena has fewer bytes than [`Image::arena_bytes`].
    pub fn new(image: &Image<'a>, arena: &'a mut [u32]) -> Result<Self, ArenaTooSmall> {
        let (found, expected) = (size_of_val(arena), image.arena_bytes());
        if found < expected {
            return Err(ArenaTooSmall { found, expected });
        }
        Ok(Self { image: *image, arena })
    }

    /// Words of arena that an image needs.
    pub fn words(image: &Image<'_>) -> usize {
        image.arena_bytes().div_ceil(size_of::<u32>())
    }

    /// The image that runs.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The input tensor, int8, HWC: for callers that have more than pixels.
    pub fn input_mut(&mut self) -> &mut [i8] {
        let (offset, length) = (self.image.input_offset(), self.image.input_shape().len());
        values_mut(self.arena).get_mut(offset..offset + length).unwrap_or_default()
    }

    /// Writes a picture (u8, HWC) into the input tensor through the image's pixel tables.
    ///
    /// # Errors
    /// When the picture has another size than the input.
    pub fn load_pixels(&mut self, pixels: &[u8]) -> Result<(), WrongPixelCount> {
        let image = self.image;
        let input = self.input_mut();
        if pixels.len() != input.len() {
            return Err(WrongPixelCount { found: pixels.len(), expected: input.len() });
        }
        let channels = image.input_shape().channels.max(1);
        for channel in 0..channels {
            let pixels = pixels.iter().skip(channel).step_by(channels);
            let values = input.iter_mut().skip(channel).step_by(channels);
            match image.pixel_table(channel) {
                Some(table) => {
                    values.zip(pixels).for_each(|(value, &pixel)| *value = table[usize::from(pixel)] as i8);
                }
                None => values.zip(pixels).for_each(|(value, &pixel)| *value = (pixel ^ 0x80) as i8),
            }
        }
        Ok(())
    }

    /// Runs the network on the input and returns the logits.
    pub fn run(&mut self) -> &[i8] {
        self.run_traced(&mut |_, _| {})
    }

    /// Runs the network and shows each layer's output (HWC) right after the layer ran, before a
    /// later layer reuses its memory. Layers that write only a part of a tensor are not shown.
    pub fn run_traced(&mut self, observe: &mut impl FnMut(usize, &[i8])) -> &[i8] {
        for (index, entry) in self.image.entries().enumerate() {
            kernels::run(&entry, Arena::new(self.arena));
            if let Some(output) = entry.complete_output() {
                observe(index, part(values(self.arena), output.offset, output.shape.len()));
            }
        }
        part(values(self.arena), self.image.output_offset(), self.image.classes())
    }
}
