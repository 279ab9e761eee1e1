//! Hidden squares.

use std::{fmt, sync::Arc};

use super::{Augment, Canvas};
use crate::random::Random;

/// Middle gray: close to the mean, so nearly 0 after normalization, as in the paper.
const GRAY: u8 = 128;

/// Grays out a square at a random place (DeVries, Taylor: "Improved Regularization of Convolutional
/// Neural Networks with Cutout", 2017). Its centre is anywhere in the image, so parts of it may lie
/// outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutout {
    /// Side of the square in pixels.
    pub side: usize,
}

pub(super) fn make(number: Option<f32>) -> Result<Arc<dyn Augment>, &'static str> {
    match number {
        Some(side @ 1.0..=1024.0) if side.fract() == 0.0 => Ok(Arc::new(Cutout { side: side as usize })),
        _ => Err("the side is a whole number of pixels, 1 or more"),
    }
}

impl fmt::Display for Cutout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cutout={}", self.side)
    }
}

impl Augment for Cutout {
    fn apply(&self, canvas: &mut Canvas, random: &mut Random) {
        let shape = canvas.shape();
        let mut span = |length: usize| {
            let centre = random.below(length);
            let start = centre.saturating_sub(self.side / 2);
            let end = (centre + self.side - self.side / 2).min(length);
            start..end
        };
        let (rows, columns) = (span(shape.height), span(shape.width));
        for row in rows {
            let start = row * shape.width * shape.channels;
            let columns = columns.start * shape.channels..columns.end * shape.channels;
            canvas.pixels_mut()[start..][columns].fill(GRAY);
        }
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn hides_a_square_anywhere() {
        let shape = Shape::new(8, 9, 3);
        let mut canvas = Canvas::new(shape);
        let mut random = Random::new(3);
        let mut hidden = vec![0; 72];
        let mut largest = 0;
        for _ in 0..2000 {
            canvas.load(&[7; 8 * 9 * 3]);
            Cutout { side: 4 }.apply(&mut canvas, &mut random);
            let gray: Vec<bool> = canvas.pixels().chunks(3).map(|pixel| pixel == [GRAY; 3]).collect();
            assert!(canvas.pixels().chunks(3).all(|pixel| pixel == [GRAY; 3] || pixel == [7; 3]));
            gray.iter().zip(&mut hidden).for_each(|(&gray, count)| *count += usize::from(gray));
            largest = largest.max(gray.iter().filter(|&&gray| gray).count());
        }
        assert_eq!(largest, 16);
        assert!(hidden.iter().all(|&count| count > 0), "{hidden:?}");
    }
}
