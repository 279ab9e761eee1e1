//! Batch normalization over `[N, C, ...]`, with an optional Relu behind it, and its gradients.
//!
//! Channels are taken one block after the other, so that the values of a block are still in the cache when
//! they are read again: for the sums first, then for the result. With `k = scale / sqrt(variance + epsilon)`
//! and `b = bias - mean * k`, the forward pass is `y = x * k + b`; the backward pass computes the same to
//! know where Relu cut, so nothing but the input is kept. See the rule of `BatchNormalization` for the
//! formulas and [`super::block`] for the loops.

use super::block::{Block, Map, Terms};
use super::level::Level;
use super::memory::{Parallel, Shared};
use super::simd::Simd;

/// Sizes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub channels: usize,
    /// Values of a channel of one image.
    pub area: usize,
}

/// Per-channel results of the forward pass.
pub struct Statistics<'a> {
    pub mean: &'a mut [f32],
    /// `1 / sqrt(variance + epsilon)`.
    pub inverse_deviation: &'a mut [f32],
    /// Divided by the number of values, not by one less.
    pub variance: &'a mut [f32],
}

/// Scale and bias of every channel.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    pub scale: &'a [f32],
    pub bias: &'a [f32],
    /// Negative results become 0.
    pub relu: bool,
}

impl Sizes {
    /// Normalizes `x` by the batch. `near` is a guess of each channel's mean, to which sums are taken
    /// relative.
    pub fn forward(
        &self,
        [x, near]: [&[f32]; 2],
        affine: Affine,
        epsilon: f32,
        y: &mut [f32],
        statistics: &mut Statistics,
        parallel: Parallel,
    ) {
        let level = Level::detect();
        let blocks = Block::split(*self);
        let values = (x.len() / self.channels).max(1) as f64;
        let y = Shared::new(y);
        let Statistics { mean, inverse_deviation, variance } = statistics;
        let results = [mean, inverse_deviation, variance].map(|slice| Shared::new(slice));
        parallel(blocks.len(), &|number| {
            let Block { first, channels, .. } = blocks[number];
            // SAFETY: every block has its own channels.
            let [mean, inverse, variance] =
                results.each_ref().map(|slice| unsafe { slice.part(first, channels) });
            let near = &near[first..];
            let sums = blocks[number].add_up(level, Moments, [x, x], |channel| [near[channel]]);
            let mut line = vec![[0.0; 2]; channels];
            for (channel, [sum, squares]) in sums.into_iter().enumerate() {
                let distance = sum / values;
                variance[channel] = (squares / values - distance * distance).max(0.0) as f32;
                mean[channel] = (f64::from(near[channel]) + distance) as f32;
                inverse[channel] = 1.0 / (variance[channel] + epsilon).sqrt();
                let k = affine.scale[first + channel] * inverse[channel];
                line[channel] = [k, affine.bias[first + channel] - mean[channel] * k];
            }
            let of = |channel: usize| line[channel];
            match affine.relu {
                true => blocks[number].map(level, ScaleShift::<true>, [x, x], &y, of),
                false => blocks[number].map(level, ScaleShift::<false>, [x, x], &y, of),
            }
        });
    }

    /// The gradients of input, scale and bias, from what the forward pass saw and measured.
    pub fn backward(
        &self,
        [dy, x]: [&[f32]; 2],
        affine: Affine,
        [mean, inverse_deviation]: [&[f32]; 2],
        dx: &mut [f32],
        [dscale, dbias]: [&mut [f32]; 2],
        parallel: Parallel,
    ) {
        let level = Level::detect();
        let blocks = Block::split(*self);
        let values = (x.len() / self.channels).max(1) as f32;
        let (dx, dscale, dbias) = (Shared::new(dx), Shared::new(dscale), Shared::new(dbias));
        parallel(blocks.len(), &|number| {
            let Block { first, channels, .. } = blocks[number];
            let line = |channel: usize| {
                let k = affine.scale[first + channel] * inverse_deviation[first + channel];
                [k, affine.bias[first + channel] - mean[first + channel] * k]
            };
            let with_mean = |channel: usize| {
                let [k, b] = line(channel);
                [k, b, mean[first + channel]]
            };
            let sums = match affine.relu {
                true => blocks[number].add_up(level, Products::<true>, [dy, x], with_mean),
                false => blocks[number].add_up(level, Products::<false>, [dy, x], with_mean),
            };
            // SAFETY: every block has its own channels.
            let (dscale, dbias) = unsafe { (dscale.part(first, channels), dbias.part(first, channels)) };
            // dx = k * g + x * a + c
            let mut slopes = vec![[0.0; 4]; channels];
            for (channel, [products, sum]) in sums.into_iter().enumerate() {
                let ([k, b], inverse) = (line(channel), inverse_deviation[first + channel]);
                dscale[channel] = products as f32 * inverse;
                dbias[channel] = sum as f32;
                let a = -k * inverse * dscale[channel] / values;
                slopes[channel] = [k, b, a, -k * dbias[channel] / values - mean[first + channel] * a];
            }
            let of = |channel: usize| slopes[channel];
            match affine.relu {
                true => blocks[number].map(level, Slope::<true>, [dy, x], &dx, of),
                false => blocks[number].map(level, Slope::<false>, [dy, x], &dx, of),
            }
        });
    }
}

/// Distance from a guess of the mean, and its square.
struct Moments;

impl Terms<1> for Moments {
    #[inline(always)]
    unsafe fn of<S: Simd>([x, _]: [S::Vector; 2], [near]: [S::Vector; 1]) -> [S::Vector; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let distance = S::subtract(x, near);
            [distance, S::multiply_add(distance, distance, S::splat(0.0))]
        }
    }
}

/// `y = x * k + b`, cut at 0 with `RELU`; a NaN stays one, it must reach the loss.
struct ScaleShift<const RELU: bool>;

impl<const RELU: bool> Map<2> for ScaleShift<RELU> {
    #[inline(always)]
    unsafe fn of<S: Simd>([x, _]: [S::Vector; 2], [k, b]: [S::Vector; 2]) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            let y = S::multiply_add(x, k, b);
            if RELU { S::at_least(S::splat(0.0), y) } else { y }
        }
    }
}

/// The gradient behind Relu.
#[inline(always)]
unsafe fn passed<S: Simd, const RELU: bool>(
    dy: S::Vector,
    x: S::Vector,
    k: S::Vector,
    b: S::Vector,
) -> S::Vector {
    // SAFETY: the caller's promise.
    unsafe { if RELU { S::where_positive(S::multiply_add(x, k, b), dy) } else { dy } }
}

/// The gradient times the distance from the mean, and the gradient.
struct Products<const RELU: bool>;

impl<const RELU: bool> Terms<3> for Products<RELU> {
    #[inline(always)]
    unsafe fn of<S: Simd>([dy, x]: [S::Vector; 2], [k, b, mean]: [S::Vector; 3]) -> [S::Vector; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let g = passed::<S, RELU>(dy, x, k, b);
            [S::multiply_add(g, S::subtract(x, mean), S::splat(0.0)), g]
        }
    }
}

/// `dx = k * g + x * a + c`
struct Slope<const RELU: bool>;

impl<const RELU: bool> Map<4> for Slope<RELU> {
    #[inline(always)]
    unsafe fn of<S: Simd>([dy, x]: [S::Vector; 2], [k, b, a, c]: [S::Vector; 4]) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { S::multiply_add(k, passed::<S, RELU>(dy, x, k, b), S::multiply_add(x, a, c)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldcrest_data::random::Random;

    const ONE_THREAD: Parallel = &|count, run| (0..count).for_each(run);
    const EPSILON: f64 = 1e-3;

    /// `y`, `dx`, `dscale`, `dbias` by their definition, in doubles.
    fn reference(sizes: Sizes, [x, dy]: [&[f32]; 2], affine: Affine) -> [Vec<f64>; 4] {
        let Sizes { channels, area } = sizes;
        let of = |at: usize| at / area % channels;
        let mean_of = |value: &dyn Fn(usize) -> f64, channel: usize| {
            let values: Vec<f64> = (0..x.len()).filter(|&at| of(at) == channel).map(value).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let count = (x.len() / channels) as f64;
        let mut results = [vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; channels], vec![0.0; channels]];
        for channel in 0..channels {
            let mean = mean_of(&|at| f64::from(x[at]), channel);
            let variance = mean_of(&|at| (f64::from(x[at]) - mean).powi(2), channel);
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            let (scale, bias) = (f64::from(affine.scale[channel]), f64::from(affine.bias[channel]));
            let normal = |at: usize| (f64::from(x[at]) - mean) * inverse;
            let y = |at: usize| normal(at) * scale + bias;
            let g = |at: usize| if affine.relu && y(at) <= 0.0 { 0.0 } else { f64::from(dy[at]) };
            let (g_mean, product_mean) = (mean_of(&g, channel), mean_of(&|at| g(at) * normal(at), channel));
            for at in (0..x.len()).filter(|&at| of(at) == channel) {
                results[0][at] = if affine.relu { y(at).max(0.0) } else { y(at) };
                results[1][at] = scale * inverse * (g(at) - g_mean - normal(at) * product_mean);
            }
            results[2][channel] = product_mean * count;
            results[3][channel] = g_mean * count;
        }
        results
    }

    #[test]
    fn results_are_their_definition() {
        let mut random = Random::new(1);
        for (images, channels, area) in [(3, 5, 1), (4, 3, 7), (2, 40, 16), (3, 2, 300), (9, 1, 33)] {
            for relu in [false, true] {
                let sizes = Sizes { channels, area };
                let mut numbers = |count: usize, middle: f32| {
                    (0..count).map(|_| middle + random.range(-1.0, 1.0)).collect()
                };
                // Far from 0, where squares cancel.
                let x: Vec<f32> = numbers(images * channels * area, 30.0);
                let dy: Vec<f32> = numbers(x.len(), 0.0);
                let [scale, bias]: [Vec<f32>; 2] = [numbers(channels, 0.0), numbers(channels, 0.0)];
                let affine = Affine { scale: &scale, bias: &bias, relu };
                let near = vec![29.0; channels];
                let (mut y, mut dx) = (vec![9.0; x.len()], vec![9.0; x.len()]);
                let [mut mean, mut inverse_deviation, mut variance, mut dscale, mut dbias] =
                    [(); 5].map(|()| vec![9.0; channels]);
                let mut statistics = Statistics {
                    mean: &mut mean,
                    inverse_deviation: &mut inverse_deviation,
                    variance: &mut variance,
                };
                sizes.forward([&x, &near], affine, EPSILON as f32, &mut y, &mut statistics, ONE_THREAD);
                let measured = [&mean[..], &inverse_deviation];
                let gradients = [&mut dscale[..], &mut dbias];
                sizes.backward([&dy, &x], affine, measured, &mut dx, gradients, ONE_THREAD);
                let expected = reference(sizes, [&x, &dy], affine);
                for ((name, found), expected) in
                    [("y", y), ("dx", dx), ("dscale", dscale), ("dbias", dbias)].into_iter().zip(&expected)
                {
                    let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
                    for (found, expected) in found.iter().zip(expected) {
                        let error = (f64::from(*found) - expected).abs() / largest;
                        assert!(error < 1e-4, "{name} of {sizes:?}, relu {relu}: {found}, not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_not_hidden_by_relu() {
        let sizes = Sizes { channels: 1, area: 4 };
        let affine = Affine { scale: &[1.0], bias: &[0.0], relu: true };
        let (mut y, mut results) = ([0.0; 4], [[0.0; 1]; 3]);
        let [mean, inverse_deviation, variance] = results.each_mut().map(|slice| &mut slice[..]);
        let mut statistics = Statistics { mean, inverse_deviation, variance };
        let x = [1.0, f32::NAN, 2.0, 3.0];
        sizes.forward([&x, &[0.0]], affine, 1e-5, &mut y, &mut statistics, ONE_THREAD);
        assert!(y.iter().all(|value| value.is_nan()), "{y:?}");
    }
}
