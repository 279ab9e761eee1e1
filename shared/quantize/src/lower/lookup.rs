//! Elementwise functions: a table of all 256 answers.

use alloc::boxed::Box;

use super::super::fusion::Step;
use super::super::graph::{FloatOp, Quantization, QuantizedOp};
use super::super::quantizer::{Builder, Context, QuantizeError};

pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let FloatOp::Activation(activation) = &step.node.op else { return Ok(()) };
    let (input, output) = (context.input(step, 0), context.output(step));
    builder.push(step, table(input, output, |x| activation.apply(x)), output, 0.0);
    Ok(())
}

/// The table of a function between two grids.
pub fn table(input: Quantization, output: Quantization, function: impl Fn(f64) -> f64) -> QuantizedOp {
    let entry = |index: usize| {
        let value = index as f64 - 128.0 - f64::from(input.zero_point);
        let real = function(value * f64::from(input.scale));
        let steps = libm::rint(real / f64::from(output.scale)) + f64::from(output.zero_point);
        steps.clamp(-128.0, 127.0) as i8
    };
    QuantizedOp::Lookup(Box::new(core::array::from_fn(entry)))
}
