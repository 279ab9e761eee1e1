//! Shifts: pad, then crop.

use std::{fmt, sync::Arc};

use super::{Augment, Canvas};
use crate::random::Random;

/// Pads all sides with black and crops back to the old size at a random place, as torchvision's
/// `RandomCrop(size, padding)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Pixels on each side.
    pub padding: usize,
}

pub(super) fn make(number: Option<f32>) -> Result<Arc<dyn Augment>, &'static str> {
    match number {
        Some(padding @ 0.0..=1024.0) if padding.fract() == 0.0 => {
            Ok(Arc::new(Crop { padding: padding as usize }))
        }
        _ => Err("the padding is a whole number of pixels"),
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crop={}", self.padding)
    }
}

/// Where `length` pixels go when everything is shifted by `shift`: first target, first source and
/// number of pixels that stay inside.
fn overlap(length: usize, shift: isize) -> (usize, usize, usize) {
    let gap = shift.unsigned_abs().min(length);
    if shift >= 0 { (gap, 0, length - gap) } else { (0, gap, length - gap) }
}

impl Augment for Crop {
    fn apply(&self, canvas: &mut Canvas, random: &mut Random) {
        let shape = canvas.shape();
        let mut shift = || random.below(2 * self.padding + 1) as isize - self.padding as isize;
        let (down, right) = (shift(), shift());
        if (down, right) == (0, 0) {
            return;
        }
        let (to_row, from_row, rows) = overlap(shape.height, down);
        let (to_column, from_column, columns) = overlap(shape.width, right);
        let pixel = |row: usize, column: usize| (row * shape.width + column) * shape.channels;
        canvas.redraw(|from, to| {
            to.fill(0);
            for row in 0..rows {
                let length = columns * shape.channels;
                let to = &mut to[pixel(to_row + row, to_column)..][..length];
                to.copy_from_slice(&from[pixel(from_row + row, from_column)..][..length]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn shows_every_shift_with_black_around() {
        let shape = Shape::new(3, 4, 3);
        let image: Vec<u8> = (1..=shape.len()).map(|v| v as u8).collect();
        let mut canvas = Canvas::new(shape);
        let mut random = Random::new(2);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..600 {
            canvas.load(&image);
            Crop { padding: 2 }.apply(&mut canvas, &mut random);
            let matching: Vec<(isize, isize)> = (-2..=2)
                .flat_map(|down| (-2..=2).map(move |right| (down, right)))
                .filter(|&(down, right)| {
                    (0..shape.len()).all(|at| {
                        let (row, column, channel) = (at / 12, at / 3 % 4, at % 3);
                        let (row, column) = (row as isize - down, column as isize - right);
                        let inside = (0..3).contains(&row) && (0..4).contains(&column);
                        let expected = if inside {
                            image[(row as usize * 4 + column as usize) * 3 + channel]
                        } else {
                            0
                        };
                        canvas.pixels()[at] == expected
                    })
                })
                .collect();
            assert_eq!(matching.len(), 1);
            seen.extend(matching);
        }
        assert_eq!(seen.len(), 25);
    }
}
