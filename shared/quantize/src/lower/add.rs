//! Additions: each operand with a multiplier of its own.

use super::super::fusion::Step;
use super::super::graph::QuantizedOp;
use super::super::quantizer::{Builder, Context, QuantizeError};
use super::{clamp, multiplier};

pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let output = context.output(step);
    let ratio = |index: usize| {
        multiplier(step, 0, f64::from(context.input(step, index).scale) / f64::from(output.scale))
    };
    let op = QuantizedOp::Add { multipliers: [ratio(0)?, ratio(1)?], clamp: clamp(step.bounds, output) };
    builder.push(step, op, output, 0.0);
    Ok(())
}
