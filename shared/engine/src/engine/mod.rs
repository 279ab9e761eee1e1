//! Inference: a walk over an image's layers in one caller-owned arena.

mod arena;
mod error;

#[cfg(feature = "alloc")]
pub(crate) use arena::bytes;
pub(crate) use arena::bytes_mut;
use arena::values_mut;
pub(crate) use arena::{Arena, part, values};
pub use error::{ArenaTooSmall, OpenError, SelfTestError, WrongPixelCount};

use crate::answer::{largest, softmax};
use crate::image::{Entry, Image};
use crate::kernels;
use crate::picture::{ResizeError, Scratch};
use crate::shape::Shape;

/// A network in its arena, ready to run as often as wanted.
///
/// No allocation, no floating point, no recursion, and no check but those that were made when the image was
/// opened. Each run needs its input written again: layers reuse its memory. Whoever takes the input
/// ([`Engine::input_u8`], [`Engine::input_i8`], [`Engine::load_pixels`], [`Engine::load_picture`]) begins a
/// new run.
#[derive(Debug)]
pub struct Engine<'a> {
    image: Image<'a>,
    arena: &'a mut [u32],
    /// Layers of the current run that are done.
    done: usize,
    /// Whether the input holds pixels, which are not yet the network's values.
    is_raw: bool,
}

impl<'a> Engine<'a> {
    /// A network in an arena of at least [`Image::arena_words`]. What the arena holds stays, so engines of
    /// two models may share it in turn; whatever stands at the input's place is the input.
    ///
    /// # Errors
    /// When the arena has fewer bytes than [`Image::arena_bytes`].
    pub fn new(image: &Image<'a>, arena: &'a mut [u32]) -> Result<Self, ArenaTooSmall> {
        let (found, expected) = (size_of_val(arena), image.arena_bytes());
        if found < expected {
            return Err(ArenaTooSmall { found, expected });
        }
        Ok(Self { image: *image, arena, done: 0, is_raw: false })
    }

    /// The image that runs.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The place of the next picture: u8 pixels, HWC, of the model's size, to be written here by a camera's
    /// driver or by DMA. [`Engine::prepare`], or the first [`Engine::step`], turns them into the network's
    /// values.
    pub fn input_u8(&mut self) -> &mut [u8] {
        let (offset, length) = (self.image.input_offset(), self.image.input_shape().len());
        (self.done, self.is_raw) = (0, true);
        bytes_mut(self.arena).get_mut(offset..offset + length).unwrap_or_default()
    }

    /// The input tensor, int8, HWC: for callers that have the network's own values, such as spectra.
    pub fn input_i8(&mut self) -> &mut [i8] {
        let (offset, length) = (self.image.input_offset(), self.image.input_shape().len());
        (self.done, self.is_raw) = (0, false);
        values_mut(self.arena).get_mut(offset..offset + length).unwrap_or_default()
    }

    /// Takes a picture (u8, HWC) of the model's size.
    ///
    /// # Errors
    /// When the picture has another size than the input.
    pub fn load_pixels(&mut self, pixels: &[u8]) -> Result<(), WrongPixelCount> {
        let expected = self.image.input_shape().len();
        let input = self.input_u8();
        if pixels.len() != input.len() {
            return Err(WrongPixelCount { found: pixels.len(), expected });
        }
        input.copy_from_slice(pixels);
        self.prepare();
        Ok(())
    }

    /// Takes a picture (u8, HWC, gray or RGB) of any size, as the model's preprocessing says: bit for bit
    /// what training and evaluation see.
    ///
    /// # Errors
    /// Channels that cannot become the input's, sides that are too long, too little scratch memory, or pixels
    /// that are not as many as `picture` says.
    pub fn load_picture(
        &mut self,
        picture: Shape,
        pixels: &[u8],
        scratch: Scratch<'_>,
    ) -> Result<(), ResizeError> {
        let (rule, to) = (self.image.preprocessing(), self.image.input_shape());
        rule.prepare(picture, pixels, to, scratch, self.input_u8())?;
        self.prepare();
        Ok(())
    }

    /// Turns the pixels of [`Engine::input_u8`] into the network's values, through the image's pixel tables:
    /// the work that the first [`Engine::step`] would do else, at a time of the caller's choice.
    pub fn prepare(&mut self) {
        if !self.is_raw {
            return;
        }
        let image = self.image;
        let channels = image.input_shape().channels.max(1);
        let input = self.input_i8();
        for channel in 0..channels {
            let table = image.pixel_table(channel);
            let mut at = channel;
            while let Some(value) = input.get_mut(at) {
                let pixel = *value as u8;
                *value = table.map_or(pixel ^ 0x80, |table| table[usize::from(pixel)]) as i8;
                at += channels;
            }
        }
    }

    /// Runs the next layer; whether layers are left. Between two calls the program may do what it likes, but
    /// write to the arena.
    ///
    /// ```
    /// # use goldcrest_engine::Engine;
    /// # fn run(engine: &mut Engine<'_>, feed: impl Fn()) {
    /// while engine.step() {
    ///     feed(); // a watchdog; or let another task run
    /// }
    /// # }
    /// ```
    pub fn step(&mut self) -> bool {
        self.layer();
        !self.is_done()
    }

    /// Runs the layers that are left, all of them on a new input, and returns the logits.
    pub fn run(&mut self) -> &[i8] {
        while self.step() {}
        self.logits()
    }

    /// Runs the layers that are left and shows each layer's output (HWC) right after the layer ran, before a
    /// later layer reuses its memory. Layers that write only a part of a tensor are not shown.
    pub fn run_traced(&mut self, observe: &mut impl FnMut(usize, &[i8])) -> &[i8] {
        while let Some(entry) = self.layer() {
            if let Some(output) = entry.complete_output() {
                observe(self.done - 1, part(values(self.arena), output.offset, output.shape.len()));
            }
        }
        self.logits()
    }

    /// The logits; none while layers are left.
    pub fn logits(&self) -> &[i8] {
        if self.is_done() { self.image.logits_in(self.arena) } else { &[] }
    }

    /// The class with the largest logit, the first of equal ones, and its label; `None` while layers are
    /// left.
    pub fn best(&self) -> Option<(usize, &'a str)> {
        let best = largest(self.logits());
        self.is_done().then(|| (best, self.image.labels().nth(best).unwrap_or_default()))
    }

    /// The classes' probabilities (softmax) in 1/32768, by integer arithmetic, one for each place of `into`;
    /// zeros while layers are left. Off by at most 2/32768.
    pub fn probabilities(&self, into: &mut [u16]) {
        softmax(self.logits(), self.image.output_scale(), into);
    }

    /// Runs the golden vectors in the image and compares every logit, bit for bit: the proof that this
    /// program, on this core, computes what the model says. The number of vectors.
    ///
    /// # Errors
    /// When a logit differs, or there is nothing to compare.
    pub fn selftest(&mut self) -> Result<u16, SelfTestError> {
        let (mut vectors, mut failed) = (0, 0);
        for (pixels, expected) in self.image.golden() {
            vectors += 1;
            failed += u16::from(self.load_pixels(pixels).is_err() || self.run() != expected);
        }
        match (vectors, failed) {
            (0, _) => Err(SelfTestError::NoVectors),
            (_, 0) => Ok(vectors),
            _ => Err(SelfTestError::Failed { vectors, failed }),
        }
    }

    fn is_done(&self) -> bool {
        self.done >= self.image.layer_count()
    }

    /// Runs the next layer, if there is one.
    fn layer(&mut self) -> Option<Entry<'a>> {
        self.prepare();
        let entry = self.image.entry(self.done)?;
        kernels::run(self.image.kernels(), &entry, Arena::new(self.arena));
        self.done += 1;
        Some(entry)
    }
}
