//! Products of two activations.

use super::super::fusion::Step;
use super::super::graph::QuantizedOp;
use super::super::quantizer::{Builder, Context, QuantizeError};
use super::multiplier;

pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let (a, b, output) = (context.input(step, 0), context.input(step, 1), context.output(step));
    let real = f64::from(a.scale) * f64::from(b.scale) / f64::from(output.scale);
    builder.push(step, QuantizedOp::Mul { multiplier: multiplier(step, 0, real)? }, output, 0.0);
    Ok(())
}
