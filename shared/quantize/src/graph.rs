//! The two graphs of the quantizer: float in, int8 out. Both share one form.
//!
//! Nodes are in topological order and each has one output. Activations are HWC, convolution
//! weights are OHWI: `[output channel][kernel row][kernel column][input channel / groups]`. A fully
//! connected layer is a convolution whose kernel covers its whole input, so flattening, and the
//! order of its values, never appears.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::rounding::WeightRange;
use goldcrest_engine::picture::Preprocessing;
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Shape, Window};

/// Index of a tensor in [`Graph::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub usize);

/// A network: tensors with `T` known of each, nodes with operators `O`.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph<T, O> {
    /// The model's name.
    pub name: String,
    /// Every activation, the input included.
    pub tensors: Vec<Tensor<T>>,
    /// Operators in topological order.
    pub nodes: Vec<Node<O>>,
    /// The image.
    pub input: TensorId,
    /// The logits, `1 x 1 x classes`.
    pub output: TensorId,
}

/// One activation tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T> {
    /// Its name in the ONNX file; unique.
    pub name: String,
    /// Height, width, channels.
    pub shape: Shape,
    /// What the graph knows of it: nothing in a float graph, a [`Quantization`] in an int8 graph.
    pub info: T,
}

/// One operator applied to tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<O> {
    /// Its name in the ONNX file.
    pub name: String,
    /// What it computes.
    pub op: O,
    /// Activations read, in the operator's order.
    pub inputs: Vec<TensorId>,
    /// The activation written.
    pub output: TensorId,
}

impl<T, O> Graph<T, O> {
    /// The tensor behind an id.
    pub fn tensor(&self, id: TensorId) -> &Tensor<T> {
        &self.tensors[id.0]
    }

    /// How many nodes read a tensor; the graph's output counts as one reader.
    pub fn readers(&self, id: TensorId) -> usize {
        let reads = self.nodes.iter().flat_map(|node| &node.inputs).filter(|&&input| input == id).count();
        reads + usize::from(self.output == id)
    }
}

/// A float network after simplification: BatchNorm folded, constants folded.
pub type FloatGraph = Graph<(), FloatOp>;

/// An int8 network.
pub type QuantizedGraph = Graph<Quantization, QuantizedOp>;

/// `real = scale * (value - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Step between two values; positive and finite.
    pub scale: f32,
    /// The int8 value that stands for 0.0.
    pub zero_point: i8,
}

/// An operator of a float graph.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatOp {
    /// Convolution or fully connected layer.
    Conv(FloatConv),
    /// An elementwise function of one input.
    Activation(Activation),
    /// Maximum over a window; padding never wins.
    MaxPool(Window),
    /// Mean over a window. A global average pool has the window of its input.
    AveragePool {
        /// The window.
        window: Window,
        /// Whether padding counts in the divisor (ONNX `count_include_pad`).
        count_include_pad: bool,
    },
    /// Sum of two tensors of one shape.
    Add,
    /// Product of two tensors; the second may be `1 x 1 x channels`.
    Mul,
    /// Concatenation along channels.
    Concat,
    /// Rows and columns of zeros around the input.
    Pad(goldcrest_engine::shape::Padding),
    /// Every value repeated to 2 x 2.
    UpsampleNearest2,
}

/// A float convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatConv {
    /// Kernel, stride, dilation and padding (with zeros).
    pub window: Window,
    /// Groups; equal to the input channels in a depthwise convolution.
    pub groups: usize,
    /// OHWI.
    pub weights: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<f32>,
}

/// Elementwise functions, named as in ONNX.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, low), high)`; Relu6 is `Clip { 0, 6 }`.
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// `x < 0 ? alpha * x : x`
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(0, min(1, alpha * x + beta))`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `x * sigmoid(x)`
    Silu,
}

/// An operator of an int8 graph. Zero points and scales stand at the tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum QuantizedOp {
    /// Convolution or fully connected layer (ONNX `QLinearConv`); pads with the input's zero point.
    Conv(QuantizedConv),
    /// Maximum over a window; padding never wins. Input and output share one quantization.
    MaxPool(Window),
    /// Sum over a window of `value - zero_point`, requantized (`QLinearConv` with a kernel of
    /// ones); padding adds 0.
    AveragePool {
        /// The window.
        window: Window,
        /// Input scale / (output scale * divisor), on the grid.
        multiplier: Multiplier,
    },
    /// `clamp(saturate(round_half_even(((a - za) * ka + (b - zb) * kb) / 2^16) + zy))`.
    Add {
        /// `ka` and `kb`; each at most [`QuantizedOp::ELEMENTWISE_LIMIT`], so that both products are exact in a float.
        multipliers: [Multiplier; 2],
        /// Bounds of the output.
        clamp: Clamp,
    },
    /// `saturate(round_half_even((a - za) * (b - zb) * k / 2^16) + zy)`; `b` may be `1 x 1 x channels`.
    Mul {
        /// `k`, at most [`QuantizedOp::ELEMENTWISE_LIMIT`].
        multiplier: Multiplier,
    },
    /// Any function of one value: `table[value + 128]`.
    Lookup(Box<[i8; 256]>),
    /// Concatenation along channels; all tensors share one quantization.
    Concat,
    /// Rows and columns of the zero point around the input.
    Pad(goldcrest_engine::shape::Padding),
    /// Every value repeated to 2 x 2.
    UpsampleNearest2,
}

impl QuantizedOp {
    /// Largest `k` of [`QuantizedOp::Add`] and [`QuantizedOp::Mul`]: `255 * k` stays below `2^24`.
    pub const ELEMENTWISE_LIMIT: u32 = (1 << 24) / 255;

    /// Smallest and largest multiplier in units of `2^-16`, where the operator has any.
    pub fn multipliers(&self) -> Option<[u32; 2]> {
        let ends = |multipliers: &[Multiplier]| {
            let k = || multipliers.iter().map(|multiplier| multiplier.k());
            Some([k().min()?, k().max()?])
        };
        match self {
            Self::Conv(conv) => ends(&conv.multipliers),
            Self::AveragePool { multiplier, .. } | Self::Mul { multiplier } => ends(&[*multiplier]),
            Self::Add { multipliers, .. } => ends(multipliers),
            _ => None,
        }
    }
}

/// An int8 convolution:
/// `y[o] = clamp(saturate(round_half_even((bias[o] + sum (x - zx) * w) * k[o] / 2^16) + zy))`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedConv {
    /// Kernel, stride, dilation and padding.
    pub window: Window,
    /// Groups; equal to the input channels in a depthwise convolution.
    pub groups: usize,
    /// OHWI, zero point 0, values in -127..=127 (weights of 4 bits: -8..=7).
    pub weights: Vec<i8>,
    /// One per output channel, in units of input scale * weight scale.
    pub bias: Vec<i32>,
    /// One per output channel: input scale * weight scale / output scale.
    pub multipliers: Vec<Multiplier>,
    /// Bounds of the output.
    pub clamp: Clamp,
}

impl QuantizedConv {
    /// Whether every group reads one channel.
    pub fn is_depthwise(&self) -> bool {
        let [height, width] = self.window.kernel;
        self.groups > 1 && self.weights.len() == self.bias.len() * height * width
    }

    /// Whether device images hold the weights two in a byte: none needs more than four bits, and the layer is not
    /// depthwise.
    pub fn is_four_bits(&self) -> bool {
        let range = WeightRange::INT4.low..=WeightRange::INT4.high;
        !self.is_depthwise() && self.weights.iter().all(|weight| range.contains(weight))
    }
}

/// Bounds of an int8 output. A Relu is `low = zero_point`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// Smallest value.
    pub low: i8,
    /// Largest value.
    pub high: i8,
}

impl Clamp {
    /// No bounds beyond saturation.
    pub const NONE: Clamp = Clamp { low: i8::MIN, high: i8::MAX };
}

/// What a model knows beside its graph; kept in the ONNX file's `metadata_props` and in the device
/// image.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Class names in the order of the logits.
    pub labels: Vec<String>,
    /// How pixels become the network's input.
    pub normalization: Normalization,
    /// How pictures of any size and colour become pixels.
    pub preprocessing: Preprocessing,
}

/// `input[c] = (pixel[c] / 255 - mean[c]) / std[c]`, one pair per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Subtracted from the pixel in `0..=1`.
    pub mean: Vec<f32>,
    /// Divides the difference; positive.
    pub std: Vec<f32>,
}

/// An int8 network with what belongs to it: the product of the quantizer.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedModel {
    /// The network.
    pub graph: QuantizedGraph,
    /// Labels and normalization.
    pub info: ModelInfo,
}

impl QuantizedModel {
    /// The table that turns a pixel of one channel into the network's int8 input:
    /// `saturate(round_half_even(normalized / scale) + zero_point)`, computed once in double precision.
    pub fn pixel_table(&self, channel: usize) -> [i8; 256] {
        let input = self.graph.tensor(self.graph.input).info;
        let mean = f64::from(self.info.normalization.mean[channel]);
        let std = f64::from(self.info.normalization.std[channel]);
        core::array::from_fn(|pixel| {
            let real = (pixel as f64 / 255.0 - mean) / std;
            let value = libm::rint(real / f64::from(input.scale)) + f64::from(input.zero_point);
            value.clamp(-128.0, 127.0) as i8
        })
    }
}
