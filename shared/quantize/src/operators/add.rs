//! Sums of two tensors of one shape, each with a multiplier of its own.

use alloc::{vec, vec::Vec};

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::Record;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Shape;

use super::{Channels, FloatOperator, OutputScale, QuantizedOp, QuantizedOperator};
use crate::check::{self, GraphError};
use crate::fusion::Step;
use crate::graph::Clamp;
use crate::infer::{Infer, ShapeError, pair};
use crate::lower::{clamp, multiplier};
use crate::pack::Outline;
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand};

/// Of a float graph: a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Add;

impl Infer for Add {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        match pair(inputs)? {
            [a, b] if a == b => Ok(a),
            [a, b] => Err(ShapeError::Operands(a, b)),
        }
    }
}

impl FloatOperator for Add {
    fn takes_bounds(&self) -> bool {
        true
    }

    /// As coarse as the inputs, which the multipliers need.
    fn scale(&self, output: &OutputScale<'_>) -> f64 {
        let coarsest = output.inputs[0].max(output.inputs[1]);
        // A little above, so that rounding the multiplier cannot pass the limit.
        let least = coarsest * 65536.0 / (f64::from(QuantizedOp::ELEMENTWISE_LIMIT) - 1.0);
        output.scale.max(least)
    }

    fn channels(&self) -> Channels {
        Channels::Shared
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        let output = builder.context.output(step);
        let ratio = |index: usize| {
            multiplier(step, 0, f64::from(builder.context.input(step, index).scale) / f64::from(output.scale))
        };
        let op = QuantizedAdd { multipliers: [ratio(0)?, ratio(1)?], clamp: clamp(step.bounds, output) };
        builder.push(step, QuantizedOp::Add(op));
        Ok(())
    }
}

/// `clamp(saturate(round_half_even(((a - za) * ka + (b - zb) * kb) / 2^16) + zy))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizedAdd {
    /// `ka` and `kb`; each at most [`QuantizedOp::ELEMENTWISE_LIMIT`], so that both products are exact in a
    /// float.
    pub multipliers: [Multiplier; 2],
    /// Bounds of the output.
    pub clamp: Clamp,
}

impl Infer for QuantizedAdd {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        Add.output_shape(inputs)
    }
}

impl QuantizedOperator for QuantizedAdd {
    fn multipliers(&self) -> &[Multiplier] {
        &self.multipliers
    }

    fn ratios(&self, inputs: &[f64], output: f64) -> Vec<f64> {
        vec![inputs[0] / output, inputs[1] / output]
    }

    fn check(&self, node: &str, _: i8) -> Result<(), GraphError> {
        self.multipliers.iter().try_for_each(|&multiplier| check::exact_in_a_float(node, multiplier))
    }

    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], _: i8) -> Computed {
        let [ka, kb] = self.multipliers.map(|multiplier| i64::from(multiplier.k()));
        let (a, b) = (i64::from(inputs[0].at(position)), i64::from(inputs[1].at(position)));
        Computed::Sum { sum: a * ka + b * kb, k: 1, clamp: self.clamp }
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        let Clamp { low, high } = self.clamp;
        let record = Record { low, high, ..outline.record };
        Outline { record, ..outline }.layer(Operator::Add, &self.multipliers)
    }
}
