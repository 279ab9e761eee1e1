//! Rows and columns of zeros around a tensor; in int8 of its zero point, on its grid.

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::Record;
use goldcrest_engine::shape::{Padding, Shape, Window};

use super::{FloatOp, FloatOperator, Grid, QuantizedOp, QuantizedOperator};
use crate::fusion::Step;
use crate::infer::{Infer, ShapeError, one, sized};
use crate::pack::Outline;
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand};

/// Padding, of either graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad {
    /// How many rows and columns.
    pub padding: Padding,
}

impl Infer for Pad {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let (input, padding) = (one(inputs)?, &self.padding);
        sized(Shape {
            height: input.height.saturating_add(padding.top).saturating_add(padding.bottom),
            width: input.width.saturating_add(padding.left).saturating_add(padding.right),
            channels: input.channels,
        })
    }
}

impl FloatOperator for Pad {
    fn grid(&self) -> Grid {
        Grid::Input
    }

    fn is_identity(&self) -> bool {
        self.padding == Padding::default()
    }

    fn padding(&self) -> Option<Padding> {
        Some(self.padding)
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        builder.push(step, QuantizedOp::Pad(*self));
        Ok(())
    }
}

impl QuantizedOperator for Pad {
    fn moves(&self) -> Option<FloatOp> {
        Some(FloatOp::Pad(*self))
    }

    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], zero_point: i8) -> Computed {
        let [row, column, channel] = position;
        let Shape { height, width, .. } = inputs[0].shape;
        let inside = (row.checked_sub(self.padding.top), column.checked_sub(self.padding.left));
        Computed::Value(match inside {
            (Some(row), Some(column)) if row < height && column < width => {
                inputs[0].raw([row, column, channel])
            }
            _ => zero_point,
        })
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        let window = Window { padding: self.padding, ..Window::new([1, 1], [1, 1]) };
        let record = Record { window, ..outline.record };
        Outline { record, ..outline }.layer(Operator::Pad, &[])
    }
}
