//! Any function of one int8 value, as a table of all 256 answers: what elementwise functions become.

use alloc::boxed::Box;

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::shape::Shape;

use super::QuantizedOperator;
use crate::graph::Quantization;
use crate::infer::{Infer, ShapeError, one};
use crate::pack::Outline;
use crate::reference::{Computed, Operand};

/// `table[value + 128]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// Answers for -128, -127, ..., 127.
    pub table: Box<[i8; 256]>,
}

impl Lookup {
    /// A function between two grids.
    pub fn of(input: Quantization, output: Quantization, function: impl Fn(f64) -> f64) -> Self {
        let entry = |index: usize| {
            let value = index as f64 - 128.0 - f64::from(input.zero_point);
            output.value(function(value * f64::from(input.scale)))
        };
        Self { table: Box::new(core::array::from_fn(entry)) }
    }
}

impl Infer for Lookup {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        one(inputs)
    }
}

impl QuantizedOperator for Lookup {
    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], _: i8) -> Computed {
        Computed::Value(self.table[(i32::from(inputs[0].raw(position)) + 128) as usize])
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        LayerSpec { weights: &self.table[..], ..outline.layer(Operator::Lookup, &[]) }
    }
}
