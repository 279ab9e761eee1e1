//! Maximum over a window; padding never wins. Input and output share one grid.

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::Record;
use goldcrest_engine::shape::{Shape, Window};

use super::{FloatOp, FloatOperator, Grid, QuantizedOp, QuantizedOperator};
use crate::fusion::Step;
use crate::infer::{Infer, ShapeError, one, pooled};
use crate::pack::Outline;
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand, taps};

/// A maximum, of either graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool {
    /// The window.
    pub window: Window,
}

impl Infer for MaxPool {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        pooled(&self.window, one(inputs)?)
    }
}

impl FloatOperator for MaxPool {
    fn grid(&self) -> Grid {
        Grid::Selects
    }

    fn is_identity(&self) -> bool {
        self.window == Window::new([1, 1], [1, 1])
    }

    fn reads(&self, _: Shape) -> usize {
        self.window.kernel[0].saturating_mul(self.window.kernel[1])
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        builder.push(step, QuantizedOp::MaxPool(*self));
        Ok(())
    }
}

impl QuantizedOperator for MaxPool {
    fn moves(&self) -> Option<FloatOp> {
        Some(FloatOp::MaxPool(*self))
    }

    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], _: i8) -> Computed {
        let values = taps(&self.window, inputs[0].shape, position)
            .map(|(_, row, column)| inputs[0].raw([row, column, position[2]]));
        Computed::Value(values.max().unwrap_or(i8::MIN))
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        let record = Record { window: self.window, ..outline.record };
        Outline { record, ..outline }.layer(Operator::MaxPool, &[])
    }
}
