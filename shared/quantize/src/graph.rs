//! The two graphs of the quantizer: float in, int8 out. Both share one form.
//!
//! Nodes are in topological order and each has one output. Activations are HWC, convolution
//! weights are OHWI: `[output channel][kernel row][kernel column][input channel / groups]`. A fully
//! connected layer is a convolution whose kernel covers its whole input, so flattening, and the
//! order of its values, never appears.

use alloc::{string::String, vec::Vec};

pub use super::operators::{Activation, FloatConv, FloatOp, QuantizedConv, QuantizedOp};
use goldcrest_engine::picture::Preprocessing;
use goldcrest_engine::shape::Shape;

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

impl Quantization {
    /// The int8 value nearest to a real one: `saturate(round_half_even(real / scale) + zero_point)`.
    pub fn value(&self, real: f64) -> i8 {
        let steps = libm::rint(real / f64::from(self.scale)) + f64::from(self.zero_point);
        steps.clamp(-128.0, 127.0) as i8
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

impl Normalization {
    /// The network's input for a pixel of a channel, before it is rounded.
    pub fn real(&self, channel: usize, pixel: u8) -> f64 {
        (f64::from(pixel) / 255.0 - f64::from(self.mean[channel])) / f64::from(self.std[channel])
    }

    /// The network's float input for every pixel, by channel.
    pub fn tables(&self) -> Vec<[f32; 256]> {
        let table = |channel| core::array::from_fn(|pixel| self.real(channel, pixel as u8) as f32);
        (0..self.mean.len()).map(table).collect()
    }
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
    /// The network's int8 input for every pixel of a channel, computed in double precision.
    pub fn pixel_table(&self, channel: usize) -> [i8; 256] {
        let input = self.graph.tensor(self.graph.input).info;
        core::array::from_fn(|pixel| input.value(self.info.normalization.real(channel, pixel as u8)))
    }
}
