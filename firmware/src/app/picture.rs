//! A picture of any size that comes over the link, on its way into the model's input. It needs no memory of
//! its own: what a row takes lies in the arena beside the input, where nothing else is kept between runs.

use goldcrest_engine::Image;
use goldcrest_engine::picture::{Preparation, Preprocessing, Resize, Scratch};
use goldcrest_engine::shape::Shape;
use goldcrest_link::{CRC, Digest, Refusal};

/// A picture that has begun to come.
pub struct Incoming {
    /// Of the picture: gray or RGB.
    pub shape: Shape,
    preparation: Preparation,
    /// Bytes taken, in order.
    received: usize,
    /// Of those.
    digest: Digest,
    /// CRC of the input, once it was made.
    input: Option<u32>,
}

/// Bytes of a picture; none of one that the link cannot count.
pub fn bytes(shape: Shape) -> Option<usize> {
    let Shape { height, width, channels } = shape;
    let bytes = u32::try_from(height as u64 * width as u64 * channels as u64).ok()?;
    Some(bytes as usize).filter(|&bytes| bytes > 0)
}

impl Incoming {
    /// Begins a picture, of which some bytes are expected.
    ///
    /// # Errors
    /// When it cannot become the model's input, or its rows do not fit the arena.
    pub fn begin(image: &Image, shape: Shape, arena: &mut [u32]) -> Result<Self, Refusal> {
        bytes(shape).ok_or(Refusal::Picture)?;
        let (rule, to) = (image.preprocessing(), image.input_shape());
        let Room { input, .. } = Room::new(image, shape, arena)?;
        let preparation = rule.begin(shape, to, |index, value| set(input, index, value));
        let preparation = preparation.map_err(|_| Refusal::Picture)?;
        Ok(Self { shape, preparation, received: 0, digest: CRC.digest(), input: None })
    }

    /// Bytes taken, and once they are all, the input's CRC.
    pub fn state(&self) -> (usize, Option<u32>) {
        (self.received, self.input)
    }

    /// CRC of the bytes taken.
    pub fn crc(&self) -> u32 {
        self.digest.clone().finalize()
    }

    /// Takes what is new of the picture's bytes from `offset` on; nothing when some before them are missing.
    ///
    /// # Errors
    /// Those of [`Incoming::begin`], which a picture that has begun does not meet.
    pub fn take(
        &mut self,
        offset: usize,
        pixels: &[u8],
        image: &Image,
        arena: &mut [u32],
    ) -> Result<(), Refusal> {
        let Some(mut rest) = self.received.checked_sub(offset).and_then(|known| pixels.get(known..)) else {
            return Ok(());
        };
        let Room { input, sums, line, row } = Room::new(image, self.shape, arena)?;
        let mut scratch = Scratch { sums, row };
        self.digest.update(rest);
        while !rest.is_empty() {
            let filled = self.received % line.len();
            let (part, behind) = rest.split_at(rest.len().min(line.len() - filled));
            rest = behind;
            self.received += part.len();
            let whole = if part.len() == line.len() {
                part
            } else {
                line.iter_mut().skip(filled).zip(part).for_each(|(place, &byte)| *place = byte);
                if filled + part.len() < line.len() {
                    break;
                }
                &*line
            };
            let put = |index, value| set(input, index, value);
            self.preparation.row(whole, &mut scratch, put).map_err(|_| Refusal::Picture)?;
        }
        if bytes(self.shape) == Some(self.received) && self.input.is_none() {
            self.input = Some(CRC.checksum(input));
        }
        Ok(())
    }
}

fn set(input: &mut [u8], index: usize, value: u8) {
    if let Some(place) = input.get_mut(index) {
        *place = value;
    }
}

/// The arena while a picture comes; the same for every piece of it.
struct Room<'a> {
    input: &'a mut [u8],
    sums: &'a mut [u64],
    /// A row that has come in part.
    line: &'a mut [u8],
    /// A row with the input's channels.
    row: &'a mut [u8],
}

impl<'a> Room<'a> {
    fn new(image: &Image, picture: Shape, arena: &'a mut [u32]) -> Result<Self, Refusal> {
        let to = image.input_shape();
        let small =
            Refusal::PictureRoom { needed: image.arena_bytes() as u32, room: size_of_val(arena) as u32 };
        let (input, beside) = image.input_in(arena).ok_or(small)?;
        let (_, numbers, _) = bytemuck::pod_align_to_mut::<u32, u64>(beside);
        let (sums, line, row) =
            (Resize::sums(to), picture.width * picture.channels, Preprocessing::row(picture, to));
        let (room, needed) = (size_of_val(numbers), sums * size_of::<u64>() + line + row);
        let small = Refusal::PictureRoom { needed: needed as u32, room: room as u32 };
        let (sums, rest) = numbers.split_at_mut_checked(sums).ok_or(small)?;
        let (line, rest) = bytemuck::cast_slice_mut(rest).split_at_mut_checked(line).ok_or(small)?;
        let row = rest.get_mut(..row).ok_or(small)?;
        Ok(Self { input, sums, line, row })
    }
}
