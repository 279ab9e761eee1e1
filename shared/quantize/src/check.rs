//! The rules an int8 graph keeps: what [`reference`](super::reference), the packer and the ONNX
//! writer rely on. Graphs read from files pass through here before anything else looks at them.

use alloc::{collections::BTreeSet, string::String, vec, vec::Vec};

use super::graph::{Quantization, QuantizedModel, QuantizedOp, Tensor};
use super::infer::{Infer, LIMIT, ShapeError};
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Shape;

/// Which rule an int8 graph breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A tensor without values, beyond the size limit, or with a name that another has.
    #[error("tensor `{name}` ({shape}): {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Shape,
        /// What is wrong.
        problem: &'static str,
    },
    /// A node reads a tensor before it is written, or writes one twice.
    #[error("node `{node}`: {problem}")]
    Order {
        /// The node.
        node: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The operator does not fit its tensors.
    #[error("node `{node}`: {problem}")]
    Shape {
        /// The node.
        node: String,
        /// What is wrong.
        problem: ShapeError,
    },
    /// The output tensor has another shape than the operator writes.
    #[error("node `{node}` writes {expected}, but its tensor is {found}")]
    Output {
        /// The node.
        node: String,
        /// The tensor's shape.
        found: Shape,
        /// What the operator writes.
        expected: Shape,
    },
    /// A tensor that must share its input's quantization has another.
    #[error("node `{node}`: its tensors must share one scale and zero point")]
    Quantization {
        /// The node.
        node: String,
    },
    /// A multiplier beyond what stays exact in a float.
    #[error("node `{node}`: multiplier {k}/65536 is above {limit}/65536")]
    Multiplier {
        /// The node.
        node: String,
        /// The multiplier found.
        k: u32,
        /// The largest allowed.
        limit: u32,
    },
    /// An accumulator could leave int32.
    #[error(
        "node `{node}`, channel {channel}: accumulators reach from {low} to {high}, outside int32; \
         the layer is too large or its bias too far from its weights"
    )]
    Overflow {
        /// The node.
        node: String,
        /// The output channel.
        channel: usize,
        /// Smallest accumulator over all inputs.
        low: i64,
        /// Largest accumulator over all inputs.
        high: i64,
    },
    /// A list of another length than the channels it describes.
    #[error("{what}: {found} entries, expected {expected}")]
    Count {
        /// The list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// Mean or standard deviation that pixels cannot be normalized with.
    #[error("normalization of channel {channel}: mean {mean}, std {std}; std must be positive, both finite")]
    Normalization {
        /// The channel.
        channel: usize,
        /// Its mean.
        mean: f32,
        /// Its standard deviation.
        std: f32,
    },
}

/// Checks every rule of an int8 model.
///
/// # Errors
/// The first rule broken, with the node or tensor that breaks it.
pub fn check(model: &QuantizedModel) -> Result<(), GraphError> {
    let graph = &model.graph;
    let mut names = BTreeSet::new();
    for tensor in &graph.tensors {
        check_tensor(tensor, names.insert(&tensor.name))?;
    }
    let mut written = vec![false; graph.tensors.len()];
    let order = |node: &String, problem| GraphError::Order { node: node.clone(), problem };
    let name = &graph.name;
    *written.get_mut(graph.input.0).ok_or_else(|| order(name, "the input does not exist"))? = true;
    for node in &graph.nodes {
        if !node.inputs.iter().all(|id| written.get(id.0) == Some(&true)) {
            return Err(order(&node.name, "reads a tensor that nothing before it writes"));
        }
        match written.get_mut(node.output.0) {
            Some(seen @ false) => *seen = true,
            _ => return Err(order(&node.name, "writes a tensor that is written already or does not exist")),
        }
        let inputs: Vec<&Tensor<Quantization>> = node.inputs.iter().map(|&id| graph.tensor(id)).collect();
        check_node(&node.name, &node.op, &inputs, graph.tensor(node.output))?;
    }
    if written.get(graph.output.0) != Some(&true) {
        return Err(order(&graph.name, "nothing writes the output"));
    }
    check_info(model)
}

fn check_tensor(tensor: &Tensor<Quantization>, unique: bool) -> Result<(), GraphError> {
    let Shape { height, width, channels } = tensor.shape;
    let values = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
    let problem = match values {
        _ if !unique => "another tensor has the same name",
        Some(1..=LIMIT) if tensor.info.scale.is_finite() && tensor.info.scale > 0.0 => return Ok(()),
        Some(1..=LIMIT) => "its scale is not positive and finite",
        Some(0) => "it holds no value",
        _ => "it is too large",
    };
    Err(GraphError::Tensor { name: tensor.name.clone(), shape: tensor.shape, problem })
}

fn check_node(
    name: &str,
    op: &QuantizedOp,
    inputs: &[&Tensor<Quantization>],
    output: &Tensor<Quantization>,
) -> Result<(), GraphError> {
    let shapes: Vec<Shape> = inputs.iter().map(|tensor| tensor.shape).collect();
    let expected =
        op.output_shape(&shapes).map_err(|problem| GraphError::Shape { node: name.into(), problem })?;
    if expected != output.shape {
        return Err(GraphError::Output { node: name.into(), found: output.shape, expected });
    }
    if op.rules().moves().is_some() && inputs.iter().any(|input| input.info != output.info) {
        return Err(GraphError::Quantization { node: name.into() });
    }
    op.rules().check(name, inputs[0].info.zero_point)
}

/// A multiplier whose product with any int8 value is exact in a float.
pub(crate) fn exact_in_a_float(name: &str, multiplier: Multiplier) -> Result<(), GraphError> {
    match multiplier.k() {
        k if k > QuantizedOp::ELEMENTWISE_LIMIT => {
            Err(GraphError::Multiplier { node: name.into(), k, limit: QuantizedOp::ELEMENTWISE_LIMIT })
        }
        _ => Ok(()),
    }
}

/// Accumulators that fit int32.
pub(crate) fn in_range(name: &str, channel: usize, (low, high): (i64, i64)) -> Result<(), GraphError> {
    if low < i64::from(i32::MIN) || high > i64::from(i32::MAX) {
        return Err(GraphError::Overflow { node: name.into(), channel, low, high });
    }
    Ok(())
}

fn check_info(model: &QuantizedModel) -> Result<(), GraphError> {
    let (input, output) = (model.graph.tensor(model.graph.input), model.graph.tensor(model.graph.output));
    let normalization = &model.info.normalization;
    let count = |what, found, expected| match found == expected {
        true => Ok(()),
        false => Err(GraphError::Count { what, found, expected }),
    };
    count("rows and columns of the output", output.shape.height * output.shape.width, 1)?;
    count("labels", model.info.labels.len(), output.shape.channels)?;
    count("means of the normalization", normalization.mean.len(), input.shape.channels)?;
    count("standard deviations of the normalization", normalization.std.len(), input.shape.channels)?;
    for (channel, (&mean, &std)) in normalization.mean.iter().zip(&normalization.std).enumerate() {
        if !mean.is_finite() || !std.is_finite() || std <= 0.0 {
            return Err(GraphError::Normalization { channel, mean, std });
        }
    }
    Ok(())
}
