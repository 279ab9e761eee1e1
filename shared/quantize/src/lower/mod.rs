//! From steps of the float graph to int8 operators: one file per operator, all of one shape.

mod add;
mod concat;
mod conv;
mod lookup;
mod multiply;
mod pool;

use super::fusion::Step;
use super::graph::{Clamp, FloatOp, Quantization, QuantizedOp};
use super::quantizer::{Builder, Context, QuantizeError};
use goldcrest_engine::requantize::Multiplier;

/// Adds the int8 form of one step.
type Lowering = fn(&mut Builder<'_>, &Context<'_>, &Step<'_>) -> Result<(), QuantizeError>;

/// Adds the int8 form of a step to the graph.
pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let lowering: Lowering = match &step.node.op {
        FloatOp::Conv(_) => conv::lower,
        FloatOp::Activation(_) => lookup::lower,
        FloatOp::AveragePool { .. } => pool::lower,
        FloatOp::Add => add::lower,
        FloatOp::Mul => multiply::lower,
        FloatOp::Concat => concat::lower,
        FloatOp::MaxPool(_) | FloatOp::Pad(_) | FloatOp::UpsampleNearest2 => moving,
    };
    lowering(builder, context, step)
}

/// Operators that only move values: the same in int8, on one grid.
fn moving(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let op = match &step.node.op {
        FloatOp::MaxPool(window) => QuantizedOp::MaxPool(*window),
        FloatOp::Pad(padding) => QuantizedOp::Pad(*padding),
        _ => QuantizedOp::UpsampleNearest2,
    };
    builder.push(step, op, context.output(step), 0.0);
    Ok(())
}

/// The multiplier on the grid nearest to a real one.
fn multiplier(step: &Step<'_>, channel: usize, real: f64) -> Result<Multiplier, QuantizeError> {
    on_grid(step, channel, libm::rint(real * 65536.0).max(1.0))
}

/// The multiplier `k / 2^16`.
fn on_grid(step: &Step<'_>, channel: usize, k: f64) -> Result<Multiplier, QuantizeError> {
    let found = if k <= f64::from(u32::MAX) { Multiplier::new(k as u32) } else { None };
    found.ok_or_else(|| QuantizeError::Multiplier {
        node: step.node.name.clone(),
        channel,
        multiplier: k / 65536.0,
    })
}

/// Bounds of real values on a grid.
fn clamp(bounds: Option<(f64, f64)>, grid: Quantization) -> Clamp {
    let Some((low, high)) = bounds else { return Clamp::NONE };
    let value = |real: f64| {
        (libm::rint(real / f64::from(grid.scale)) + f64::from(grid.zero_point)).clamp(-128.0, 127.0) as i8
    };
    Clamp { low: value(low), high: value(high) }
}
