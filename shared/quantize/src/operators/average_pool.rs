//! Mean over a window; in int8 a sum with one multiplier.

use alloc::{vec, vec::Vec};

use goldcrest_engine::kernels::packing::{LayerSpec, Operator};
use goldcrest_engine::packer::Record;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Shape, Window};

use super::{Channels, FloatOp, FloatOperator, OutputScale, QuantizedOp, QuantizedOperator, sum};
use crate::check::{self, GraphError};
use crate::fusion::Step;
use crate::graph::Clamp;
use crate::infer::{Infer, ShapeError, one, pooled};
use crate::lower::multiplier;
use crate::pack::{Outline, is_wide};
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand, taps};

/// Of a float graph: a mean. A global one has the window of its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatAveragePool {
    /// The window.
    pub window: Window,
    /// Whether padding counts in the divisor (ONNX `count_include_pad`).
    pub count_include_pad: bool,
}

impl Infer for FloatAveragePool {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        pooled(&self.window, one(inputs)?)
    }
}

impl FloatOperator for FloatAveragePool {
    fn keeps_range(&self) -> bool {
        true
    }

    /// The multiplier has one value, so the output's scale can make it exact.
    fn scale(&self, output: &OutputScale<'_>) -> f64 {
        if !output.free {
            return output.scale;
        }
        let ideal = output.inputs[0] * 65536.0 / (self.window.kernel[0] * self.window.kernel[1]) as f64;
        let k = libm::floor(ideal / output.least * (1.0 + 1e-9)).max(1.0);
        ideal / k
    }

    fn channels(&self) -> Channels {
        Channels::Shared
    }

    fn is_identity(&self) -> bool {
        self.window == Window::new([1, 1], [1, 1])
    }

    fn padded(&self, more: Padding) -> Option<FloatOp> {
        let counts = self.count_include_pad || self.window.padding == Padding::default();
        let window = Window { padding: sum(self.window.padding, more), ..self.window };
        counts.then_some(FloatOp::AveragePool(Self { window, count_include_pad: true }))
    }

    fn reads(&self, _: Shape) -> usize {
        self.window.kernel[0].saturating_mul(self.window.kernel[1])
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        let Self { window, count_include_pad } = *self;
        if !count_include_pad && window.padding != Default::default() {
            let problem = "an average pool that leaves its padding out divides by different numbers at the \
                           border; set count_include_pad, or pad by nothing";
            return Err(QuantizeError::Unsupported { node: step.node.name.clone(), problem });
        }
        let (input, output) = (builder.context.input(step, 0), builder.context.output(step));
        let divisor = (window.kernel[0] * window.kernel[1]) as f64;
        let real = f64::from(input.scale) / (f64::from(output.scale) * divisor);
        let op = QuantizedAveragePool { window, multiplier: multiplier(step, 0, real)? };
        builder.push(step, QuantizedOp::AveragePool(op));
        Ok(())
    }
}

/// Sum over a window of `value - zero_point`, requantized (`QLinearConv` with a kernel of ones); padding adds
/// 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizedAveragePool {
    /// The window.
    pub window: Window,
    /// Input scale / (output scale * divisor), on the grid.
    pub multiplier: Multiplier,
}

impl Infer for QuantizedAveragePool {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        pooled(&self.window, one(inputs)?)
    }
}

impl QuantizedOperator for QuantizedAveragePool {
    fn multipliers(&self) -> &[Multiplier] {
        core::slice::from_ref(&self.multiplier)
    }

    fn ratios(&self, inputs: &[f64], output: f64) -> Vec<f64> {
        let taps = (self.window.kernel[0] * self.window.kernel[1]) as f64;
        vec![inputs[0] / output / taps]
    }

    fn check(&self, node: &str, _: i8) -> Result<(), GraphError> {
        let reach = 255 * self.window.kernel[0] as i64 * self.window.kernel[1] as i64;
        check::in_range(node, 0, (-reach, reach))
    }

    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], _: i8) -> Computed {
        let sum: i32 = taps(&self.window, inputs[0].shape, position)
            .map(|(_, row, column)| inputs[0].at([row, column, position[2]]))
            .sum();
        Computed::Sum { sum: i64::from(sum), k: self.multiplier.k(), clamp: Clamp::NONE }
    }

    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a> {
        let taps = (self.window.kernel[0] * self.window.kernel[1]) as i64;
        let wide = is_wide(255 * taps, self.multiplier);
        let record = Record { window: self.window, wide, ..outline.record };
        Outline { record, ..outline }.layer(Operator::AveragePool, &[self.multiplier])
    }
}
