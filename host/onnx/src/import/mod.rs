//! Float ONNX models to [`FloatGraph`]s.
//!
//! One rule per operator, all of one shape, registered in [`RULES`]. Constants are folded on the way
//! ([`constant`]); layouts are followed symbolically ([`layout`]), so transposes, reshapes and
//! flattening leave nothing behind in the graph; [`simplify`](goldcrest_quantize::simplify)
//! merges what exporters spread over several nodes.
//!
//! The file's constants are read where they are, and each becomes weights of the graph once; what that may take in
//! memory is counted ([`Importer::spend`]).

mod activation;
mod affine;
mod concat;
mod constant;
mod conv;
mod dense;
mod elementwise;
mod error;
mod image;
mod importer;
mod known;
mod layout;
mod operators;
mod pad;
mod pool;
mod quantized;
mod reshape;
mod resize;
mod softmax;

use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::given::Given;
use goldcrest_quantize::graph::{ModelInfo, TensorId};
use goldcrest_quantize::simplify::simplify;

pub use self::error::{ImportError, UnsupportedNode};
use self::error::{Problem, unsupported};
pub use self::image::{ImageInput, image_input};
use self::importer::{Importer, Value};
pub use self::operators::is_quantized;
use super::{Model, Node, Tensor, info};

/// Most nodes of a model. Networks for microcontrollers have some hundred at most.
const NODES: usize = 4096;

/// Most dimensions of a value.
const RANK: usize = 8;

/// Most channels of an activation.
const CHANNELS: usize = 1 << 14;

/// The operator sets that rules are written for.
pub const OPSETS: std::ops::RangeInclusive<i64> = 11..=21;

/// How one operator is imported: reads its inputs, adds nodes to the graph, answers what its
/// first output is.
type Rule = fn(&mut Importer<'_>, &Node) -> Result<Value, Problem>;

/// Every operator that can stand on activations.
const RULES: &[(&str, Rule)] = &[
    ("Add", elementwise::add),
    ("AveragePool", pool::average),
    ("BatchNormalization", affine::batch_normalization),
    ("Cast", reshape::identity),
    ("Clip", activation::clip),
    ("Concat", concat::concat),
    ("Conv", conv::conv),
    ("DequantizeLinear", quantized::dequantize),
    ("Div", elementwise::div),
    ("Dropout", reshape::identity),
    ("Flatten", reshape::flatten),
    ("Gemm", dense::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", reshape::identity),
    ("LeakyRelu", activation::leaky_relu),
    ("LogSoftmax", softmax::softmax),
    ("MatMul", dense::matmul),
    ("Max", activation::max),
    ("MaxPool", pool::max),
    ("Min", activation::min),
    ("Mul", elementwise::mul),
    ("Neg", elementwise::neg),
    ("PRelu", activation::parametric_relu),
    ("Pad", pad::pad),
    ("QuantizeLinear", quantized::quantize),
    ("ReduceMean", pool::reduce_mean),
    ("Relu", activation::relu),
    ("Reshape", reshape::reshape),
    ("Resize", resize::resize),
    ("Shape", reshape::shape),
    ("Sigmoid", activation::sigmoid),
    ("Softmax", softmax::softmax),
    ("Squeeze", reshape::squeeze),
    ("Sub", elementwise::sub),
    ("Tanh", activation::tanh),
    ("Transpose", reshape::transpose),
    ("Unsqueeze", reshape::unsqueeze),
];

/// Imports a float model as a simplified graph with the labels and the normalization of the file.
///
/// # Errors
/// When the model is no image classifier, or has nodes without an int8 form: then one error names
/// all of them.
///
/// A model that another tool quantized is read as the float model that its integers stand for.
pub fn float_model(model: &Model) -> Result<(FloatGraph, ModelInfo), ImportError> {
    let (graph, info, _) = given_model(model)?;
    Ok((graph, info))
}

/// Imports a model that another tool quantized (QDQ or QOperator): the float model that its integers stand
/// for, and the grids that it gives.
///
/// # Errors
/// As [`float_model`].
pub fn given_model(model: &Model) -> Result<(FloatGraph, ModelInfo, Given), ImportError> {
    if !OPSETS.contains(&model.opset) {
        return Err(ImportError::Opset(model.opset));
    }
    if model.graph.nodes.len() > NODES {
        return Err(ImportError::Nodes(model.graph.nodes.len()));
    }
    let expanded = operators::expand(model)?;
    let mut importer = Importer::new(model, &expanded)?;
    let mut failed = Vec::new();
    for node in &*expanded.nodes {
        importer.import(node, &mut failed)?;
    }
    if !failed.is_empty() {
        return Err(ImportError::Unsupported(failed));
    }
    let (whole, grids, scales) = importer.finish()?;
    // Simplification keeps names, not numbers.
    let name = |id: TensorId| whole.tensor(id).name.clone();
    let grids: Vec<_> = grids.into_iter().map(|(id, grid)| (name(id), grid)).collect();
    let scales: Vec<_> = scales.into_iter().map(|(id, scales)| (name(id), scales)).collect();
    let graph = simplify(whole);
    let place = |name: &str| graph.tensors.iter().position(|tensor| tensor.name == name).map(TensorId);
    let given = Given {
        grids: grids.into_iter().filter_map(|(name, grid)| Some((place(&name)?, grid))).collect(),
        weights: scales
            .into_iter()
            .filter_map(|(name, scales)| Some((place(&name)?, scales.as_f32()?.to_vec())))
            .collect(),
    };
    let (input, output) = (graph.tensor(graph.input).shape, graph.tensor(graph.output).shape);
    let info = info::read(&model.metadata, input.channels, output.channels)?;
    Ok((graph, info, given))
}
