//! Concatenation along channels, on one grid; in int8, inputs on another are requantized by a table first.

use alloc::{format, vec, vec::Vec};

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::{Record, Slot};
use goldcrest_engine::shape::Shape;

use super::lookup::Lookup;
use super::{FloatOp, FloatOperator, Grid, QuantizedOp, QuantizedOperator};
use crate::fusion::Step;
use crate::graph::TensorId;
use crate::infer::{Infer, ShapeError, sized};
use crate::pack::Outline;
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand};

/// Concatenation, of either graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Concat;

impl Infer for Concat {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let Some((&first, rest)) = inputs.split_first() else {
            return Err(ShapeError::Inputs { found: 0, expected: 2 });
        };
        let mut output = first;
        for &input in rest {
            if (input.height, input.width) != (first.height, first.width) {
                return Err(ShapeError::Operands(first, input));
            }
            output.channels = output.channels.saturating_add(input.channels);
        }
        sized(output)
    }
}

impl FloatOperator for Concat {
    fn grid(&self) -> Grid {
        Grid::Inputs
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        let output = builder.context.output(step);
        let mut inputs = Vec::new();
        for (index, &id) in step.node.inputs.iter().enumerate() {
            let input = builder.context.input(step, index);
            inputs.push(match input == output {
                true => builder.tensor(id),
                false => {
                    let copy = QuantizedOp::Lookup(Lookup::of(input, output, |x| x));
                    builder.push_between(step, &format!("/input{index}"), id, copy, output)
                }
            });
        }
        builder.push_over(step, QuantizedOp::Concat, inputs, 0.0);
        Ok(())
    }
}

impl QuantizedOperator for Concat {
    fn moves(&self) -> Option<FloatOp> {
        Some(FloatOp::Concat)
    }

    fn compute(
        &self,
        inputs: &[Operand<'_>],
        [row, column, channel]: [usize; 3],
        zero_point: i8,
    ) -> Computed {
        let mut channel = channel;
        for input in inputs {
            if channel < input.shape.channels {
                return Computed::Value(input.raw([row, column, channel]));
            }
            channel -= input.shape.channels;
        }
        Computed::Value(zero_point)
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        outline.layer(Operator::Concat, &[])
    }

    /// One layer per input.
    fn layers<'a>(
        &'a self,
        whole: Outline,
        inputs: &[(TensorId, Shape)],
    ) -> Vec<(LayerSpec<'a>, Vec<TensorId>)> {
        let (mut first_channel, count) = (0, inputs.len());
        let part = |(index, &(id, shape)): (usize, &(TensorId, Shape))| {
            let (input, partial) = (Slot { offset: 0, shape }, index + 1 < count);
            let record = Record { input, second: Slot::default(), first_channel, partial, ..whole.record };
            first_channel += shape.channels;
            (self.layer(Outline { record, ..whole }), vec![id])
        };
        inputs.iter().enumerate().map(part).collect()
    }
}
