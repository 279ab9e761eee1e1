//! Why a graph could not be differentiated.

use goldcrest_onnx::Node;
use goldcrest_onnx::shape_inference::{ShapeError, TensorType};

/// Why a graph could not be differentiated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutodiffError {
    /// An operator without a rule.
    #[error(
        "node `{node}`: operator {op} cannot be trained; supported are {}",
        super::supported_operators().collect::<Vec<_>>().join(", ")
    )]
    NoRule { node: String, op: String },
    /// A form of a supported operator that has no rule.
    #[error("node `{node}` ({op}): {problem}")]
    Unsupported { node: String, op: String, problem: String },
    /// The graph's shapes do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The operator set is too old or too new.
    #[error(
        "the model uses ONNX opset {found}, training takes {oldest} to {newest}; export it with another opset"
    )]
    Opset { found: i64, oldest: i64, newest: i64 },
    /// The graph has not one image going in and one row of logits coming out.
    #[error("the model does not fit a classifier: {0}")]
    Signature(String),
    /// A gradient of another shape than its value.
    #[error(
        "`{value}` is {expected}, but its gradient {found}; does the model fix its batch to one size \
         somewhere?"
    )]
    GradientShape { value: String, expected: TensorType, found: TensorType },
    /// No parameter is left to train.
    #[error("no parameter is left to train: the model has {parameters}, and {frozen} of them are frozen")]
    NothingToTrain { parameters: usize, frozen: usize },
    /// A prefix to freeze that no parameter has.
    #[error("no parameter's name begins with `{prefix}`; there are: {}", names.join(", "))]
    UnknownPrefix { prefix: String, names: Vec<String> },
    /// An option outside its range.
    #[error("{option} = {value} is outside {range}")]
    Option { option: &'static str, value: f32, range: &'static str },
}

impl AutodiffError {
    pub(super) fn unsupported(node: &Node, problem: impl Into<String>) -> Self {
        Self::Unsupported { node: node.name.clone(), op: node.op.clone(), problem: problem.into() }
    }
}
