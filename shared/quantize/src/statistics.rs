//! What calibration learns of each activation: range, distribution and mean per channel, in one pass and
//! in constant memory. Statistics of parts of the images can be merged, so threads can share
//! the work.

use alloc::{vec, vec::Vec};

use super::graph::FloatGraph;

/// Bins on each side of zero.
const BINS: usize = 4096;

/// Statistics of every tensor of a float graph, indexed by tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// One per tensor.
    pub tensors: Vec<TensorStatistics>,
}

impl Statistics {
    /// Nothing seen yet of any tensor of the graph.
    pub fn new(graph: &FloatGraph) -> Self {
        let empty = |tensor: &super::graph::Tensor<()>| TensorStatistics::new(tensor.shape.channels);
        Self { tensors: graph.tensors.iter().map(empty).collect() }
    }

    /// Adds what other images showed of the same graph.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.tensors.iter_mut().zip(&other.tensors) {
            own.merge(other);
        }
    }
}

/// Statistics of one tensor over all images seen.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorStatistics {
    /// Smallest value; infinite before the first.
    pub min: f32,
    /// Largest value; negative infinite before the first.
    pub max: f32,
    /// Some value was infinite or not a number.
    pub not_finite: bool,
    /// Where the values lie.
    pub histogram: Histogram,
    /// Smallest and largest value of each channel; infinite before the first.
    pub channels: Vec<[f32; 2]>,
    sums: Vec<f64>,
    count: u64,
}

impl TensorStatistics {
    /// Nothing seen yet of a tensor with that many channels.
    pub fn new(channels: usize) -> Self {
        Self {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            not_finite: false,
            histogram: Histogram::default(),
            channels: vec![[f32::INFINITY, f32::NEG_INFINITY]; channels],
            sums: vec![0.0; channels],
            count: 0,
        }
    }

    /// Adds the values of one channel.
    pub fn observe(&mut self, channel: usize, values: &[f32]) {
        let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0f64);
        for &value in values {
            low = low.min(value);
            high = high.max(value);
            sum += f64::from(value);
        }
        if !sum.is_finite() {
            self.not_finite = true;
            return;
        }
        self.min = self.min.min(low);
        self.max = self.max.max(high);
        let [least, most] = &mut self.channels[channel];
        (*least, *most) = (least.min(low), most.max(high));
        self.sums[channel] += sum;
        self.count += values.len() as u64;
        self.histogram.observe(low, high, values);
    }

    /// Mean of a channel over all images and positions; channels hold equally many values.
    pub fn mean(&self, channel: usize) -> f64 {
        self.sums[channel] * self.sums.len() as f64 / (self.count.max(1)) as f64
    }

    /// The largest absolute value of a channel; 0 before the first.
    pub fn reach(&self, channel: usize) -> f64 {
        let [low, high] = self.channels[channel];
        if low > high { 0.0 } else { f64::from(low.abs().max(high.abs())) }
    }

    fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.not_finite |= other.not_finite;
        for ([least, most], [low, high]) in self.channels.iter_mut().zip(&other.channels) {
            (*least, *most) = (least.min(*low), most.max(*high));
        }
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, other)| *own += other);
        self.count += other.count;
        self.histogram.merge(&other.histogram);
    }
}

/// A histogram around zero whose bins double in width when a value falls outside: no range needs to be
/// known beforehand, and two histograms add up exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Bin `BINS + i` counts values in `i * width .. (i + 1) * width`.
    counts: Vec<u64>,
    /// The width is `2^exponent`.
    exponent: i32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 2 * BINS], exponent: -40 }
    }
}

impl Histogram {
    /// Width of a bin; a power of two.
    pub fn width(&self) -> f64 {
        libm::exp2(f64::from(self.exponent))
    }

    /// The bins that hold values, as (center, count), in ascending order.
    pub fn bins(&self) -> impl DoubleEndedIterator<Item = (f64, u64)> {
        let width = self.width();
        self.counts
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count > 0)
            .map(move |(index, &count)| ((index as f64 - BINS as f64 + 0.5) * width, count))
    }

    fn observe(&mut self, low: f32, high: f32, values: &[f32]) {
        let reach = f64::from(low.abs().max(high.abs()));
        while reach >= self.width() * BINS as f64 {
            self.widen();
        }
        let scale = (1.0 / self.width()) as f32;
        for &value in values {
            let bin = libm::floorf(value * scale) as i32 + BINS as i32;
            self.counts[bin.clamp(0, 2 * BINS as i32 - 1) as usize] += 1;
        }
    }

    /// Doubles the width of every bin.
    fn widen(&mut self) {
        let mut counts = vec![0; 2 * BINS];
        for (index, count) in self.counts.iter().enumerate() {
            counts[(index + BINS) / 2] += count;
        }
        self.counts = counts;
        self.exponent += 1;
    }

    fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while self.exponent < other.exponent {
            self.widen();
        }
        while other.exponent < self.exponent {
            other.widen();
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statistics(values: &[f32]) -> TensorStatistics {
        let mut statistics = TensorStatistics::new(2);
        for (index, value) in values.iter().enumerate() {
            statistics.observe(index % 2, &[*value]);
        }
        statistics
    }

    proptest! {
        #[test]
        fn merging_parts_equals_seeing_all(
            values in
                proptest::collection::vec(prop_oneof![-1e-3f32..1e-3, -100f32..100.0, Just(0.0)], 2..60),
            cut in 0usize..60,
        ) {
            let cut = (cut.min(values.len())) & !1;
            let mut merged = statistics(&values[..cut]);
            merged.merge(&statistics(&values[cut..]));
            let whole = statistics(&values);
            prop_assert_eq!(&merged.histogram, &whole.histogram);
            prop_assert_eq!((merged.min, merged.max), (whole.min, whole.max));
            prop_assert!((merged.mean(0) - whole.mean(0)).abs() < 1e-9 || values.len() % 2 == 1);
            let counted: u64 = whole.histogram.bins().map(|(_, count)| count).sum();
            prop_assert_eq!(counted, values.len() as u64);
            for (center, _) in whole.histogram.bins() {
                let half = whole.histogram.width() / 2.0;
                let inside = |v: &f32| (f64::from(*v) - center).abs() <= half * 1.0001;
                prop_assert!(values.iter().any(inside), "no value near {}", center);
            }
        }
    }

    #[test]
    fn means_are_per_channel_and_bad_values_are_noticed() {
        let mut statistics = statistics(&[1.0, 10.0, 3.0, 20.0]);
        assert_eq!((statistics.mean(0), statistics.mean(1)), (2.0, 15.0));
        assert!(!statistics.not_finite);
        statistics.observe(0, &[f32::NAN]);
        assert!(statistics.not_finite);
    }
}
