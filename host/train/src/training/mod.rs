//! Training: a training graph and batches become weights, metrics and checkpoints.

#[allow(unsafe_code)]
pub mod api_session;
#[allow(unsafe_code)]
pub mod checkpoint;
pub mod defaults;
pub mod error;
pub mod export;
mod fit;
mod key;
mod learner;
pub mod manifest;
pub mod metrics;
pub mod optimizer;
mod options;
pub mod plain_session;
mod position;
#[allow(unsafe_code)]
mod processor_time;
pub mod quantization_aware;
pub mod recipe;
#[cfg(test)]
mod reference;
pub mod run;
pub mod schedule;
pub mod session;
mod setup;
mod teacher;
pub mod tensorboard;
#[cfg(test)]
mod tests;
mod train;

pub use error::TrainError;
pub use fit::check;
pub use quantization_aware::QatError;
pub use recipe::Recipe;
pub use run::Run;
pub use setup::{Backend, Setup};
pub use teacher::TeacherError;
pub use train::{Progress, Summary, train};
