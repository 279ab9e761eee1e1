//! Training: a training graph and batches become weights, metrics and checkpoints.

pub mod checkpoint;
pub mod export;
pub mod metrics;
pub mod optimizer;
pub mod recipe;
#[cfg(test)]
mod reference;
pub mod run;
pub mod schedule;
pub mod session;
#[cfg(test)]
mod tests;
mod train;

pub use recipe::Recipe;
pub use run::Run;
pub use train::{Progress, Summary, TrainError, check, train};
