//! Every value repeated to 2 x 2, on the input's grid (ONNX `Resize`).

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::shape::Shape;

use super::{FloatOp, FloatOperator, Grid, QuantizedOp, QuantizedOperator};
use crate::fusion::Step;
use crate::infer::{Infer, ShapeError, one, sized};
use crate::pack::Outline;
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand};

/// Upsampling, of either graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpsampleNearest2;

impl Infer for UpsampleNearest2 {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let Shape { height, width, channels } = one(inputs)?;
        sized(Shape { height: height.saturating_mul(2), width: width.saturating_mul(2), channels })
    }
}

impl FloatOperator for UpsampleNearest2 {
    fn grid(&self) -> Grid {
        Grid::Input
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        builder.push(step, QuantizedOp::UpsampleNearest2);
        Ok(())
    }
}

impl QuantizedOperator for UpsampleNearest2 {
    fn moves(&self) -> Option<FloatOp> {
        Some(FloatOp::UpsampleNearest2)
    }

    fn compute(&self, inputs: &[Operand<'_>], [row, column, channel]: [usize; 3], _: i8) -> Computed {
        Computed::Value(inputs[0].raw([row / 2, column / 2, channel]))
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        outline.layer(Operator::Upsample, &[])
    }
}
