//! Convolutions and fully connected layers.
//!
//! When one becomes int8, the scale of each output channel's weights is moved up until `sx * sw / sy` is a
//! multiple of `2^-16`, and only then are the weights rounded: the grid costs resolution, never exactness.

use alloc::vec::Vec;

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::Record;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Shape, Window};

use super::{Channels, FloatOp, FloatOperator, QuantizedOp, QuantizedOperator, sum};
use crate::check::{self, GraphError};
use crate::fusion::Step;
use crate::graph::Clamp;
use crate::infer::{Infer, ShapeError, one, sized, slide};
use crate::lower::{clamp, on_grid};
use crate::pack::{Outline, channel, is_wide};
use crate::quantizer::{Builder, Context, QuantizeError};
use crate::reference::{Computed, Operand, taps};
use crate::rounding::WeightRange;

/// Largest weight.
const LIMIT: f64 = 127.0;
/// Largest bias: leaves the weights as much of an accumulator again.
const BIAS_LIMIT: f64 = (1u64 << 30) as f64;

/// A float convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatConv {
    /// Kernel, stride, dilation and padding (with zeros).
    pub window: Window,
    /// Groups; equal to the input channels in a depthwise convolution.
    pub groups: usize,
    /// OHWI.
    pub weights: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<f32>,
}

impl FloatConv {
    /// Whether it is a 1x1 depthwise convolution, `scale * x + shift` for every channel: `weights` are the
    /// scales, `bias` the shifts.
    pub fn is_affine(&self) -> bool {
        self.window == Window::new([1, 1], [1, 1])
            && self.groups == self.bias.len()
            && self.weights.len() == self.groups
    }
}

impl Infer for FloatConv {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        output_shape(&self.window, self.groups, self.weights.len(), self.bias.len(), one(inputs)?)
    }
}

impl FloatOperator for FloatConv {
    fn takes_bounds(&self) -> bool {
        true
    }

    fn channels(&self) -> Channels {
        Channels::Absorbed
    }

    fn is_identity(&self) -> bool {
        self.is_affine()
            && self.weights.iter().all(|&scale| scale == 1.0)
            && self.bias.iter().all(|&shift| shift == 0.0)
    }

    fn padded(&self, more: Padding) -> Option<FloatOp> {
        let window = Window { padding: sum(self.window.padding, more), ..self.window };
        Some(FloatOp::Conv(Self { window, ..self.clone() }))
    }

    fn reads(&self, output: Shape) -> usize {
        self.weights.len() / output.channels.max(1)
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        if !self.weights.iter().chain(&self.bias).all(|value| value.is_finite()) {
            return Err(QuantizeError::Weights { node: step.node.name.clone() });
        }
        let (input, output) = (builder.context.input(step, 0), builder.context.output(step));
        // Multiplier of a channel, in units of 2^-16, for weights in units of 1.
        let unit = f64::from(input.scale) / f64::from(output.scale) * 65536.0;
        let each = self.weights.len() / self.bias.len();
        let (mut weights, mut bias, mut multipliers) = (Vec::new(), Vec::new(), Vec::new());
        let mut grid_cost = 0f64;
        for (channel, &shift) in self.bias.iter().enumerate() {
            let row = &self.weights[channel * each..][..each];
            let largest = row.iter().fold(0.0, |largest: f64, &weight| largest.max(f64::from(weight).abs()));
            let ideal = largest / LIMIT * unit;
            let for_bias = f64::from(shift).abs() / f64::from(input.scale) / BIAS_LIMIT * unit;
            let k = match builder.context.given.weight_scale(step.node.output, channel) {
                Some(scale) => given(scale * unit, ideal.max(for_bias)),
                None => libm::ceil(ideal.max(for_bias) * (1.0 - 1e-9)).max(1.0),
            };
            let multiplier = on_grid(step, channel, k)?;
            let scale = k / unit;
            let rounded =
                row.iter().map(|&weight| libm::rint(f64::from(weight) / scale).clamp(-LIMIT, LIMIT) as i8);
            let first = weights.len();
            weights.extend(rounded);
            let mut shift = f64::from(shift);
            if builder.context.options.bias_correction {
                shift -= mean_error(&builder.context, step, self, channel, &weights[first..], scale);
            }
            let steps = libm::rint(shift / (f64::from(input.scale) * scale));
            bias.push(steps.clamp(-BIAS_LIMIT, BIAS_LIMIT) as i32);
            multipliers.push(multiplier);
            if ideal > 0.0 {
                grid_cost = grid_cost.max(k / ideal - 1.0);
            }
        }
        let op = QuantizedConv {
            window: self.window,
            groups: self.groups,
            weights,
            bias,
            multipliers,
            clamp: clamp(step.bounds, output),
        };
        builder.push_costly(step, QuantizedOp::Conv(op), grid_cost);
        Ok(())
    }
}

/// The multiplier on the grid next to a given one; the next larger where the largest weight would else lose
/// more than half a step.
fn given(multiplier: f64, least: f64) -> f64 {
    let nearest = libm::rint(multiplier).max(1.0);
    match least / nearest * LIMIT > LIMIT + 0.5 {
        true => libm::ceil(least * (1.0 - 1e-9)),
        false => nearest,
    }
}

/// How far rounding the weights moves the mean of an output channel: `sum (wq * s - w) * mean(x)`. Padding
/// counts as if it had the mean too.
fn mean_error(
    context: &Context<'_>,
    step: &Step<'_>,
    conv: &FloatConv,
    channel: usize,
    rounded: &[i8],
    scale: f64,
) -> f64 {
    let statistics = &context.statistics.tensors[step.node.inputs[0].0];
    let depth = context.graph.tensor(step.node.inputs[0]).shape.channels / conv.groups;
    let first = channel / (conv.bias.len() / conv.groups) * depth;
    let exact = &conv.weights[channel * rounded.len()..][..rounded.len()];
    let error = |(index, (&rounded, &exact)): (usize, (&i8, &f32))| {
        (f64::from(rounded) * scale - f64::from(exact)) * statistics.mean(first + index % depth)
    };
    rounded.iter().zip(exact).enumerate().map(error).sum()
}

/// An int8 convolution:
/// `y[o] = clamp(saturate(round_half_even((bias[o] + sum (x - zx) * w) * k[o] / 2^16) + zy))`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedConv {
    /// Kernel, stride, dilation and padding.
    pub window: Window,
    /// Groups; equal to the input channels in a depthwise convolution.
    pub groups: usize,
    /// OHWI, zero point 0, values in -127..=127 (weights of 4 bits: -8..=7).
    pub weights: Vec<i8>,
    /// One per output channel, in units of input scale * weight scale.
    pub bias: Vec<i32>,
    /// One per output channel: input scale * weight scale / output scale.
    pub multipliers: Vec<Multiplier>,
    /// Bounds of the output.
    pub clamp: Clamp,
}

impl QuantizedConv {
    /// Whether every group reads one channel.
    pub fn is_depthwise(&self) -> bool {
        let [height, width] = self.window.kernel;
        self.groups > 1 && self.weights.len() == self.bias.len() * height * width
    }

    /// Whether device images hold the weights two in a byte: none needs more than four bits, and the layer is
    /// not depthwise.
    pub fn is_four_bits(&self) -> bool {
        let range = WeightRange::INT4.low..=WeightRange::INT4.high;
        !self.is_depthwise() && self.weights.iter().all(|weight| range.contains(weight))
    }

    /// The smallest and the largest accumulator that an output channel can reach over all int8 inputs with
    /// this zero point, padding included. Partial sums stay inside too, because `x - zx = 0` is possible.
    pub fn accumulator_range(&self, channel: usize, zero_point: i8) -> (i64, i64) {
        let each = self.weights.len() / self.bias.len();
        let (below, above) = (-128 - i64::from(zero_point), 127 - i64::from(zero_point));
        let bias = i64::from(self.bias[channel]);
        self.weights[channel * each..][..each].iter().fold((bias, bias), |(low, high), &weight| {
            let (a, b) = (below * i64::from(weight), above * i64::from(weight));
            (low + a.min(b), high + a.max(b))
        })
    }
}

impl Infer for QuantizedConv {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        output_shape(&self.window, self.groups, self.weights.len(), self.bias.len(), one(inputs)?)
    }
}

impl QuantizedOperator for QuantizedConv {
    fn multipliers(&self) -> &[Multiplier] {
        &self.multipliers
    }

    fn check(&self, node: &str, zero_point: i8) -> Result<(), GraphError> {
        if self.multipliers.len() != self.bias.len() {
            let (found, expected) = (self.multipliers.len(), self.bias.len());
            return Err(GraphError::Count { what: "multipliers of a convolution", found, expected });
        }
        (0..self.bias.len()).try_for_each(|channel| {
            check::in_range(node, channel, self.accumulator_range(channel, zero_point))
        })
    }

    /// `bias[o] + sum (x - zx) * w` in int32; padding contributes 0.
    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], _: i8) -> Computed {
        let (input, channel) = (&inputs[0], position[2]);
        let depth = input.shape.channels / self.groups;
        let first = channel / (self.bias.len() / self.groups) * depth;
        let taps_per_channel = self.window.kernel[0] * self.window.kernel[1];
        let mut acc = self.bias[channel];
        for (tap, row, column) in taps(&self.window, input.shape, position) {
            let weights = &self.weights[(channel * taps_per_channel + tap) * depth..][..depth];
            let start = (row * input.shape.width + column) * input.shape.channels + first;
            let values = &input.values[start..start + depth];
            for (&value, &weight) in values.iter().zip(weights) {
                acc += (i32::from(value) - input.zero_point) * i32::from(weight);
            }
        }
        Computed::Sum { sum: i64::from(acc), k: self.multipliers[channel].k(), clamp: self.clamp }
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        let zero = outline.record.input_zero;
        let each = self.weights.len() / self.bias.len();
        let (mut wide, mut accumulators) = (false, (i64::MAX, i64::MIN));
        let mut channels = Vec::with_capacity(self.bias.len());
        for (output, (&bias, &multiplier)) in self.bias.iter().zip(&self.multipliers).enumerate() {
            let (low, high) = self.accumulator_range(output, zero);
            wide |= is_wide(high.max(-low), multiplier);
            accumulators = (low.min(accumulators.0), high.max(accumulators.1));
            // Kernels sum over `x`, not `x - zx`, and padding holds `zx`.
            let sum: i32 =
                self.weights[output * each..][..each].iter().map(|&weight| i32::from(weight)).sum();
            channels.push(channel(bias.wrapping_sub(i32::from(zero).wrapping_mul(sum)), multiplier));
        }
        let (window, groups, Clamp { low, high }) = (self.window, self.groups, self.clamp);
        let record = Record { wide, window, groups, low, high, ..outline.record };
        LayerSpec {
            weights: &self.weights,
            bits: if self.is_four_bits() { 4 } else { 8 },
            channels,
            accumulators,
            ..Outline { record, ..outline }.layer(Operator::Convolution, &[])
        }
    }
}

fn output_shape(
    window: &Window,
    groups: usize,
    weights: usize,
    channels: usize,
    input: Shape,
) -> Result<Shape, ShapeError> {
    let [height, width] = slide(window, input)?;
    let kernel = window.kernel[0] * window.kernel[1];
    let divides = groups > 0
        && channels > 0
        && input.channels.is_multiple_of(groups)
        && channels.is_multiple_of(groups);
    let expected = if divides { kernel.checked_mul(input.channels / groups) } else { None };
    if expected.and_then(|each| each.checked_mul(channels)) != Some(weights) {
        return Err(ShapeError::Weights { weights, channels, groups, kernel, input });
    }
    sized(Shape::new(height, width, channels))
}
