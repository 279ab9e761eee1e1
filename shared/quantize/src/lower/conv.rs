//! Convolutions. The scale of each output channel's weights is moved up until `sx * sw / sy` is a multiple of
//! `2^-16`, and only then are the weights rounded: the grid costs resolution, never exactness.

use alloc::vec::Vec;

use super::super::fusion::Step;
use super::super::graph::{FloatConv, FloatOp, QuantizedConv, QuantizedOp};
use super::super::quantizer::{Builder, Context, QuantizeError};
use super::{clamp, on_grid};

/// Largest weight.
const LIMIT: f64 = 127.0;
/// Largest bias: leaves the weights as much of an accumulator again.
const BIAS_LIMIT: f64 = (1u64 << 30) as f64;

pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let FloatOp::Conv(conv) = &step.node.op else { return Ok(()) };
    if !conv.weights.iter().chain(&conv.bias).all(|value| value.is_finite()) {
        return Err(QuantizeError::Weights { node: step.node.name.clone() });
    }
    let (input, output) = (context.input(step, 0), context.output(step));
    // Multiplier of a channel, in units of 2^-16, for weights in units of 1.
    let unit = f64::from(input.scale) / f64::from(output.scale) * 65536.0;
    let each = conv.weights.len() / conv.bias.len();
    let (mut weights, mut bias, mut multipliers) = (Vec::new(), Vec::new(), Vec::new());
    let mut grid_cost = 0f64;
    for (channel, &shift) in conv.bias.iter().enumerate() {
        let row = &conv.weights[channel * each..][..each];
        let largest = row.iter().fold(0.0, |largest: f64, &weight| largest.max(f64::from(weight).abs()));
        let ideal = largest / LIMIT * unit;
        let for_bias = f64::from(shift).abs() / f64::from(input.scale) / BIAS_LIMIT * unit;
        let k = match context.given.weight_scale(step.node.output, channel) {
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
        if context.options.bias_correction {
            shift -= mean_error(context, step, conv, channel, &weights[first..], scale);
        }
        let steps = libm::rint(shift / (f64::from(input.scale) * scale));
        bias.push(steps.clamp(-BIAS_LIMIT, BIAS_LIMIT) as i32);
        multipliers.push(multiplier);
        if ideal > 0.0 {
            grid_cost = grid_cost.max(k / ideal - 1.0);
        }
    }
    let op = QuantizedConv {
        window: conv.window,
        groups: conv.groups,
        weights,
        bias,
        multipliers,
        clamp: clamp(step.bounds, output),
    };
    builder.push(step, QuantizedOp::Conv(op), output, grid_cost);
    Ok(())
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
