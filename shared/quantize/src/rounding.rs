//! Rounding learned layer by layer: the integers whose outputs are nearest to the float layer's, given the
//! int8 values that the layer really reads.
//!
//! For one output channel with weights `s q` (`s` the scale, `q` integers), inputs `x` of covariance `H`
//! and wanted outputs `y`, the expected squared error is `s^2 q'Hq - 2 s q'c + const` with `c = cov(x, y)`;
//! the bias takes what is left of the mean. Least squares gives the real weights that are best; rounding
//! them one after the other, each time moving the error on to the weights that are still free (the nearest
//! plane of Babai, what OPTQ does), and then improving single weights until none can be improved, gives the
//! integers. With four bits the errors are large enough to be worth more: an order of rounding in which they
//! cost little, and pairs of weights improved as well.
//!
//! Nagel, Amjad, van Baalen, Louizos, Blankevoort: Up or Down? Adaptive Rounding for Post-Training
//! Quantization, 2020 (the objective). Frantar, Ashkboos, Hoefler, Alistarh: OPTQ, 2023 (rounding in order).

use alloc::{vec, vec::Vec};

use super::moments::Covariance;

/// Rounds of improving single weights.
const SWEEPS: usize = 30;
/// Rounds of improving pairs of weights.
const PAIR_SWEEPS: usize = 4;
/// Scales tried per channel.
const SCALES: usize = 6;

/// The range of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightRange {
    /// Smallest weight.
    pub low: i8,
    /// Largest weight.
    pub high: i8,
}

impl WeightRange {
    /// Eight bits; symmetric, as kernels that pair weights need it.
    pub const INT8: Self = Self { low: -127, high: 127 };
    /// Four bits.
    pub const INT4: Self = Self { low: -8, high: 7 };

    /// The smallest step at which a real weight fits.
    pub fn step(self, weight: f64) -> f64 {
        if weight < 0.0 { -weight / -f64::from(self.low) } else { weight / f64::from(self.high) }
    }
}

/// The learned weights of one output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounded {
    /// The multiplier in units of `2^-16`.
    pub k: f64,
    /// The weights.
    pub weights: Vec<i8>,
    /// The bias in units of input scale * weight scale.
    pub bias: f64,
}

/// The least squares problem of one group.
pub struct Problem {
    taps: usize,
    covariance: Covariance,
    /// Lower triangle of the Cholesky factor of the covariance, row by row.
    factor: Vec<f64>,
    /// How much a weight's distance from the float weight costs.
    ridge: Vec<f64>,
    input_scale: f64,
    range: WeightRange,
    /// Which tap of the convolution each variable is; all else is in the order of variables.
    taps_of: Vec<usize>,
}

impl Problem {
    /// The problem of weights in a range, held near the float ones by `ridge` times the mean square of their
    /// inputs: what few samples cannot tell stays as it is.
    pub fn new(mut covariance: Covariance, input_scale: f64, ridge: f64, range: WeightRange) -> Self {
        let taps = covariance.means.len();
        let mean_square = covariance.squares.iter().sum::<f64>() / taps as f64;
        let ridge: Vec<f64> =
            covariance.squares.iter().map(|square| ridge * square + 1e-6 * mean_square + 1e-9).collect();
        for (i, ridge) in ridge.iter().enumerate() {
            covariance.values[i * taps + i] += ridge;
        }
        let taps_of = match range {
            WeightRange::INT4 => least_first(&covariance.values, taps),
            _ => (0..taps).collect(),
        };
        let moved = |values: &[f64]| taps_of.iter().map(|&tap| values[tap]).collect::<Vec<_>>();
        covariance.values =
            taps_of.iter().flat_map(|&tap| moved(&covariance.values[tap * taps..][..taps])).collect();
        covariance.cross = covariance.cross.chunks_exact(taps).flat_map(moved).collect();
        covariance.means = moved(&covariance.means);
        let ridge = moved(&ridge);
        let factor = cholesky(&covariance.values, taps);
        Self { taps, covariance, factor, ridge, input_scale, range, taps_of }
    }

    /// Learns one output channel. `unit` is the multiplier `k` of weights in steps of 1, `least` the
    /// smallest multiplier allowed.
    pub fn solve(&self, output: usize, exact: &[f32], compensate: bool, unit: f64, least: f64) -> Rounded {
        let range = self.range;
        let exact: Vec<f64> = self.taps_of.iter().map(|&tap| f64::from(exact[tap])).collect();
        let goal = self.goal(output, &exact, compensate);
        let mut best = self.real(&goal);
        let reach = best.iter().fold(0.0, |reach: f64, &weight| reach.max(range.step(weight)));
        let most = libm::ceil((reach * unit).max(least) * (1.0 - 1e-9)).max(1.0);
        let narrowest = if range == WeightRange::INT4 { 0.4 } else { 0.75 };
        let least = libm::ceil((most * narrowest).max(least)).min(most);
        let mut found: Option<(f64, f64, Vec<f64>)> = None;
        let mut last = 0.0;
        for step in 0..SCALES {
            let k = libm::rint(most - (most - least) * step as f64 / (SCALES - 1) as f64);
            if k == last {
                continue;
            }
            last = k;
            let scale = k / unit;
            // Neither start is always the better one; with both, the result is never worse than the nearest
            // integers.
            let nearest = best.iter().map(|weight| range.round(weight / scale)).collect();
            for mut weights in [self.round_in_order(&best, scale), nearest] {
                let error = self.improve(&mut weights, &goal, scale);
                if found.as_ref().is_none_or(|(least, ..)| error < *least) {
                    found = Some((error, k, weights));
                }
            }
        }
        let k = found.as_ref().map_or(most, |found| found.1);
        if let Some((_, _, weights)) = found {
            best = weights;
        }
        let sweeps = if range == WeightRange::INT4 { PAIR_SWEEPS } else { 0 };
        for _ in 0..sweeps {
            if !self.improve_pairs(&mut best, &goal, k / unit) {
                break;
            }
            self.improve(&mut best, &goal, k / unit);
        }
        let mean: f64 = best.iter().zip(&self.covariance.means).map(|(weight, mean)| weight * mean).sum();
        let scale = k / unit;
        let bias = self.covariance.targets[output] / (self.input_scale * scale) - mean;
        let mut weights = vec![0; self.taps];
        self.taps_of.iter().zip(&best).for_each(|(&tap, &weight)| weights[tap] = weight as i8);
        Rounded { k, weights, bias }
    }

    /// `cov(x, y)` in units of the input scale, with the pull towards the float weights.
    fn goal(&self, output: usize, exact: &[f64], compensate: bool) -> Vec<f64> {
        let taps = self.taps;
        if !compensate {
            return (0..taps).map(|i| product(self.row(i), exact)).collect();
        }
        let cross = &self.covariance.cross[output * taps..][..taps];
        let each = |((cross, ridge), exact): ((&f64, &f64), &f64)| cross / self.input_scale + ridge * exact;
        cross.iter().zip(&self.ridge).zip(exact).map(each).collect()
    }

    /// The real weights of the least error.
    fn real(&self, goal: &[f64]) -> Vec<f64> {
        let taps = self.taps;
        let mut weights = goal.to_vec();
        for i in 0..taps {
            let row = &self.factor[i * taps..][..i];
            weights[i] = (weights[i] - product(row, &weights[..i])) / self.factor[i * taps + i];
        }
        for i in (0..taps).rev() {
            let weight = weights[i] / self.factor[i * taps + i];
            let row = &self.factor[i * taps..][..i];
            weights[..i].iter_mut().zip(row).for_each(|(other, factor)| *other -= factor * weight);
            weights[i] = weight;
        }
        weights
    }

    /// Rounds from the last weight to the first; each weight makes up for the errors of those before it.
    fn round_in_order(&self, real: &[f64], scale: f64) -> Vec<f64> {
        let taps = self.taps;
        let mut rounded = vec![0.0; taps];
        // Error of the rounded weights in the rows of the factor's transpose.
        let mut carried = vec![0.0; taps];
        for i in (0..taps).rev() {
            let wanted = real[i] + carried[i] / self.factor[i * taps + i];
            rounded[i] = self.range.round(wanted / scale);
            let error = real[i] - rounded[i] * scale;
            let row = &self.factor[i * taps..][..i];
            carried[..i].iter_mut().zip(row).for_each(|(carried, factor)| *carried += factor * error);
        }
        rounded
    }

    /// Improves single weights until none can be improved; returns the error up to a constant.
    fn improve(&self, weights: &mut [f64], goal: &[f64], scale: f64) -> f64 {
        let mut slope = self.slope(weights, goal, scale);
        for _ in 0..SWEEPS {
            let mut changed = false;
            for i in 0..self.taps {
                let wanted = self.range.round(weights[i] - slope[i] / (scale * self.row(i)[i]));
                let step = wanted - weights[i];
                if step != 0.0 {
                    weights[i] = wanted;
                    self.move_by(&mut slope, i, scale * step);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let each = |((weight, slope), goal): ((&f64, &f64), &f64)| scale * weight * (slope - goal);
        weights.iter().zip(&slope).zip(goal).map(each).sum()
    }

    /// Moves weights by one step together with the other weight that gains most, where both together make the
    /// error smaller. Whether any moved.
    fn improve_pairs(&self, weights: &mut [f64], goal: &[f64], scale: f64) -> bool {
        let mut slope = self.slope(weights, goal, scale);
        let fits = |weight: f64| self.range.round(weight) == weight;
        let mut changed = false;
        for i in 0..self.taps {
            for step in [-1.0, 1.0] {
                if !fits(weights[i] + step) {
                    continue;
                }
                let row = self.row(i);
                // Half of what the squared error grows by.
                let alone = scale * (step * slope[i] + scale * row[i] / 2.0);
                let mut best = (-1e-9 * alone.abs(), None);
                for j in (0..self.taps).filter(|&j| j != i) {
                    let moved = slope[j] + scale * step * row[j];
                    let other = -moved.signum();
                    let both = alone + scale * (scale * self.row(j)[j] / 2.0 - moved.abs());
                    if both < best.0 && fits(weights[j] + other) {
                        best = (both, Some((j, other)));
                    }
                }
                if let Some((j, other)) = best.1 {
                    for (at, step) in [(i, step), (j, other)] {
                        weights[at] += step;
                        self.move_by(&mut slope, at, scale * step);
                    }
                    changed = true;
                }
            }
        }
        changed
    }

    /// Half the slope of the squared error along each weight, in units of the scale.
    fn slope(&self, weights: &[f64], goal: &[f64], scale: f64) -> Vec<f64> {
        goal.iter().enumerate().map(|(i, goal)| scale * product(self.row(i), weights) - goal).collect()
    }

    /// The slope after weight `i` moved by `step`, in real units.
    fn move_by(&self, slope: &mut [f64], i: usize, step: f64) {
        slope.iter_mut().zip(self.row(i)).for_each(|(slope, value)| *slope += step * value);
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.covariance.values[i * self.taps..][..self.taps]
    }
}

impl WeightRange {
    fn round(self, value: f64) -> f64 {
        libm::rint(value).clamp(f64::from(self.low), f64::from(self.high))
    }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    // Four sums, so that the processor need not wait for one.
    let (mut sums, a, b) = ([0.0; 4], a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
    }
    sums.iter().sum::<f64>() + rest
}

/// An order of the variables in which the errors of rounding from the last to the first cost little: each is
/// the one of those left that varies least beside those before it.
fn least_first(matrix: &[f64], size: usize) -> Vec<usize> {
    let mut left = matrix.to_vec();
    let mut order: Vec<usize> = (0..size).collect();
    for at in 0..size {
        let variance = |place: &usize| left[order[*place] * (size + 1)];
        let least = (at..size).min_by(|a, b| variance(a).total_cmp(&variance(b)));
        order.swap(at, least.unwrap_or(at));
        let own = left[order[at] * size..][..size].to_vec();
        // Rounding may leave a zero where a tiny positive number belongs.
        let variance = own[order[at]].max(1e-12 * matrix[order[at] * (size + 1)]);
        for &other in &order[at + 1..] {
            let factor = own[other] / variance;
            left[other * size..][..size].iter_mut().zip(&own).for_each(|(left, own)| *left -= factor * own);
        }
    }
    order
}

/// The lower triangle `L` with `L L' = matrix`, which must be positive definite.
fn cholesky(matrix: &[f64], size: usize) -> Vec<f64> {
    let mut factor = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let (left, right) = (&factor[i * size..][..j], &factor[j * size..][..j]);
            let rest = matrix[i * size + j] - product(left, right);
            factor[i * size + j] = match i == j {
                // Rounding may leave a zero where a tiny positive number belongs.
                true => libm::sqrt(rest.max(1e-12 * matrix[i * size + i])),
                false => rest / factor[j * size + j],
            };
        }
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Covariance of `x` over samples, and with the outputs `w x`.
    fn covariance(samples: &[Vec<f64>], weights: &[f64]) -> Covariance {
        let (count, taps) = (samples.len() as f64, weights.len());
        let mean = |f: &dyn Fn(&[f64]) -> f64| samples.iter().map(|x| f(x)).sum::<f64>() / count;
        let means: Vec<f64> = (0..taps).map(|i| mean(&|x| x[i])).collect();
        let output = |x: &[f64]| product(x, weights);
        let target = mean(&output);
        let cross = (0..taps).map(|i| mean(&|x| x[i] * output(x)) - means[i] * target).collect();
        let values = (0..taps * taps)
            .map(|at| mean(&|x| x[at / taps] * x[at % taps]) - means[at / taps] * means[at % taps])
            .collect();
        let squares = (0..taps).map(|i| mean(&|x| x[i] * x[i])).collect();
        Covariance { count: samples.len() as u64, means, squares, values, cross, targets: vec![target] }
    }

    fn error(samples: &[Vec<f64>], exact: &[f64], rounded: &Rounded, unit: f64) -> f64 {
        let scale = rounded.k / unit;
        let off = |x: &Vec<f64>| {
            let sum: f64 = x.iter().zip(&rounded.weights).map(|(x, &w)| x * f64::from(w)).sum();
            let off = (sum + rounded.bias) * scale - product(x, exact);
            off * off
        };
        samples.iter().map(off).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// With inputs that go together, rounding each weight alone wastes what rounding together saves.
        #[test]
        fn learned_weights_are_never_worse_than_rounded_ones(
            exact in proptest::collection::vec(-1.0f64..1.0, 6),
            rows in proptest::collection::vec(proptest::collection::vec(-100.0f64..100.0, 3), 40),
        ) {
            // Six inputs made from three: strongly dependent.
            let samples: Vec<Vec<f64>> = rows.iter()
                .map(|r| vec![r[0], r[0] + r[1], r[1] - r[2], r[2], r[0] - r[1], r[1] + r[2]])
                .collect();
            let unit = 1.0 / (1.0 / 7.0);
            let row: Vec<f32> = exact.iter().map(|&w| w as f32).collect();
            let problem = |range| Problem::new(covariance(&samples, &exact), 1.0, 0.0, range);
            let learned = problem(WeightRange { low: -7, high: 7 }).solve(0, &row, true, unit, 0.0);
            let largest = exact.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
            let k = libm::ceil(largest / 7.0 * unit).max(1.0);
            let weight = |w: &f64| libm::rint(w * unit / k).clamp(-7.0, 7.0) as i8;
            let weights: Vec<i8> = exact.iter().map(weight).collect();
            let Covariance { means, targets, .. } = covariance(&samples, &exact);
            let mean: f64 = weights.iter().zip(&means).map(|(&w, m)| f64::from(w) * m).sum();
            let bias = targets[0] * unit / k - mean;
            let nearest = Rounded { k, weights, bias };
            let (a, b) = (error(&samples, &exact, &learned, unit), error(&samples, &exact, &nearest, unit));
            prop_assert!(a <= b * 1.001 + 1e-6, "learned {a}, nearest {b}");
            // One weight lower than those, another order, and pairs.
            let four_bits = problem(WeightRange::INT4).solve(0, &row, true, unit, 0.0);
            let c = error(&samples, &exact, &four_bits, unit);
            prop_assert!(c <= b * 1.001 + 1e-6, "four bits {c}, nearest {b}");
        }
    }

    #[test]
    fn what_no_sample_tells_stays_as_it_was() {
        // The second input is always 0 in the samples.
        let samples: Vec<Vec<f64>> = (0..50).map(|i| vec![f64::from(i % 7) - 3.0, 0.0]).collect();
        let mut seen = covariance(&samples, &[0.5, 0.25]);
        seen.cross[0] *= 1.2;
        let problem = Problem::new(seen, 1.0, 0.0, WeightRange::INT8);
        let found = problem.solve(0, &[0.5, 0.25], true, 100.0, 0.0);
        let scale = found.k / 100.0;
        assert!((f64::from(found.weights[0]) * scale - 0.6).abs() < 0.51 * scale, "{found:?}");
        assert!((f64::from(found.weights[1]) * scale - 0.25).abs() < 0.51 * scale, "{found:?}");
    }

    #[test]
    fn what_varies_least_comes_first() {
        // The third variable varies most, but beside the first one little of it is left.
        let matrix = [4.0, 0.0, 4.4, 0.0, 5.0, 0.0, 4.4, 0.0, 5.34];
        assert_eq!(least_first(&matrix, 3), [0, 2, 1]);
    }

    #[test]
    fn pairs_gain_what_single_weights_do_not() {
        // Two inputs that go together: 0.5 and 0.5 too much and too little can only leave together.
        let samples: Vec<Vec<f64>> =
            (0..60).map(|i| vec![f64::from(i % 9), f64::from(i % 9) + 0.1 * f64::from(i % 2)]).collect();
        let problem = Problem::new(covariance(&samples, &[3.0, -2.0]), 1.0, 0.0, WeightRange::INT4);
        let mut weights = problem.taps_of.iter().map(|&tap| [2.0, -1.0][tap]).collect::<Vec<_>>();
        let exact = problem.taps_of.iter().map(|&tap| [3.0, -2.0][tap]).collect::<Vec<_>>();
        let goal = problem.goal(0, &exact, true);
        let stuck = weights.clone();
        problem.improve(&mut weights, &goal, 1.0);
        assert_eq!(weights, stuck, "no single weight gains");
        assert!(problem.improve_pairs(&mut weights, &goal, 1.0) && weights == exact, "{weights:?}");
    }
}
