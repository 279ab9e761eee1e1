//! Pictures in flash, for boards that shall work without a host or a camera.

use goldcrest_engine::picture::ResizeError;
use goldcrest_engine::shape::Shape;

use super::{Fitting, ImageSource};

/// Pictures of one size, RGB, HWC, one behind the other; after the last one comes the first.
pub struct Stored<'p> {
    shape: Shape,
    pixels: &'p [u8],
    next: usize,
    /// One row, because rows are worked on.
    row: &'p mut [u8],
    sums: &'p mut [u64],
}

impl<'p> Stored<'p> {
    /// Pictures of `shape` (3 channels). `row` holds one of their rows, `sums` one row of the input's sums.
    ///
    /// # Errors
    /// Other than 3 channels, no whole picture, or a `row` that is too short.
    pub fn new(
        shape: Shape,
        pixels: &'p [u8],
        row: &'p mut [u8],
        sums: &'p mut [u64],
    ) -> Result<Self, ResizeError> {
        if shape.channels != 3 || shape.is_empty() || pixels.len() < shape.len() {
            return Err(ResizeError::Shape(shape));
        }
        let (found, expected) = (row.len(), shape.width * 3);
        let row = row.get_mut(..expected).ok_or(ResizeError::Row { found, expected })?;
        Ok(Self { shape, pixels, next: 0, row, sums })
    }
}

impl ImageSource for Stored<'_> {
    type Error = ResizeError;

    fn fill(&mut self, to: Shape, input: &mut [i8]) -> Result<(), ResizeError> {
        let start = self.next * self.shape.len();
        let picture = self.pixels.get(start..).and_then(|rest| rest.get(..self.shape.len()));
        // A part of a picture at the end is none.
        let picture = match picture {
            Some(picture) => picture,
            None => {
                self.next = 0;
                self.pixels.get(..self.shape.len()).unwrap_or_default()
            }
        };
        self.next += 1;
        let mut fitting = Fitting::new(self.shape, to, self.sums)?;
        for row in picture.chunks_exact(self.row.len()) {
            self.row.copy_from_slice(row);
            fitting.row(self.row, input)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldcrest_engine::picture::{Crop, Resize, color};
    use std::vec;
    use std::vec::Vec;

    /// What the host makes of a picture.
    fn expected(shape: Shape, pixels: &[u8], to: Shape) -> Vec<i8> {
        let gray = to.channels == 1;
        let of = Shape { channels: to.channels, ..shape };
        let pixels: Vec<u8> = match gray {
            true => pixels.as_chunks::<3>().0.iter().map(|&pixel| color::gray(pixel)).collect(),
            false => pixels.to_vec(),
        };
        let mut sums = vec![0; Resize::sums(to)];
        let mut resize = Resize::new(of, Crop::middle(of, to), to, &mut sums).unwrap();
        let mut output = vec![0; to.len()];
        for row in pixels.chunks(of.width * of.channels) {
            resize.row(row, |index, value| output[index] = value as i8).unwrap();
        }
        output
    }

    #[test]
    fn pictures_take_turns_and_are_the_hosts() {
        let shape = Shape::new(9, 14, 3);
        let pixels: Vec<u8> = (0..2 * shape.len() + 5).map(|index| (index * 89 % 253) as u8).collect();
        for to in [Shape::new(4, 4, 3), Shape::new(12, 6, 1)] {
            let (mut row, mut sums) = ([0; 60], [0; 18]);
            let mut source = Stored::new(shape, &pixels, &mut row, &mut sums).unwrap();
            let mut input = vec![0; to.len()];
            for turn in [0, 1, 0, 1] {
                source.fill(to, &mut input).unwrap();
                let picture = &pixels[turn * shape.len()..][..shape.len()];
                assert_eq!(input, expected(shape, picture, to), "{turn}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let shape = Shape::new(2, 2, 3);
        let pixels = [0; 12];
        let refused = |shape, pixels, room| Stored::new(shape, pixels, &mut vec![0; room], &mut []).err();
        assert_eq!(refused(Shape::new(2, 2, 1), &pixels, 6), Some(ResizeError::Shape(Shape::new(2, 2, 1))));
        assert_eq!(refused(shape, &pixels[..11], 6), Some(ResizeError::Shape(shape)));
        assert_eq!(refused(shape, &pixels, 5), Some(ResizeError::Row { found: 5, expected: 6 }));
        let (mut row, mut sums) = ([0; 6], [0; 6]);
        let mut source = Stored::new(shape, &pixels, &mut row, &mut sums).unwrap();
        let two = Shape::new(1, 1, 2);
        assert_eq!(source.fill(two, &mut [0; 2]), Err(ResizeError::Channels { picture: 3, output: 2 }));
    }
}
