//! Pictures that look alike: one scene photographed twice, one file saved or cropped twice.
//!
//! Two pictures are near twins where their perceptual hashes (difference hash of rows and columns of a 16x16
//! picture, 192 bits, by `image_hasher`) differ in at most [`MOST_BITS`] bits and 16x16 RGB copies of them
//! correlate by at least [`LEAST_CORRELATION`]. The hash finds the candidates, the correlation keeps apart
//! what has one outline and other colours. Both bounds are set by looking at the pairs of CIFAR-10 (JPEG
//! copy): 221 of its 10,000 test images then have a near twin among its training images, nearly all of them
//! rightly; with the hash alone the same number has silhouettes on other skies among them.
//!
//! Every picture is compared with every other: time grows with the square of their number.

use goldcrest_engine::shape::Shape;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use image_hasher::{HashAlg, Hasher, HasherConfig};
use rayon::prelude::*;

use super::findings::is_constant;

/// Bits in which the hashes of near twins differ at most.
const MOST_BITS: u32 = 18;
/// Correlation of near twins at least.
const LEAST_CORRELATION: f32 = 0.9;
/// Rows and columns of hash and copy.
const SIDE: u32 = 16;
const WORDS: usize = 3;

/// What is kept of a picture to compare it with others.
#[derive(Clone, Debug)]
pub(super) struct Likeness {
    hash: [u64; WORDS],
    /// The copy, less its mean, at length 1; empty of a picture of one colour, which is like none.
    copy: Box<[f32]>,
}

/// Makes likenesses; one for each thread.
pub(super) struct Painter(Hasher);

impl Painter {
    pub(super) fn new() -> Self {
        let config = HasherConfig::new().hash_alg(HashAlg::DoubleGradient).hash_size(SIDE, SIDE);
        Self(config.resize_filter(FilterType::Triangle).to_hasher())
    }

    /// Of gray or RGB pixels, row by row; nothing of an empty picture.
    pub(super) fn paint(&self, shape: Shape, pixels: &[u8]) -> Option<Likeness> {
        let Shape { height, width, channels } = shape;
        let pixel = |x: u32, y: u32| {
            let at = (y as usize * width + x as usize) * channels;
            Rgb(std::array::from_fn(|channel| pixels[at + channel % channels]))
        };
        if shape.is_empty() {
            return None;
        }
        let picture = RgbImage::from_fn(width as u32, height as u32, pixel);
        let mut hash = [0; WORDS];
        for (index, &byte) in self.0.hash_image(&picture).as_bytes().iter().enumerate() {
            hash[index / 8 % WORDS] |= u64::from(byte) << (8 * (index % 8));
        }
        let small = imageops::resize(&picture, SIDE, SIDE, FilterType::Triangle);
        let values = small.as_raw();
        let mean = values.iter().map(|&value| f32::from(value)).sum::<f32>() / values.len() as f32;
        let mut copy: Vec<f32> = values.iter().map(|&value| f32::from(value) - mean).collect();
        // A colour alone is like every picture of that colour.
        let is_flat = |channel: usize| {
            is_constant(&values.iter().skip(channel).step_by(3).copied().collect::<Vec<_>>())
        };
        if (0..3).all(is_flat) {
            copy.clear();
        }
        let length = copy.iter().map(|value| value * value).sum::<f32>().sqrt();
        copy.iter_mut().for_each(|value| *value /= length);
        Some(Likeness { hash, copy: copy.into() })
    }
}

impl Likeness {
    /// How alike two pictures with near hashes are, where they are near twins.
    fn correlation(&self, other: &Self) -> Option<f32> {
        if self.copy.is_empty() || other.copy.is_empty() {
            return None;
        }
        let correlation: f32 = self.copy.iter().zip(&other.copy).map(|(a, b)| a * b).sum();
        (correlation >= LEAST_CORRELATION).then_some(correlation)
    }
}

/// Whether two hashes are near; most pairs are told apart by the first word.
fn are_near(one: &[u64; WORDS], other: &[u64; WORDS]) -> bool {
    let mut bits = 0;
    one.iter().zip(other).all(|(a, b)| {
        bits += (a ^ b).count_ones();
        bits <= MOST_BITS
    })
}

/// For each picture the one of `others` that is most like it, of those that `may` be compared with it.
pub(super) fn across(
    pictures: &[(usize, &Likeness)],
    others: &[(usize, &Likeness)],
    may: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<(usize, usize)> {
    let hashes: Vec<[u64; WORDS]> = others.iter().map(|(_, one)| one.hash).collect();
    let best = |&picture: &(usize, &Likeness)| most_alike(picture, others, &hashes, &may);
    pictures.par_iter().filter_map(best).collect()
}

/// The same among the pictures before each.
pub(super) fn within(
    pictures: &[(usize, &Likeness)],
    may: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<(usize, usize)> {
    let hashes: Vec<[u64; WORDS]> = pictures.iter().map(|(_, one)| one.hash).collect();
    let best = |(place, &picture): (usize, &(usize, &Likeness))| {
        most_alike(picture, &pictures[..place], &hashes[..place], &may)
    };
    pictures.par_iter().enumerate().filter_map(best).collect()
}

fn most_alike(
    (index, one): (usize, &Likeness),
    others: &[(usize, &Likeness)],
    hashes: &[[u64; WORDS]],
    may: &impl Fn(usize, usize) -> bool,
) -> Option<(usize, usize)> {
    let near = others.iter().zip(hashes).filter(|(_, hash)| are_near(&one.hash, hash));
    let near = near.filter(|((other, _), _)| may(index, *other));
    let alike = near.filter_map(|((other, likeness), _)| Some((*other, one.correlation(likeness)?)));
    let (other, _) = alike.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some((index, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_twins(one: &Likeness, other: &Likeness) -> bool {
        across(&[(0, one)], &[(1, other)], |_, _| true) == [(0, 1)]
    }

    fn scene(height: usize, width: usize, change: impl Fn(f32, f32) -> f32) -> Likeness {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (v, u) = (y as f32 / height as f32, x as f32 / width as f32);
                let value = change(u, v);
                pixels.extend([value, value * 0.8, 255.0 - value].map(|value| value.clamp(0.0, 255.0) as u8));
            }
        }
        Painter::new().paint(Shape::new(height, width, 3), &pixels).unwrap()
    }

    fn waves(u: f32, v: f32) -> f32 {
        128.0 + 60.0 * (9.0 * u + 2.0 * v).sin() + 50.0 * (7.0 * v * u).cos()
    }

    #[test]
    fn other_sizes_and_light_are_alike_and_other_scenes_are_not() {
        let original = scene(48, 64, waves);
        let smaller = scene(30, 40, waves);
        let brighter = scene(48, 64, |u, v| 1.1 * waves(u, v) + 10.0);
        let other = scene(48, 64, |u, v| waves(v, 1.0 - u));
        assert!(are_twins(&original, &smaller) && are_twins(&original, &brighter));
        assert!(!are_twins(&original, &other));
        let flat = scene(8, 8, |_, _| 7.0);
        assert!(!are_twins(&flat, &flat));
    }

    #[test]
    fn the_most_alike_is_taken_among_those_that_may_be() {
        let (one, near, nearer) =
            (scene(48, 64, waves), scene(48, 64, |u, v| waves(u + 0.01, v)), scene(47, 64, waves));
        let others = [(1, &near), (2, &nearer)];
        assert_eq!(across(&[(0, &one)], &others, |_, _| true), [(0, 2)]);
        assert_eq!(across(&[(0, &one)], &others, |_, other| other == 1), [(0, 1)]);
        assert_eq!(across(&[(0, &one)], &others, |_, _| false), []);
        assert_eq!(within(&[(0, &one), (1, &near), (2, &nearer)], |_, _| true), [(1, 0), (2, 0)]);
    }
}
