//! What learning the weights of one convolution needs to know of its data: first and second moments of the
//! int8 values under its window, and their products with the outputs that are wanted. One pass over the
//! samples, memory that does not depend on their number; moments of parts can be merged.

use alloc::{vec, vec::Vec};

use super::graph::QuantizedConv;
use goldcrest_engine::shape::Shape;

/// Samples that are multiplied out at once.
const BLOCK: usize = 64;

/// Moments of one convolution.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Values under the window in one group.
    taps: usize,
    groups: Vec<Group>,
    /// Sum of the wanted values of each output channel.
    targets: Vec<f64>,
    count: u64,
    waiting: Waiting,
}

/// Moments of the channels of one group.
#[derive(Clone, Debug)]
struct Group {
    /// `sum x_i x_j` at `i * taps + j` for `i <= j`.
    products: Vec<f64>,
    sums: Vec<f64>,
    /// `sum y_o x_i` at `o * taps + i`.
    cross: Vec<f64>,
}

/// Samples not yet multiplied out, value by value: `[group][tap][sample]` and `[output][sample]`.
#[derive(Clone, Debug)]
struct Waiting {
    values: Vec<[i16; BLOCK]>,
    targets: Vec<[f32; BLOCK]>,
    count: usize,
}

/// One image as a convolution sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Int8 values it reads, HWC.
    pub input: &'a [i8],
    /// Shape of the input.
    pub shape: Shape,
    /// Zero point of the input.
    pub zero_point: i8,
    /// Values that it should write, before any activation: `[output channel][position]`.
    pub target: &'a [f32],
    /// Columns of its output.
    pub width: usize,
}

impl Moments {
    /// Nothing seen yet of a convolution.
    pub fn new(conv: &QuantizedConv) -> Self {
        let outputs = conv.bias.len();
        let taps = conv.weights.len() / outputs;
        let group = Group {
            products: vec![0.0; taps * taps],
            sums: vec![0.0; taps],
            cross: vec![0.0; outputs / conv.groups * taps],
        };
        let waiting = Waiting {
            values: vec![[0; BLOCK]; conv.groups * taps],
            targets: vec![[0.0; BLOCK]; outputs],
            count: 0,
        };
        Self { taps, groups: vec![group; conv.groups], targets: vec![0.0; outputs], count: 0, waiting }
    }

    /// Adds what a convolution reads and should write at some positions of its output
    /// (`row * width + column`).
    pub fn observe(&mut self, conv: &QuantizedConv, sample: &Sample<'_>, positions: &[usize]) {
        let Shape { height, width, channels } = sample.shape;
        let (window, depth) = (&conv.window, channels / conv.groups);
        let zero = i16::from(sample.zero_point);
        for (index, &position) in positions.iter().enumerate() {
            let (row, column) = (position / sample.width, position % sample.width);
            let slot = self.waiting.count;
            for tap in 0..window.kernel[0] * window.kernel[1] {
                let y = row * window.stride[0] + tap / window.kernel[1] * window.dilation[0];
                let x = column * window.stride[1] + tap % window.kernel[1] * window.dilation[1];
                let (y, x) = (y.wrapping_sub(window.padding.top), x.wrapping_sub(window.padding.left));
                let seen = (y < height && x < width).then(|| (y * width + x) * channels);
                for channel in 0..channels {
                    let (group, inside) = (channel / depth, channel % depth);
                    let value = seen.map_or(0, |start| i16::from(sample.input[start + channel]) - zero);
                    self.waiting.values[group * self.taps + tap * depth + inside][slot] = value;
                }
            }
            for (targets, waiting) in
                sample.target.chunks_exact(positions.len()).zip(&mut self.waiting.targets)
            {
                waiting[slot] = targets[index];
            }
            self.waiting.count += 1;
            if self.waiting.count == BLOCK {
                self.multiply_out();
            }
        }
    }

    fn multiply_out(&mut self) {
        let count = self.waiting.count;
        let taps = self.taps;
        for (target, waiting) in self.targets.iter_mut().zip(&self.waiting.targets) {
            *target += f64::from(waiting[..count].iter().sum::<f32>());
        }
        let outputs = self.targets.len() / self.groups.len();
        for (index, group) in self.groups.iter_mut().enumerate() {
            let values = &mut self.waiting.values[index * taps..][..taps];
            // Slots that no sample filled hold the block before.
            values.iter_mut().for_each(|row| row[count..].fill(0));
            let targets = &self.waiting.targets[index * outputs..][..outputs];
            for (i, row) in values.iter().enumerate() {
                group.sums[i] += f64::from(row.iter().map(|&value| i32::from(value)).sum::<i32>());
                for (product, other) in group.products[i * taps + i..].iter_mut().zip(&values[i..]) {
                    *product += f64::from(dot(row, other));
                }
                let real: [f32; BLOCK] = row.map(f32::from);
                for (output, target) in targets.iter().enumerate() {
                    let sum: f32 = real.iter().zip(target).map(|(value, target)| value * target).sum();
                    group.cross[output * taps + i] += f64::from(sum);
                }
            }
        }
        self.count += count as u64;
        self.waiting.count = 0;
    }

    /// Adds what other images showed of the same convolution.
    pub fn merge(&mut self, mut other: Self) {
        self.multiply_out();
        other.multiply_out();
        let add = |own: &mut [f64], other: &[f64]| own.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        for (own, other) in self.groups.iter_mut().zip(&other.groups) {
            add(&mut own.products, &other.products);
            add(&mut own.sums, &other.sums);
            add(&mut own.cross, &other.cross);
        }
        add(&mut self.targets, &other.targets);
        self.count += other.count;
    }

    /// What the samples say of one group; `None` before the first.
    pub fn covariance(&mut self, group: usize) -> Option<Covariance> {
        self.multiply_out();
        if self.count == 0 {
            return None;
        }
        let count = self.count as f64;
        let (taps, moments) = (self.taps, &self.groups[group]);
        let outputs = self.targets.len() / self.groups.len();
        let means: Vec<f64> = moments.sums.iter().map(|sum| sum / count).collect();
        let targets: Vec<f64> =
            self.targets[group * outputs..][..outputs].iter().map(|sum| sum / count).collect();
        let mut values = vec![0.0; taps * taps];
        for i in 0..taps {
            for j in i..taps {
                let covariance = moments.products[i * taps + j] / count - means[i] * means[j];
                values[i * taps + j] = covariance;
                values[j * taps + i] = covariance;
            }
        }
        let squares = (0..taps).map(|i| moments.products[i * taps + i] / count).collect();
        let mut cross = moments.cross.clone();
        for (row, target) in cross.chunks_exact_mut(taps).zip(&targets) {
            row.iter_mut().zip(&means).for_each(|(sum, mean)| *sum = *sum / count - mean * target);
        }
        Some(Covariance { count: self.count, means, squares, values, cross, targets })
    }
}

/// Moments of one group about their means; `x` are int8 values minus their zero point, `y` real.
#[derive(Clone, Debug)]
pub struct Covariance {
    /// Samples seen.
    pub count: u64,
    /// Mean of each value under the window.
    pub means: Vec<f64>,
    /// Mean square of each value under the window.
    pub squares: Vec<f64>,
    /// `cov(x_i, x_j)` at `i * taps + j`.
    pub values: Vec<f64>,
    /// `cov(y_o, x_i)` at `o * taps + i`.
    pub cross: Vec<f64>,
    /// Mean of the wanted values of each output channel.
    pub targets: Vec<f64>,
}

fn dot(a: &[i16; BLOCK], b: &[i16; BLOCK]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}
