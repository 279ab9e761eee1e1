//! Mixed images: two images of a batch become one that is partly of either class.

use std::fmt;

use goldcrest_engine::shape::Shape;

use crate::random::Random;

/// How the images of a batch are mixed; the default mixes nothing. Where both are given, each batch takes one
/// of them at random.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mix {
    /// Averages of two images, by a share drawn from Beta(a, a) with this `a` (Zhang et al.: "mixup: Beyond
    /// Empirical Risk Minimization", 2018).
    pub mixup: Option<f32>,
    /// A rectangle of another image, as large as a share drawn from Beta(a, a) asks (Yun et al.: "CutMix",
    /// 2019).
    pub cutmix: Option<f32>,
}

/// Largest `a`. The draw takes the longer, the larger it is, and beyond this all shares are near a half.
const LARGEST: f32 = 2.0;

/// Name and meaning, as the family of steps lists them.
pub(super) const FAMILY: [(&str, &str); 2] = [
    ("mixup", "mixup=A: average each image with another of its batch, the share from Beta(A, A)"),
    ("cutmix", "cutmix=A: replace a rectangle by that of another image, the area from Beta(A, A)"),
];

impl Mix {
    /// True when every image stays as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over the step of this name; false where the family has none.
    pub(super) fn set(&mut self, name: &str, number: Option<f32>) -> Result<bool, &'static str> {
        let place = match name {
            "mixup" => &mut self.mixup,
            "cutmix" => &mut self.cutmix,
            _ => return Ok(false),
        };
        match number {
            Some(alpha) if alpha > 0.0 && alpha <= LARGEST => *place = Some(alpha),
            _ => return Err("the number is above 0 and at most 2"),
        }
        Ok(true)
    }

    /// Mixes images (channels x height x width each) of `shape` with each other. Afterwards image `i` keeps
    /// the returned share of itself, the rest is of image `partners[i]`.
    pub fn apply(
        &self,
        images: &mut [f32],
        shape: Shape,
        random: &mut Random,
        spare: &mut Vec<f32>,
    ) -> (Vec<u32>, f32) {
        let count = images.len() / shape.len().max(1);
        let mut partners: Vec<u32> = (0..count as u32).collect();
        random.shuffle(&mut partners);
        spare.clear();
        spare.extend_from_slice(images);
        let partner = |at: usize| &spare[partners[at] as usize * shape.len()..][..shape.len()];
        let cut = match (self.mixup, self.cutmix) {
            (None, None) => return (partners, 1.0),
            (mixup, cutmix) => cutmix.is_some() && (mixup.is_none() || random.chance(0.5)),
        };
        let alpha = if cut { self.cutmix } else { self.mixup };
        let mut share = beta(alpha.unwrap_or(1.0), random);
        let planes = images.chunks_exact_mut(shape.len().max(1)).enumerate();
        if cut {
            let side = (1.0 - share).sqrt();
            let rows = span(shape.height, side, random);
            let columns = span(shape.width, side, random);
            for (at, image) in planes {
                for (plane, other) in image
                    .chunks_exact_mut(shape.height * shape.width)
                    .zip(partner(at).chunks_exact(shape.height * shape.width))
                {
                    for row in rows.clone() {
                        let place = row * shape.width + columns.start..row * shape.width + columns.end;
                        plane[place.clone()].copy_from_slice(&other[place]);
                    }
                }
            }
            share = 1.0 - (rows.len() * columns.len()) as f32 / (shape.height * shape.width) as f32;
        } else {
            for (at, image) in planes {
                for (value, other) in image.iter_mut().zip(partner(at)) {
                    *value = share * *value + (1.0 - share) * other;
                }
            }
        }
        (partners, share)
    }
}

/// A part of `0..length` that is as long as `share` of it, around a random place; parts beyond the ends are
/// cut.
fn span(length: usize, share: f32, random: &mut Random) -> std::ops::Range<usize> {
    let part = (share * length as f32) as usize;
    let centre = random.below(length);
    centre.saturating_sub(part / 2)..(centre + part - part / 2).min(length)
}

/// A draw from Beta(a, a), by Jöhnk's method (1964).
fn beta(alpha: f32, random: &mut Random) -> f32 {
    let exponent = 1.0 / f64::from(alpha);
    loop {
        let [x, y] = [(); 2].map(|()| f64::from(random.unit()).powf(exponent));
        if x + y > 0.0 && x + y <= 1.0 {
            return (x / (x + y)) as f32;
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = [("mixup", self.mixup), ("cutmix", self.cutmix)];
        let mut steps = steps.iter().filter_map(|(name, alpha)| Some((name, (*alpha)?)));
        if let Some((name, alpha)) = steps.next() {
            write!(f, "{name}={alpha}")?;
        }
        steps.try_for_each(|(name, alpha)| write!(f, ",{name}={alpha}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(4, 5, 2);

    /// Images of one value each: their number, and a half in the second plane.
    fn images(count: usize) -> Vec<f32> {
        let planes = |at: usize| [[at as f32; 20], [at as f32 + 0.5; 20]].concat();
        (0..count).flat_map(planes).collect()
    }

    #[test]
    fn every_pixel_is_of_the_image_and_its_partner_by_the_share() {
        let (mut shares, mut spare) = (Vec::new(), Vec::new());
        for seed in 0..200 {
            let mix = Mix { mixup: Some(0.5), cutmix: (seed % 2 == 0).then_some(1.0) };
            let mut mixed = images(6);
            let (partners, share) = mix.apply(&mut mixed, SHAPE, &mut Random::new(seed), &mut spare);
            shares.push(share);
            let mut sorted = partners.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..6));
            for (at, image) in mixed.chunks(40).enumerate() {
                for (plane, offset) in image.chunks(20).zip([0.0, 0.5]) {
                    let mean = plane.iter().sum::<f32>() / 20.0;
                    let expected = share * at as f32 + (1.0 - share) * partners[at] as f32 + offset;
                    assert!((mean - expected).abs() < 1e-4, "{mean} {expected}");
                }
            }
        }
        let mean = shares.iter().sum::<f32>() / 200.0;
        assert!((0.4..0.7).contains(&mean), "{mean}");
    }

    #[test]
    fn a_rectangle_is_of_one_image_or_the_other() {
        let mix = Mix { mixup: None, cutmix: Some(1.0) };
        let mut sizes = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut mixed = images(3);
            let (partners, share) = mix.apply(&mut mixed, SHAPE, &mut Random::new(seed), &mut Vec::new());
            for (at, image) in mixed.chunks(40).enumerate() {
                let own = image[..20].iter().filter(|&&value| value == at as f32).count();
                let others = image[..20].iter().filter(|&&value| value == partners[at] as f32).count();
                assert!(partners[at] as usize == at || own + others == 20);
                assert!(partners[at] as usize == at || own == (share * 20.0).round() as usize);
            }
            sizes.insert((share * 20.0).round() as usize);
        }
        assert!(sizes.len() > 5, "{sizes:?}");
    }

    /// Moments of Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        for alpha in [0.2, 1.0, 2.0] {
            let mut random = Random::new(9);
            let draws: Vec<f32> = (0..20_000).map(|_| beta(alpha, &mut random)).collect();
            let mean = draws.iter().sum::<f32>() / 20_000.0;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f32>() / 20_000.0;
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance - 0.25 / (2.0 * alpha + 1.0)).abs() < 0.004, "{alpha}: {variance}");
        }
    }
}
