//! Concatenation: on one grid; inputs on another are requantized by a table first.

use super::super::fusion::Step;
use super::super::graph::QuantizedOp;
use super::super::quantizer::{Builder, Context, QuantizeError};
use super::lookup::table;

pub fn lower(builder: &mut Builder<'_>, context: &Context<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
    let output = context.output(step);
    let mut inputs = alloc::vec::Vec::new();
    for (index, &id) in step.node.inputs.iter().enumerate() {
        let input = context.input(step, index);
        inputs.push(match input == output {
            true => builder.tensor(id),
            false => {
                let suffix = alloc::format!("/input{index}");
                builder.push_between(step, &suffix, id, table(input, output, |x| x), output)
            }
        });
    }
    builder.push_over(step, QuantizedOp::Concat, inputs, output, 0.0);
    Ok(())
}
