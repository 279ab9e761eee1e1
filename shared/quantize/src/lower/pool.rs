//! Average pools: a sum over the window with one multiplier.

use super::super::fusion::Step;
use super::super::graph::{FloatOp, QuantizedOp};
use super::super::quantizer::{Builder, Context, QuantizeError};
use super::multiplier;

pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let FloatOp::AveragePool { window, count_include_pad } = &step.node.op else { return Ok(()) };
    if !count_include_pad && window.padding != Default::default() {
        let problem = "an average pool that leaves its padding out divides by different numbers at the \
                       border; set count_include_pad, or pad by nothing";
        return Err(QuantizeError::Unsupported { node: step.node.name.clone(), problem });
    }
    let (input, output) = (context.input(step, 0), context.output(step));
    let divisor = (window.kernel[0] * window.kernel[1]) as f64;
    let real = f64::from(input.scale) / (f64::from(output.scale) * divisor);
    let op = QuantizedOp::AveragePool { window: *window, multiplier: multiplier(step, 0, real)? };
    builder.push(step, op, output, 0.0);
    Ok(())
}
