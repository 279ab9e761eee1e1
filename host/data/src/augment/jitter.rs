//! Changes of light and colour.

use std::{fmt, sync::Arc};

use super::{Augment, Canvas};
use crate::random::Random;

/// Scales brightness, contrast (around the image's mean gray) and, in colour images, saturation,
/// each by a factor drawn from `1 - amount` to `1 + amount`, as torchvision's `ColorJitter` in fixed
/// order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// 0 to 1.
    pub amount: f32,
}

pub(super) fn make(number: Option<f32>) -> Result<Arc<dyn Augment>, &'static str> {
    match number {
        Some(amount @ 0.0..=1.0) => Ok(Arc::new(Jitter { amount })),
        _ => Err("the share is 0 to 1"),
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jitter={}", self.amount)
    }
}

fn gray(pixel: &[u8; 3]) -> f32 {
    0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
}

/// To the nearest byte.
fn byte(value: f32) -> u8 {
    // The cast saturates.
    (value + 0.5) as u8
}

impl Augment for Jitter {
    fn apply(&self, canvas: &mut Canvas, random: &mut Random) {
        let mut factor = || random.range(1.0 - self.amount, 1.0 + self.amount);
        let (brightness, contrast, saturation) = (factor(), factor(), factor());
        let coloured = canvas.shape().channels == 3;
        let pixels = canvas.pixels_mut();
        let mean = if coloured {
            let (pixels, _) = pixels.as_chunks::<3>();
            pixels.iter().map(gray).sum::<f32>() / pixels.len() as f32
        } else {
            pixels.iter().map(|&value| f32::from(value)).sum::<f32>() / pixels.len() as f32
        };
        // Both are one linear map: (v - mean) * contrast + mean, all times brightness.
        let scale = brightness * contrast;
        let offset = brightness * mean * (1.0 - contrast);
        if coloured {
            for pixel in pixels.as_chunks_mut::<3>().0 {
                let gray = gray(pixel);
                let base = gray * (1.0 - saturation);
                *pixel = pixel.map(|value| byte((base + f32::from(value) * saturation) * scale + offset));
            }
        } else {
            for value in pixels {
                *value = byte(f32::from(*value) * scale + offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    fn jittered(shape: Shape, image: &[u8], amount: f32, seed: u64) -> Vec<u8> {
        let mut canvas = Canvas::new(shape);
        canvas.load(image);
        Jitter { amount }.apply(&mut canvas, &mut Random::new(seed));
        canvas.pixels().to_vec()
    }

    #[test]
    fn nothing_at_zero_and_within_bounds_else() {
        let shape = Shape::new(2, 2, 3);
        let image = [0, 10, 20, 128, 128, 128, 255, 0, 255, 90, 200, 40];
        assert_eq!(jittered(shape, &image, 0.0, 1), image);
        let flat = [100; 12];
        for seed in 0..200 {
            // A flat gray image has no contrast and no saturation: brightness alone.
            let out = jittered(shape, &flat, 0.2, seed);
            assert!(out.iter().all(|&value| value == out[0]) && (80..=120).contains(&out[0]), "{out:?}");
        }
        let many: std::collections::BTreeSet<Vec<u8>> =
            (0..50).map(|seed| jittered(Shape::new(2, 6, 1), &image, 0.3, seed)).collect();
        assert!(many.len() > 40);
    }
}
