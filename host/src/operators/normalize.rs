//! Batch normalization over `[N, C, ...]`, with an optional Relu behind it, and its gradients.
//!
//! Channels are taken one block after the other, so that the values of a block are still in the cache when
//! they are read again: for the sums first, then for the result. With `k = scale / sqrt(variance + epsilon)`
//! and `b = bias - mean * k`, the forward pass is `y = x * k + b`; the backward pass computes the same to know
//! where Relu cut, so nothing but the input is kept. See the rule of `BatchNormalization` for the formulas.

use super::convolution::{Parallel, Shared};
use super::simd::{Level, at_level};

/// Vectors of the sums: enough for the widest processor.
const LANES: usize = 16;
/// A block has as many channels as make so many values of one image.
const BLOCK: usize = 256;

/// Sizes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub channels: usize,
    /// Values of a channel of one image.
    pub area: usize,
}

/// What normalizes one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    /// `scale / sqrt(variance + epsilon)`.
    k: f32,
    /// `bias - mean * k`.
    b: f32,
    mean: f32,
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
    fn block(&self) -> usize {
        BLOCK.div_ceil(self.area).clamp(1, self.channels)
    }

    /// For each image, the values of `count` channels from `first` on.
    fn of<'a>(
        &self,
        values: &'a [f32],
        first: usize,
        count: usize,
    ) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (start, length) = (first * self.area, count * self.area);
        values.chunks_exact(self.channels * self.area).map(move |image| &image[start..][..length])
    }

    /// Normalizes `x` by the batch. `near` is a guess of each channel's mean, to which sums are taken relative.
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
        let y = Shared::new(y);
        let Statistics { mean, inverse_deviation, variance } = statistics;
        let results = [mean, inverse_deviation, variance].map(|slice| Shared::new(slice));
        let block = |number: usize| {
            let first = number * self.block();
            let count = self.block().min(self.channels - first);
            // SAFETY: every block has its own channels.
            let [mean, inverse, variance] =
                results.each_ref().map(|slice| unsafe { slice.part(first, count) });
            mean.copy_from_slice(&near[first..][..count]);
            at_level(level, || measure(*self, x, first, mean, variance));
            let mut channels = vec![Channel::default(); count];
            for (at, channel) in channels.iter_mut().enumerate() {
                inverse[at] = 1.0 / (variance[at] + epsilon).sqrt();
                let k = affine.scale[first + at] * inverse[at];
                *channel = Channel { k, b: affine.bias[first + at] - mean[at] * k, mean: mean[at] };
            }
            for (image, from) in self.of(x, first, count).enumerate() {
                let start = (image * self.channels + first) * self.area;
                // SAFETY: every block has its own channels of every image.
                let to = unsafe { y.part(start, from.len()) };
                at_level(level, || apply(&channels, self.area, affine.relu, from, to));
            }
        };
        parallel(self.channels.div_ceil(self.block()), &block);
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
        let values = (x.len() / self.channels).max(1) as f32;
        let (dx, dscale, dbias) = (Shared::new(dx), Shared::new(dscale), Shared::new(dbias));
        let block = |number: usize| {
            let first = number * self.block();
            let count = self.block().min(self.channels - first);
            let channels: Vec<Channel> = (first..first + count)
                .map(|at| {
                    let k = affine.scale[at] * inverse_deviation[at];
                    Channel { k, b: affine.bias[at] - mean[at] * k, mean: mean[at] }
                })
                .collect();
            // SAFETY: every block has its own channels.
            let (dscale, dbias) = unsafe { (dscale.part(first, count), dbias.part(first, count)) };
            at_level(level, || project(*self, [dy, x], first, &channels, affine.relu, [dscale, dbias]));
            // dx = k * g + x * a + c
            let mut slopes = vec![[0.0; 2]; count];
            for (at, slope) in slopes.iter_mut().enumerate() {
                let (inverse, Channel { k, mean, .. }) = (inverse_deviation[first + at], channels[at]);
                dscale[at] *= inverse;
                let a = -k * inverse * dscale[at] / values;
                *slope = [a, -k * dbias[at] / values - mean * a];
            }
            for (image, (dy, x)) in self.of(dy, first, count).zip(self.of(x, first, count)).enumerate() {
                let start = (image * self.channels + first) * self.area;
                // SAFETY: every block has its own channels of every image.
                let dx = unsafe { dx.part(start, x.len()) };
                at_level(level, || spread(&channels, &slopes, self.area, affine.relu, [dy, x], dx));
            }
        };
        parallel(self.channels.div_ceil(self.block()), &block);
    }
}

/// Adds up `LANES` sums of each of two values per element.
#[inline(always)]
fn add_up(count: usize, value: impl Fn(usize) -> [f32; 2]) -> [f64; 2] {
    let mut lanes = [[0f32; LANES]; 2];
    let whole = count - count % LANES;
    for start in (0..whole).step_by(LANES) {
        let [first, second] = &mut lanes;
        for (lane, (first, second)) in first.iter_mut().zip(second).enumerate() {
            let [a, b] = value(start + lane);
            *first += a;
            *second += b;
        }
    }
    let mut sums = lanes.map(|lanes| lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>());
    for at in whole..count {
        let [a, b] = value(at);
        sums[0] += f64::from(a);
        sums[1] += f64::from(b);
    }
    sums
}

/// Mean and variance of channels from `first` on; `mean` holds a guess before.
#[inline(always)]
fn measure(sizes: Sizes, x: &[f32], first: usize, mean: &mut [f32], variance: &mut [f32]) {
    let mut sums = vec![[0f64; 2]; mean.len()];
    for image in sizes.of(x, first, mean.len()) {
        for ((values, sums), &near) in image.chunks_exact(sizes.area).zip(&mut sums).zip(&*mean) {
            let [sum, squares] = add_up(values.len(), |at| {
                let distance = values[at] - near;
                [distance, distance * distance]
            });
            sums[0] += sum;
            sums[1] += squares;
        }
    }
    let count = (x.len() / sizes.channels).max(1) as f64;
    for ((mean, variance), [sum, squares]) in mean.iter_mut().zip(variance).zip(sums) {
        let distance = sum / count;
        *variance = (squares / count - distance * distance).max(0.0) as f32;
        *mean = (f64::from(*mean) + distance) as f32;
    }
}

/// `to = from * k + b`, cut at 0 with `relu`.
#[inline(always)]
fn apply(channels: &[Channel], area: usize, relu: bool, from: &[f32], to: &mut [f32]) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    for ((from, to), channel) in from.chunks_exact(area).zip(to.chunks_exact_mut(area)).zip(channels) {
        for (to, from) in to.iter_mut().zip(from) {
            let y = from * channel.k + channel.b;
            // A NaN stays one: it must reach the loss.
            *to = if y < floor { floor } else { y };
        }
    }
}

/// The gradient behind Relu.
#[inline(always)]
fn passed(channel: &Channel, relu: bool, dy: f32, x: f32) -> f32 {
    if !relu || x * channel.k + channel.b > 0.0 { dy } else { 0.0 }
}

/// Sums of the gradient, and of its product with the distance from the mean.
#[inline(always)]
fn project(
    sizes: Sizes,
    [dy, x]: [&[f32]; 2],
    first: usize,
    channels: &[Channel],
    relu: bool,
    [dscale, dbias]: [&mut [f32]; 2],
) {
    let mut sums = vec![[0f64; 2]; channels.len()];
    let images = sizes.of(dy, first, channels.len()).zip(sizes.of(x, first, channels.len()));
    for (dy, x) in images {
        let planes = dy.chunks_exact(sizes.area).zip(x.chunks_exact(sizes.area));
        for (((dy, x), sums), channel) in planes.zip(&mut sums).zip(channels) {
            let (dy, x) = (&dy[..sizes.area], &x[..sizes.area]);
            let [products, sum] = add_up(sizes.area, |at| {
                let g = passed(channel, relu, dy[at], x[at]);
                [g * (x[at] - channel.mean), g]
            });
            sums[0] += products;
            sums[1] += sum;
        }
    }
    for ((dscale, dbias), [products, sum]) in dscale.iter_mut().zip(dbias).zip(sums) {
        (*dscale, *dbias) = (products as f32, sum as f32);
    }
}

/// `dx = k * g + x * a + c`, with `[a, c]` of each channel.
#[inline(always)]
fn spread(
    channels: &[Channel],
    slopes: &[[f32; 2]],
    area: usize,
    relu: bool,
    [dy, x]: [&[f32]; 2],
    dx: &mut [f32],
) {
    let planes = dy.chunks_exact(area).zip(x.chunks_exact(area)).zip(dx.chunks_exact_mut(area));
    for (((dy, x), dx), (channel, [a, c])) in planes.zip(channels.iter().zip(slopes)) {
        for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
            *dx = channel.k * passed(channel, relu, *dy, *x) + (x * a + c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::random::Random;

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
