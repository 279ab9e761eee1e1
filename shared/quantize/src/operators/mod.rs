//! The operators of both graphs, one file for each: the shape it writes, the grids and channels it ties
//! together, its int8 form, that form's arithmetic, and the layer that computes it on a device.
//!
//! Nothing outside this folder asks which operator a node has where it could ask for a property of it.

mod activation;
mod add;
mod average_pool;
mod concat;
mod conv;
mod lookup;
mod max_pool;
mod mul;
mod pad;
mod upsample;

use alloc::{vec, vec::Vec};

use goldcrest_engine::kernels::packing::LayerSpec;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Shape};

use crate::check::GraphError;
use crate::fusion::Step;
use crate::graph::{Clamp, TensorId};
use crate::infer::{Infer, ShapeError};
use crate::pack::Outline;
use crate::quantizer::{Builder, QuantizeError};
use crate::reference::{Computed, Operand};

pub use activation::Activation;
pub use add::QuantizedAdd;
pub use average_pool::{FloatAveragePool, QuantizedAveragePool};
pub use conv::{FloatConv, QuantizedConv};
pub use lookup::Lookup;
pub use max_pool::MaxPool;
pub use mul::QuantizedMul;
pub use pad::Pad;

/// An operator of a float graph.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatOp {
    /// Convolution or fully connected layer.
    Conv(FloatConv),
    /// An elementwise function of one input.
    Activation(Activation),
    /// Maximum over a window; padding never wins.
    MaxPool(MaxPool),
    /// Mean over a window.
    AveragePool(FloatAveragePool),
    /// Sum of two tensors of one shape.
    Add,
    /// Product of two tensors; the second may be `1 x 1 x channels`.
    Mul,
    /// Concatenation along channels.
    Concat,
    /// Rows and columns of zeros around the input.
    Pad(Pad),
    /// Every value repeated to 2 x 2.
    UpsampleNearest2,
}

/// An operator of an int8 graph. Zero points and scales stand at the tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum QuantizedOp {
    /// Convolution or fully connected layer (ONNX `QLinearConv`); pads with the input's zero point.
    Conv(QuantizedConv),
    /// Maximum over a window; padding never wins. Input and output share one quantization.
    MaxPool(MaxPool),
    /// Mean over a window.
    AveragePool(QuantizedAveragePool),
    /// Sum of two tensors of one shape.
    Add(QuantizedAdd),
    /// Product of two tensors; the second may be `1 x 1 x channels`.
    Mul(QuantizedMul),
    /// Any function of one value.
    Lookup(Lookup),
    /// Concatenation along channels; all tensors share one quantization.
    Concat,
    /// Rows and columns of the zero point around the input.
    Pad(Pad),
    /// Every value repeated to 2 x 2.
    UpsampleNearest2,
}

impl FloatOp {
    /// What the quantizer knows of the operator.
    pub fn rules(&self) -> &dyn FloatOperator {
        match self {
            Self::Conv(conv) => conv,
            Self::Activation(activation) => activation,
            Self::MaxPool(pool) => pool,
            Self::AveragePool(pool) => pool,
            Self::Add => &add::Add,
            Self::Mul => &mul::Mul,
            Self::Concat => &concat::Concat,
            Self::Pad(pad) => pad,
            Self::UpsampleNearest2 => &upsample::UpsampleNearest2,
        }
    }
}

impl QuantizedOp {
    /// Largest multiplier of an addition and of a product: `255 * k` stays below `2^24`.
    pub const ELEMENTWISE_LIMIT: u32 = (1 << 24) / 255;

    /// What the quantizer knows of the operator.
    pub fn rules(&self) -> &dyn QuantizedOperator {
        match self {
            Self::Conv(conv) => conv,
            Self::MaxPool(pool) => pool,
            Self::AveragePool(pool) => pool,
            Self::Add(add) => add,
            Self::Mul(mul) => mul,
            Self::Lookup(lookup) => lookup,
            Self::Concat => &concat::Concat,
            Self::Pad(pad) => pad,
            Self::UpsampleNearest2 => &upsample::UpsampleNearest2,
        }
    }

    /// The bounds of the output, of operators that have some.
    pub fn clamp_mut(&mut self) -> Option<&mut Clamp> {
        match self {
            Self::Conv(QuantizedConv { clamp, .. }) | Self::Add(QuantizedAdd { clamp, .. }) => Some(clamp),
            _ => None,
        }
    }

    /// Smallest and largest multiplier in units of `2^-16`, where the operator has any.
    pub fn multipliers(&self) -> Option<[u32; 2]> {
        let k = || self.rules().multipliers().iter().map(|multiplier| multiplier.k());
        Some([k().min()?, k().max()?])
    }
}

/// Convolutions are what most passes over a graph look for.
macro_rules! convolution {
    ($op:ident, $conv:ident) => {
        impl $op {
            /// The operator as a convolution, the one kind that has weights.
            pub fn conv(&self) -> Option<&$conv> {
                match self {
                    Self::Conv(conv) => Some(conv),
                    _ => None,
                }
            }

            /// As [`conv`](Self::conv), to change it.
            pub fn conv_mut(&mut self) -> Option<&mut $conv> {
                match self {
                    Self::Conv(conv) => Some(conv),
                    _ => None,
                }
            }
        }

        impl From<$conv> for $op {
            fn from(conv: $conv) -> Self {
                Self::Conv(conv)
            }
        }
    };
}

convolution!(FloatOp, FloatConv);
convolution!(QuantizedOp, QuantizedConv);

impl Infer for FloatOp {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        self.rules().output_shape(inputs)
    }
}

impl Infer for QuantizedOp {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        self.rules().output_shape(inputs)
    }
}

/// Where the grid of an operator's output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// It is the output's own.
    Own,
    /// It is the input's.
    Input,
    /// It is the input's, of which only those values matter that reach the output.
    Selects,
    /// It is that of all inputs, as far as they lose little by it.
    Inputs,
}

/// Which channels around an operator equalization may scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Each by a factor of its own, which the operator absorbs.
    Absorbed,
    /// Each by one factor in all inputs and the output.
    Shared,
    /// Those of all inputs, one input behind the other, by the factors of the output's.
    Joined,
    /// Those of the first input and the output by one factor; those of the second not.
    OfFirst,
    /// None.
    Fixed,
}

/// What is known of an output's grid before an operator has its say.
#[derive(Clone, Copy, Debug)]
pub struct OutputScale<'a> {
    /// Scales of the inputs.
    pub inputs: &'a [f64],
    /// The output's so far.
    pub scale: f64,
    /// The smallest that covers the output's range.
    pub least: f64,
    /// Whether no other tensor shares the grid and no file gives it.
    pub free: bool,
}

/// What the quantizer knows of an operator of a float graph.
pub trait FloatOperator: Infer {
    /// Where the grid of the output comes from.
    fn grid(&self) -> Grid {
        Grid::Own
    }

    /// Whether the output reaches no further than the input.
    fn keeps_range(&self) -> bool {
        matches!(self.grid(), Grid::Input | Grid::Selects)
    }

    /// The scale of the output.
    fn scale(&self, output: &OutputScale<'_>) -> f64 {
        output.scale
    }

    /// Which channels around it equalization may scale: those around an operator that moves values, unless it
    /// says more.
    fn channels(&self) -> Channels {
        match self.grid() {
            Grid::Input | Grid::Selects => Channels::Shared,
            Grid::Inputs => Channels::Joined,
            Grid::Own => Channels::Fixed,
        }
    }

    /// Whether its int8 form bounds its output at no cost, and so does for a Relu behind it.
    fn takes_bounds(&self) -> bool {
        false
    }

    /// The bounds `(low, high)` of an operator that does nothing but bound its input.
    fn bounds(&self) -> Option<(f64, f64)> {
        None
    }

    /// Whether its output is its input.
    fn is_identity(&self) -> bool {
        false
    }

    /// The rows and columns of zeros that it puts around its input, of an operator that does nothing else.
    fn padding(&self) -> Option<Padding> {
        None
    }

    /// The operator that does the same on an input without so many rows and columns of zeros around it.
    fn padded(&self, _more: Padding) -> Option<FloatOp> {
        None
    }

    /// How many values it looks at for each that it writes.
    fn reads(&self, _output: Shape) -> usize {
        1
    }

    /// Adds its int8 form to a graph.
    ///
    /// # Errors
    /// When it has none for these weights and grids.
    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError>;
}

/// What the quantizer knows of an operator of an int8 graph.
pub trait QuantizedOperator: Infer {
    /// Its multipliers: one, or one for each input or output channel.
    fn multipliers(&self) -> &[Multiplier] {
        &[]
    }

    /// What its multipliers stand for on inputs and an output of these scales; nothing where weights have a
    /// scale too.
    fn ratios(&self, _inputs: &[f64], _output: f64) -> Vec<f64> {
        Vec::new()
    }

    /// The float operator that moves reals as this one moves integers, of operators that do nothing else. All
    /// their tensors share one grid.
    fn moves(&self) -> Option<FloatOp> {
        None
    }

    /// Checks what neither the shapes nor the grids say, for an input with this zero point.
    ///
    /// # Errors
    /// Names the rule that the node breaks.
    fn check(&self, _node: &str, _zero_point: i8) -> Result<(), GraphError> {
        Ok(())
    }

    /// The output at `[row, column, channel]`: the specification. `zero_point` is the output's.
    fn compute(&self, inputs: &[Operand<'_>], position: [usize; 3], zero_point: i8) -> Computed;

    /// The layer that computes it, from what all layers have.
    fn layer<'a>(&'a self, outline: Outline) -> LayerSpec<'a>;

    /// All layers that compute it, with the tensors that each reads.
    fn layers<'a>(
        &'a self,
        outline: Outline,
        inputs: &[(TensorId, Shape)],
    ) -> Vec<(LayerSpec<'a>, Vec<TensorId>)> {
        vec![(self.layer(outline), inputs.iter().map(|&(id, _)| id).collect())]
    }
}

/// Padding around padding.
fn sum(a: Padding, b: Padding) -> Padding {
    Padding {
        top: a.top + b.top,
        left: a.left + b.left,
        bottom: a.bottom + b.bottom,
        right: a.right + b.right,
    }
}
