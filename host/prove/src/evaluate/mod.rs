//! Evaluation: how often a model is right, and how closely an int8 model follows its float one.

mod classifier;
mod lost;
mod metrics;
mod softmax;

pub use classifier::{Classifier, EvaluateError, FloatClassifier, load, logits};
pub use lost::{SaveError, save};
pub use metrics::{Agreement, ClassResult, Evaluation};
pub use softmax::softmax;
