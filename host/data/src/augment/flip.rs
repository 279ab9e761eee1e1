//! Mirror images.

use std::{fmt, sync::Arc};

use super::{Augment, Canvas};
use crate::random::Random;

/// Mirrors left and right with a probability, as torchvision's `RandomHorizontalFlip`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// 0 to 1.
    pub probability: f32,
}

impl Default for Flip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

pub(super) fn make(number: Option<f32>) -> Result<Arc<dyn Augment>, &'static str> {
    match number.unwrap_or(0.5) {
        probability @ 0.0..=1.0 => Ok(Arc::new(Flip { probability })),
        _ => Err("the probability is 0 to 1"),
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.probability == 0.5 { f.write_str("flip") } else { write!(f, "flip={}", self.probability) }
    }
}

impl Augment for Flip {
    fn apply(&self, canvas: &mut Canvas, random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let shape = canvas.shape();
        let rows = canvas.pixels_mut().chunks_exact_mut(shape.width * shape.channels);
        match shape.channels {
            1 => rows.for_each(<[u8]>::reverse),
            3 => rows.for_each(|row| row.as_chunks_mut::<3>().0.reverse()),
            channels => rows.for_each(|row| {
                row.reverse();
                row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn mirrors_columns_and_keeps_channels() {
        for channels in 1..=4 {
            let shape = Shape::new(2, 3, channels);
            let image: Vec<u8> = (0..shape.len()).map(|v| v as u8).collect();
            let mut canvas = Canvas::new(shape);
            canvas.load(&image);
            Flip { probability: 1.0 }.apply(&mut canvas, &mut Random::new(0));
            for row in 0..2 {
                for column in 0..3 {
                    let at = |column: usize| (row * 3 + column) * channels..(row * 3 + column + 1) * channels;
                    assert_eq!(canvas.pixels()[at(column)], image[at(2 - column)]);
                }
            }
            Flip { probability: 0.0 }.apply(&mut canvas, &mut Random::new(0));
            assert_ne!(canvas.pixels(), image);
        }
    }

    #[test]
    fn half_of_the_images_by_default() {
        let mut random = Random::new(1);
        let mut canvas = Canvas::new(Shape::new(1, 2, 1));
        let flipped = (0..1000)
            .filter(|_| {
                canvas.load(&[1, 2]);
                Flip::default().apply(&mut canvas, &mut random);
                canvas.pixels() == [2, 1]
            })
            .count();
        assert!((450..550).contains(&flipped), "{flipped}");
    }
}
