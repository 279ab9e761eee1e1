//! The proof that an int8 model means the same everywhere: tract, ONNX Runtime, our engine and the
//! executable specification compute every layer of every image, and every value is compared.

mod compare;
pub mod layout;
pub mod onnxruntime;
pub mod plain;
pub mod runner;
pub mod tract;

pub use compare::{Comparison, Difference, LayerComparison, VerifyError, compare};
pub use runner::{Runner, RunnerError};
