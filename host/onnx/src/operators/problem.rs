//! What stands against a node, in words.

use goldcrest_quantize::infer::ShapeError;

/// What stands against taking one node over.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

impl From<ShapeError> for Problem {
    fn from(error: ShapeError) -> Self {
        Self(error.to_string())
    }
}

/// Says what stands against a node.
pub fn unsupported<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(problem.into()))
}
