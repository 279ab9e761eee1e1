//! Products of two tensors; the second may have one value per channel.

use alloc::{vec, vec::Vec};

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::Record;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Shape;

use super::{Channels, FloatOperator, QuantizedOp, QuantizedOperator};
use crate::check::{self, GraphError};
use crate::fusion::Step;
use crate::graph::Clamp;
use crate::infer::{Infer, ShapeError, pair};
use crate::lower::multiplier;
use crate::pack::{Outline, is_wide};
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand};

/// Of a float graph: a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mul;

impl Infer for Mul {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        match pair(inputs)? {
            [a, b] if a == b || b == Shape::new(1, 1, a.channels) => Ok(a),
            [a, b] => Err(ShapeError::Operands(a, b)),
        }
    }
}

impl FloatOperator for Mul {
    fn channels(&self) -> Channels {
        Channels::OfFirst
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        let (a, b, output) =
            (builder.context.input(step, 0), builder.context.input(step, 1), builder.context.output(step));
        let real = f64::from(a.scale) * f64::from(b.scale) / f64::from(output.scale);
        let op = QuantizedMul { multiplier: multiplier(step, 0, real)? };
        builder.push(step, QuantizedOp::Mul(op));
        Ok(())
    }
}

/// `saturate(round_half_even((a - za) * (b - zb) * k / 2^16) + zy)`; `b` may be `1 x 1 x channels`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizedMul {
    /// `k`, at most [`QuantizedOp::ELEMENTWISE_LIMIT`].
    pub multiplier: Multiplier,
}

impl Infer for QuantizedMul {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        Mul.output_shape(inputs)
    }
}

impl QuantizedOperator for QuantizedMul {
    fn multipliers(&self) -> &[Multiplier] {
        core::slice::from_ref(&self.multiplier)
    }

    fn ratios(&self, inputs: &[f64], output: f64) -> Vec<f64> {
        vec![inputs[0] * inputs[1] / output]
    }

    fn check(&self, node: &str, _: i8) -> Result<(), GraphError> {
        check::exact_in_a_float(node, self.multiplier)
    }

    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], _: i8) -> Computed {
        let [a, b] = [&inputs[0], &inputs[1]];
        let single = (b.shape.height, b.shape.width) == (1, 1);
        let at = if single { [0, 0, position[2]] } else { position };
        let sum = i64::from(a.at(position)) * i64::from(b.at(at));
        Computed::Sum { sum, k: self.multiplier.k(), clamp: Clamp::NONE }
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        let record = Record { wide: is_wide(255 * 255, self.multiplier), ..outline.record };
        Outline { record, ..outline }.layer(Operator::Mul, &[self.multiplier])
    }
}
