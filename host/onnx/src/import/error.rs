//! Why a model cannot be imported: all nodes that have no int8 form in one message.

use super::{NODES, OPSETS};
use crate::info::InfoError;

/// Why a model cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The model's operator set is outside `OPSETS`.
    #[error(
        "the model uses ONNX opset {0}, supported are {first} to {last}; export it again with one of these",
        first = OPSETS.start(),
        last = OPSETS.end()
    )]
    Opset(i64),
    /// The inputs are not one image.
    #[error("{0}; Goldcrest takes one image [batch, channels, height, width] of a fixed size")]
    Input(String),
    /// The elements of the input are no pixels.
    #[error(
        "the elements of the input `{name}` are {found}; supported are float, float16, double, uint8 \
         (pixels) and int8 (pixels less 128)"
    )]
    Element { name: String, found: String },
    /// The pixels of an integer input are used in ways that do not go together.
    #[error(
        "the input `{name}` holds {found} values, and what they stand for is not told by one Cast to \
         float, or by one scale and zero point; export the model with a float input"
    )]
    Pixels { name: String, found: &'static str },
    /// The file states a normalization that an integer input contradicts.
    #[error(
        "the input takes bytes that stand for mean {found_mean:?} and std {found_std:?}, but the model is \
         said to take mean {mean:?} and std {std:?}; leave the normalization out"
    )]
    Contradiction { found_mean: Vec<f32>, found_std: Vec<f32>, mean: Vec<f32>, std: Vec<f32> },
    /// The outputs are not one vector of logits.
    #[error("{0}; Goldcrest takes classifiers with one output [batch, classes]")]
    Output(String),
    /// A node reads a value that nothing before it writes.
    #[error("node `{node}` ({op}) reads `{value}`, which nothing before it writes; the file is damaged")]
    Undefined { node: String, op: String, value: String },
    /// More nodes than any network that fits a microcontroller.
    #[error("the model has {0} nodes, supported are up to {NODES}")]
    Nodes(usize),
    /// Nodes that have no int8 form here. All of them, so that one look is enough.
    #[error("{}", list(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// What would be made of the nodes is many times the file.
    #[error(
        "the model's nodes would take many times the memory of its file; no exporter writes such a model"
    )]
    Large,
    /// The metadata of the file is malformed.
    #[error(transparent)]
    Info(#[from] InfoError),
}

/// A node that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Its name in the file, or that of its output.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Shapes of its inputs as in the file, e.g. `1x16x8x8`, separated by commas.
    pub shapes: String,
    /// What about it is not supported.
    pub problem: String,
}

fn list(nodes: &[UnsupportedNode]) -> String {
    let mut text = format!("{} of the model's nodes cannot be imported:", nodes.len());
    for UnsupportedNode { name, op, shapes, problem } in nodes {
        text += &format!("\n  `{name}` ({op}, input {shapes}): {problem}");
    }
    text
}
