//! The random numbers of data sets: SplitMix64, one independent stream per (seed, epoch, image).
//!
//! The generator is written out here and not taken from a crate, because the same seed must give
//! the same pictures in every later version of Goldcrest.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The stream of one seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: mix(seed.wrapping_add(GOLDEN)) }
    }

    /// The stream named by a seed and a path below it, such as `[epoch, image]`. Streams of
    /// different paths are unrelated, so work can be shared among threads in any way.
    pub fn stream(seed: u64, path: &[u64]) -> Self {
        let state = path.iter().fold(Self::new(seed).state, |state, step| {
            mix(state.rotate_left(23).wrapping_add(mix(step.wrapping_add(GOLDEN))))
        });
        Self { state }
    }

    /// 64 uniform bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, with 24 random bits.
    pub const fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Uniform in `[low, high)`.
    pub const fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..bound`; 0 for an empty range.
    pub const fn below(&mut self, bound: usize) -> usize {
        // Multiply-shift: the bias is below bound / 2^64.
        ((self.bits() as u128 * bound as u128) >> 64) as usize
    }

    /// True with the given probability.
    pub const fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Puts the items into a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence() {
        // First outputs of SplitMix64 with state 1234567, as listed with the reference code.
        let mut random = Random { state: 1_234_567 };
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn is_uniform_enough_and_streams_differ() {
        let mut random = Random::stream(7, &[3, 5]);
        let mean = (0..100_000).map(|_| random.unit()).sum::<f32>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
        let mut counts = [0usize; 10];
        (0..100_000).for_each(|_| counts[random.below(10)] += 1);
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 500), "{counts:?}");
        let firsts: std::collections::HashSet<u64> = (0..100)
            .flat_map(|epoch| (0..100).map(move |image| Random::stream(7, &[epoch, image]).bits()))
            .collect();
        assert_eq!(firsts.len(), 10_000);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..1000).collect();
        Random::new(1).shuffle(&mut items);
        assert_ne!(items[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        items.sort_unstable();
        assert!(items.iter().enumerate().all(|(at, &item)| at == item));
    }
}
