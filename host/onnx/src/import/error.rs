//! Why a model cannot be imported: all nodes that have no int8 form in one message.

use super::NODES;
use crate::info::InfoError;

/// Why a model cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The model's operator set is outside `OPSETS`.
    #[error("the model uses ONNX opset {0}, supported are 11 to 21; export it again with one of these")]
    Opset(i64),
    /// The inputs are not one image.
    #[error("{0}; Goldcrest takes one image [batch, channels, height, width] of a fixed size")]
    Input(String),
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
