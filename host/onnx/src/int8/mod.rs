//! The int8 network as ONNX (opset 17): what tract and ONNX Runtime run, written from a [`QuantizedModel`]
//! and read back into an equal one.
//!
//! Activations are int8 `[N, C, H, W]` values that carry the names of the graph's tensors. Scales in the
//! graph are multipliers on the grid `k / 2^16`; the real scales stand in the metadata under
//! [`QUANTIZATION`]. Each file of `operators` says in which nodes its operator is written.
//!
//! The output is `Flatten` of the last tensor, under that tensor's name; the tensor itself carries
//! [`UNFLATTENED`] behind its name.

mod read;
mod write;

use goldcrest_quantize::check::GraphError;
#[cfg(doc)]
use goldcrest_quantize::graph::QuantizedModel;

use super::info::InfoError;

pub use read::read;
pub(crate) use read::{Held, Reader, RealOp};
pub(crate) use write::Writer;
pub use write::write;

/// Metadata key of the grids: a JSON object from tensor name to `[scale, zero point]`.
pub const QUANTIZATION: &str = "goldcrest.quantization";

/// Suffix of the output tensor before it is flattened.
pub const UNFLATTENED: &str = "/unflattened";

/// Suffix of a convolution's or addition's value before it is clamped.
const UNCLAMPED: &str = "/unclamped";

/// Why an ONNX model is not an int8 model of Goldcrest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Int8Error {
    /// The file has no grids: it is a float model or another tool's.
    #[error(
        "the model has no `{QUANTIZATION}` metadata, so it is not an int8 model of Goldcrest; make one with \
         `goldcrest quantize`"
    )]
    NotInt8,
    /// Metadata that is not the JSON it should be.
    #[error("metadata `{QUANTIZATION}` is not what Goldcrest writes there: {0}")]
    Json(serde_json::Error),
    /// A node, or a value it mentions, is not in the form of the format.
    #[error("node `{node}` ({op}): {problem}")]
    Node { node: String, op: String, problem: String },
    /// The inputs or outputs are not one image and one vector of logits.
    #[error("{0}")]
    Interface(String),
    /// The graph breaks a rule of int8 graphs.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Labels or normalization are malformed.
    #[error(transparent)]
    Info(#[from] InfoError),
}
