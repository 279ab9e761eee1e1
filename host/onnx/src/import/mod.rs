//! Float ONNX models to [`FloatGraph`]s.
//!
//! One rule per operator, registered in `RULES`. Constants are folded on the way
//! (`constant`); layouts are followed symbolically (`layout`), so transposes, reshapes and
//! flattening leave nothing behind in the graph; [`simplify`](goldcrest_quantize::simplify)
//! merges what exporters spread over several nodes.
//!
//! The file's constants are read where they are, and each becomes weights of the graph once; what that may
//! take in memory is counted (`Importer::spend`).

mod constant;
mod elementwise;
mod error;
mod image;
mod importer;
mod known;
mod layout;
mod pixels;
mod qoperator;
pub(crate) mod quantized;
mod tail;

use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::given::Given;
use goldcrest_quantize::graph::{ModelInfo, TensorId};
use goldcrest_quantize::simplify::simplify;

#[cfg(test)]
pub(crate) use self::constant::folds;
pub(crate) use self::constant::{Fold, integers};
pub use self::error::{ImportError, UnsupportedNode};
pub use self::image::{Element, ImageInput, image_input};
pub(crate) use self::importer::{Factors, Importer, Value};
pub(crate) use self::known::Weights;
pub(crate) use self::layout::{Axis, View};
use self::pixels::told;
pub use self::pixels::{Pixels, pixels};
pub use self::qoperator::is_quantized;
pub(crate) use self::qoperator::{Form, Operands};
use self::tail::{Tail, needed};
pub use self::tail::{classes, for_inference, logits, of_two_classes, values};
use super::operators::{Problem, RULES, unsupported};
use super::{Model, Node, Tensor, info};

/// Maximum number of nodes of a model. Networks for microcontrollers have some hundred at most.
const NODES: usize = 4096;

/// Maximum number of dimensions of a value.
pub(crate) const RANK: usize = 8;

/// Maximum number of channels of an activation.
const CHANNELS: usize = 1 << 14;

/// The operator sets that rules are written for.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=23;

/// Imports a float model as a simplified graph with the labels and the normalization of the file.
///
/// # Errors
/// When the model is not an image classifier, or has nodes without an int8 form: then one error names
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
    let expanded = qoperator::expand(model)?;
    let mut importer = Importer::new(model, &expanded)?;
    let mut failed = Vec::new();
    let outputs: Vec<&str> = model.graph.outputs.iter().map(|output| &*output.name).collect();
    for (node, _) in
        expanded.nodes.iter().zip(needed(&expanded.nodes, &outputs)).filter(|(_, needed)| *needed)
    {
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
    let info = model_info(model, input.channels, output.channels)?;
    Ok((graph, info, given))
}

/// What a model says beside its graph, for that many input channels and classes: labels, preprocessing and
/// normalization from its metadata; without a normalization there, the one that its graph tells ([`pixels`]).
///
/// # Errors
/// When the metadata is malformed or does not fit, or when the input takes bytes that stand for other
/// values than the metadata says.
pub fn model_info(model: &Model, channels: usize, classes: usize) -> Result<ModelInfo, ImportError> {
    let mut info = info::read(&model.metadata, channels, classes)?;
    let Some(pixels) = pixels(model)? else { return Ok(info) };
    if !model.metadata.contains_key(info::NORMALIZATION) {
        info.normalization = pixels.normalization;
    } else if pixels.certain && !pixels.agrees(&info.normalization) {
        let (found, said) = (pixels.normalization, info.normalization);
        return Err(ImportError::Contradiction {
            found_mean: found.mean,
            found_std: found.std,
            mean: said.mean,
            std: said.std,
        });
    }
    Ok(info)
}
