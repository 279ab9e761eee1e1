//! Every value repeated to 2 x 2, on the input's grid (ONNX `Resize`).

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::shape::Shape;

use super::{Channels, FloatOp, FloatOperator, Grid, QuantizedOp, QuantizedOperator};
use crate::check::{self, GraphError};
use crate::fusion::Step;
use crate::graph::{Quantization, Tensor};
use crate::infer::{Infer, ShapeError, one, sized};
use crate::pack::Outline;
use crate::quantizer::{Builder, Context, QuantizeError};
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

    fn keeps_range(&self) -> bool {
        true
    }

    fn channels(&self) -> Channels {
        Channels::Shared
    }

    fn lower(
        &self,
        builder: &mut Builder<'_>,
        context: &Context<'_>,
        step: &Step<'_>,
    ) -> Result<(), QuantizeError> {
        builder.push(step, QuantizedOp::UpsampleNearest2, context.output(step), 0.0);
        Ok(())
    }
}

impl QuantizedOperator for UpsampleNearest2 {
    fn moves(&self) -> Option<FloatOp> {
        Some(FloatOp::UpsampleNearest2)
    }

    fn check(
        &self,
        node: &str,
        inputs: &[&Tensor<Quantization>],
        output: &Tensor<Quantization>,
    ) -> Result<(), GraphError> {
        check::one_grid(node, inputs, output)
    }

    fn compute(&self, inputs: &[Operand<'_>], [row, column, channel]: [usize; 3], _: i8) -> Computed {
        Computed::Value(inputs[0].raw([row / 2, column / 2, channel]))
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        outline.layer(Operator::Upsample, &[])
    }
}
