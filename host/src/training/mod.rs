//! Training: a training graph and batches become weights, metrics and checkpoints.

pub mod api_session;
pub mod checkpoint;
pub mod export;
pub mod metrics;
pub mod optimizer;
pub mod plain_session;
mod processor_time;
pub mod recipe;
#[cfg(test)]
mod reference;
pub mod run;
pub mod schedule;
pub mod session;
pub mod tensorboard;
#[cfg(test)]
mod tests;
mod train;

pub use recipe::Recipe;
pub use run::Run;
pub use train::{Backend, Progress, Setup, Summary, TrainError, check, train};
