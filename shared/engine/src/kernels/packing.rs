//! What the packer must know of kernels: which layers they compute, in which order they read a layer's
//! constants, and how far an output must start before its input.

use alloc::vec::Vec;

use super::Family;
use crate::image::{Channel, Record};
use crate::shape::Padding;

/// What the packer must know of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Whether the kernel may compute a layer. Of several the packer takes the first in the table that the
    /// budgets allow.
    pub suits: fn(&LayerSpec<'_>) -> bool,
    /// The layer's constants in the order in which the kernel reads them.
    pub order: fn(&LayerSpec<'_>) -> Constants,
    /// The smallest `input offset - output offset` at which the kernel never overwrites values of input
    /// `which` (0 the first, 1 the second) that it still reads; `None` when its output must stand elsewhere.
    pub overlap: fn(record: &Record, which: usize) -> Option<i64>,
}

/// A layer before its kernel is chosen.
#[derive(Clone, Debug)]
pub struct LayerSpec<'a> {
    /// What the layer computes.
    pub operator: Operator,
    /// Shapes, window, groups, zero points and bounds; kernel, places and lengths are not known yet.
    pub record: Record,
    /// Weights of a convolution, `[output channel][row][column][input channel of the group]`; the outputs of
    /// a table for -128, -127, ..., 127.
    pub weights: &'a [i8],
    /// Bits that a weight takes in the image: 8 or 4.
    pub bits: usize,
    /// Of a convolution, one entry per output channel; of other operators, their multipliers.
    pub channels: Vec<Channel>,
    /// The smallest and the largest accumulator that any output channel of a convolution can reach.
    pub accumulators: (i64, i64),
    /// What the packer was asked for.
    pub preferences: Preferences,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Convolution; also the fully connected layer, whose window is its whole input.
    Convolution,
    /// Maximum over a window.
    MaxPool,
    /// Mean over a window.
    AveragePool,
    /// Sum of two tensors.
    Add,
    /// Product of two tensors.
    Mul,
    /// A function of one value, as a table.
    Lookup,
    /// One part of a concatenation along channels.
    Concat,
    /// Rows and columns around a tensor.
    Pad,
    /// Every value repeated to 2 x 2.
    Upsample,
}

/// What the packer was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Preferences {
    /// The kernel family of the core that will run the image.
    pub family: Family,
    /// What to spend the core's resources on.
    pub optimize: Optimize,
    /// Whether Winograd's kernel may run convolutions.
    pub winograd: Winograd,
}

/// What the packer prefers where it has a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Optimize {
    /// Few instructions.
    #[default]
    Speed,
    /// A small arena.
    Ram,
    /// Little code and small weights.
    Flash,
}

/// Whether convolutions of 3 x 3 may run as Winograd's F(2 x 2, 3 x 3): about half the instructions for
/// 3.6 times the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Winograd {
    /// Where the family has the kernel and the budgets allow it, unless flash is to be spared.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// A layer's constants as they stand in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constants {
    /// Weights.
    pub weights: Vec<i8>,
    /// Channel constants.
    pub channels: Vec<Channel>,
}

impl LayerSpec<'_> {
    /// Whether the layer is a convolution whose weights have that many bits.
    pub fn is_convolution(&self, bits: usize) -> bool {
        self.operator == Operator::Convolution && self.bits == bits
    }

    /// Whether a kernel that computes nothing but fully connected layers may compute it. Where code is
    /// spared, the kernel of convolutions does.
    pub fn is_fully_connected(&self, bits: usize) -> bool {
        let Record { input, window, groups, .. } = self.record;
        let whole = window.kernel == [input.shape.height, input.shape.width]
            && window.padding == Padding::default()
            && groups == 1;
        self.is_convolution(bits) && whole && !self.spares_flash()
    }

    /// Whether the layer is a convolution of which every output channel reads one input channel of several.
    pub fn is_depthwise(&self) -> bool {
        let Record { input, groups, .. } = self.record;
        self.operator == Operator::Convolution && groups > 1 && input.shape.channels == groups
    }

    /// Whether little code and small weights count more than speed.
    pub fn spares_flash(&self) -> bool {
        self.preferences.optimize == Optimize::Flash
    }

    /// Weights of an output channel of a convolution, `[row][column][input channel of the group]`; none
    /// beyond the last one.
    pub fn of_channel(&self, channel: usize) -> &[i8] {
        let taps = self.taps();
        self.weights.get(channel * taps..).and_then(|rest| rest.get(..taps)).unwrap_or_default()
    }

    /// Weights of each output channel of a convolution.
    pub fn taps(&self) -> usize {
        self.weights.len().checked_div(self.channels.len()).unwrap_or(0)
    }

    /// Constants of an output channel; zeros beyond the last one.
    pub fn channel(&self, channel: usize) -> Channel {
        self.channels.get(channel).copied().unwrap_or_default()
    }

    /// Weights in an order, and the channel constants as they are.
    pub fn with_weights(&self, weights: Vec<i8>) -> Constants {
        Constants { weights, channels: self.channels.clone() }
    }
}

/// The order of kernels that read their constants as the layer gives them.
pub fn as_given(layer: &LayerSpec<'_>) -> Constants {
    layer.with_weights(layer.weights.to_vec())
}

/// The distance of kernels that read a value of an input of the output's shape before they write one at its
/// place.
pub fn value_by_value(record: &Record, which: usize) -> Option<i64> {
    let input = if which == 0 { record.input } else { record.second };
    (input.shape == record.output.shape).then_some(0)
}

/// No distance: for kernels that write outputs before they have read the inputs around.
pub fn elsewhere(_record: &Record, _which: usize) -> Option<i64> {
    None
}
