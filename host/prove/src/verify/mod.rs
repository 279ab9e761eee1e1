//! The proof that an int8 model means the same everywhere: tract, ONNX Runtime, our engine and the
//! executable specification compute every layer of every image, and every value is compared; then the same on
//! accumulators placed next to rounding ties.

pub mod answers;
mod compare;
pub mod emulator;
pub mod engine;
pub mod layout;
mod model;
pub mod onnxruntime;
pub mod plain;
pub mod runner;
pub mod stress;
pub mod synthetic;
pub mod tract;

#[cfg(test)]
mod vectors;

pub use compare::{Comparison, Difference, LayerComparison, Participant, VerifyError, compare};
pub use model::{Contestant, Int8File, Pixels, Scope, VerifyModelError};
pub use runner::{Runner, RunnerError};
pub use stress::Stress;
