//! From the distribution of an activation to the range that int8 covers.

use super::graph::Quantization;
use super::statistics::{Histogram, TensorStatistics};

/// How the range of an activation is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RangeMethod {
    /// From the smallest to the largest value seen.
    MinMax,
    /// The range that leaves out this fraction of the values at each end.
    Percentile(f64),
    /// The range with the smallest mean squared error: of rounding inside, of saturation outside.
    MeanSquaredError,
    /// The range whose quantized distribution diverges least from the real one (Kullback-Leibler).
    Entropy,
}

/// A range of real values that includes 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest value; at most 0.
    pub low: f64,
    /// Largest value; at least 0.
    pub high: f64,
}

impl Range {
    /// The range of a tensor by a method.
    pub fn of(statistics: &TensorStatistics, method: RangeMethod) -> Self {
        let full = Self { low: f64::from(statistics.min.min(0.0)), high: f64::from(statistics.max.max(0.0)) };
        match method {
            RangeMethod::MinMax => full,
            RangeMethod::Percentile(fraction) => percentile(&statistics.histogram, fraction, full),
            RangeMethod::MeanSquaredError => best(full, |range| squared_error(&statistics.histogram, range)),
            RangeMethod::Entropy => best(full, |range| divergence(&statistics.histogram, range)),
        }
    }

    /// The range that a grid covers.
    pub fn of_grid(grid: Quantization) -> Self {
        let (scale, zero) = (f64::from(grid.scale), f64::from(grid.zero_point));
        Self { low: (-128.0 - zero) * scale, high: (127.0 - zero) * scale }
    }

    /// The smallest range that holds both.
    pub fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Step of 255 over the range; never 0.
    pub fn scale(self) -> f64 {
        ((self.high - self.low) / 255.0).max(1e-12)
    }

    /// The int8 grid over the range, its step at least `scale`.
    pub fn quantization(self, scale: f64) -> Quantization {
        let scale = self.scale().max(scale) as f32;
        let zero = libm::rint(-128.0 - self.low / f64::from(scale));
        Quantization { scale, zero_point: zero.clamp(-128.0, 127.0) as i8 }
    }
}

fn percentile(histogram: &Histogram, fraction: f64, full: Range) -> Range {
    let total: u64 = histogram.bins().map(|(_, count)| count).sum();
    let allowed = (fraction * total as f64) as u64;
    let half = histogram.width() / 2.0;
    let low = edge(histogram.bins(), allowed).map_or(full.low, |center| center - half);
    let high = edge(histogram.bins().rev(), allowed).map_or(full.high, |center| center + half);
    Range { low: low.clamp(full.low, 0.0), high: high.clamp(0.0, full.high) }
}

/// The first bin that is not among the `allowed` values to leave out.
fn edge(bins: impl Iterator<Item = (f64, u64)>, allowed: u64) -> Option<f64> {
    let mut left_out = 0;
    bins.map(|(center, count)| {
        left_out += count;
        (center, left_out)
    })
    .find(|&(_, left_out)| left_out > allowed)
    .map(|(center, _)| center)
}

/// The range below `full` with the smallest error: both ends shrunk together, then each alone.
fn best(full: Range, error: impl Fn(Range) -> f64) -> Range {
    let (mut range, mut least) = (full, error(full));
    let mut consider = |candidate: Range| {
        let found = error(candidate);
        if found < least {
            (range, least) = (candidate, found);
        }
        range
    };
    let steps = || (10..100).rev().map(|percent| f64::from(percent) / 100.0);
    for factor in steps() {
        consider(Range { low: full.low * factor, high: full.high * factor });
    }
    for _ in 0..2 {
        for factor in steps() {
            let current = consider(full);
            consider(Range { low: full.low * factor, ..current });
        }
        for factor in steps() {
            let current = consider(full);
            consider(Range { high: full.high * factor, ..current });
        }
    }
    range
}

fn squared_error(histogram: &Histogram, range: Range) -> f64 {
    let rounding = range.scale() * range.scale() / 12.0;
    let each = |(value, count): (f64, u64)| {
        let outside = if value < range.low {
            range.low - value
        } else if value > range.high {
            value - range.high
        } else {
            0.0
        };
        count as f64 * if value == 0.0 { 0.0 } else { rounding + outside * outside }
    };
    histogram.bins().map(each).sum()
}

/// `sum p log(p / q)`. As in TensorRT's calibration, p is the distribution inside the range with what lies
/// outside added to its ends, and q the one inside alone, every level's values spread evenly over its bins.
///
/// Zeros, which every grid holds exactly, stay out of it: behind a Relu they would outweigh all else.
fn divergence(histogram: &Histogram, range: Range) -> f64 {
    let scale = range.scale();
    let width = histogram.width();
    let bins = || histogram.bins().filter(move |&(value, _)| value.abs() > width);
    let inside = |value: f64| (range.low..=range.high).contains(&value);
    let level = |value: f64| libm::rint((value - range.low) / scale) as usize;
    let mut levels = [(0u64, 0u64); 256];
    let (mut below, mut above, mut kept) = (0, 0, 0);
    let (mut first, mut last) = (None, None);
    for (value, count) in bins() {
        if inside(value) {
            let (sum, bins) = &mut levels[level(value).min(255)];
            *sum += count;
            *bins += 1;
            kept += count;
            first = first.or(Some(value));
            last = Some(value);
        } else if value < 0.0 {
            below += count;
        } else {
            above += count;
        }
    }
    let total = (kept + below + above) as f64;
    let each = |(value, count): (f64, u64)| {
        let at = |end: Option<f64>, outside: u64| if end == Some(value) { outside } else { 0 };
        let p = (count + at(first, below) + at(last, above)) as f64 / total;
        let (sum, bins) = levels[level(value).min(255)];
        let q = sum as f64 / bins as f64 / kept as f64;
        p * libm::log(p / q)
    };
    if kept == 0 {
        return f64::INFINITY;
    }
    bins().filter(|&(value, _)| inside(value)).map(each).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mostly small values and a few far outliers.
    fn statistics() -> TensorStatistics {
        let mut statistics = TensorStatistics::new(1);
        let values: alloc::vec::Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0 - 0.25).collect();
        statistics.observe(0, &values);
        statistics.observe(0, &[4.0; 3]);
        statistics
    }

    #[test]
    fn methods_differ_in_what_they_leave_out() {
        let of = |method| Range::of(&statistics(), method);
        assert_eq!(of(RangeMethod::MinMax), Range { low: -0.25, high: 4.0 });
        let percentile = of(RangeMethod::Percentile(1e-4));
        assert!((percentile.high - 0.749).abs() < 2e-3 && percentile.low <= -0.249, "{percentile:?}");
        let entropy = of(RangeMethod::Entropy);
        assert!(entropy.high < 3.5 && entropy.high > 0.7 && entropy.low > -0.26, "{entropy:?}");
        // 100,000 rounding errors of ((high + 0.25) / 255)^2 / 12 and three cut outliers of (4 - high)^2
        // are least at 3.826.
        let squared = of(RangeMethod::MeanSquaredError);
        assert!((squared.high - 3.826).abs() < 0.05 && squared.low > -0.26, "{squared:?}");
    }

    #[test]
    fn zero_is_exact_in_every_grid() {
        for (low, high) in [(0.0, 6.0), (-3.0, 0.0), (-1.0, 1.0), (-0.01, 10.0), (0.0, 0.0)] {
            let range = Range { low, high };
            let Quantization { scale, zero_point } = range.quantization(0.0);
            assert!(scale > 0.0);
            let (least, most) = (-128 - i32::from(zero_point), 127 - i32::from(zero_point));
            let reach = |levels: i32| f64::from(levels) * f64::from(scale);
            let slack = 0.51 * f64::from(scale);
            assert!(reach(least) <= low + slack && reach(most) >= high - slack, "{range:?}");
        }
        assert_eq!(Range { low: 0.0, high: 5.0 }.quantization(0.0).zero_point, -128);
    }
}
