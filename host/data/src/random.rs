//! The random numbers of data sets: one independent stream of SplitMix64 per (seed, epoch, image).

use goldcrest_quantize::random::Random as SplitMix64;

/// Random numbers, and what data sets draw with them.
#[derive(Clone, Debug)]
pub struct Random(SplitMix64);

/// The first bits of a seed.
const fn first(seed: u64) -> u64 {
    SplitMix64::new(seed).bits()
}

impl Random {
    /// The stream of one seed.
    pub const fn new(seed: u64) -> Self {
        Self(SplitMix64::new(first(seed)))
    }

    /// The stream named by a seed and a path below it, such as `[epoch, image]`. Streams of
    /// different paths are unrelated, so work can be shared among threads in any way.
    pub fn stream(seed: u64, path: &[u64]) -> Self {
        let state = path.iter().fold(first(seed), |state, &step| {
            SplitMix64::mix(state.rotate_left(23).wrapping_add(first(step)))
        });
        Self(SplitMix64::new(state))
    }

    /// 64 uniform bits.
    pub const fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// Uniform in `[0, 1)`, with 24 random bits.
    pub const fn unit(&mut self) -> f32 {
        self.0.unit()
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
    fn streams_stay_what_they_were() {
        assert_eq!(Random::new(7).bits(), 13_309_476_754_707_697_221);
        assert_eq!(Random::stream(7, &[3, 5]).bits(), 3_730_515_281_597_077_591);
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
