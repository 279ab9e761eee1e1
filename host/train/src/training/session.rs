//! What trains: a live session that holds the parameters and makes steps with them.
//!
//! Two kinds: [`ApiSession`](super::api_session::ApiSession) on ONNX Runtime's training API, and
//! [`PlainSession`](super::plain_session::PlainSession) on any ONNX Runtime.

use goldcrest_engine::answer::largest;
use goldcrest_prove::runtime::RuntimeError;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::checkpoint::State;

/// File names of the four artifacts.
pub mod artifact {
    pub const TRAINING: &str = "training_model.onnx";
    pub const EVALUATION: &str = "eval_model.onnx";
    pub const OPTIMIZER: &str = "optimizer_model.onnx";
    pub const CHECKPOINT: &str = "checkpoint";
}

/// Why a training session could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The loaded ONNX Runtime cannot train.
    #[error(
        "the loaded ONNX Runtime has no training API; pass --backend session, or run `goldcrest doctor \
         --fix` and leave --runtime and ORT_DYLIB_PATH out"
    )]
    NoTraining,
    /// An artifact cannot be written.
    #[error("{path}: cannot write: {source}")]
    Artifact { path: std::path::PathBuf, source: std::io::Error },
    /// The parameters cannot be handed over.
    #[error(transparent)]
    Checkpoint(#[from] super::checkpoint::CheckpointError),
    /// ONNX Runtime refused.
    #[error("ONNX Runtime: {action}: {source}")]
    Ort { action: &'static str, source: ort::Error },
    /// The graph's outputs are not the ones expected.
    #[error("the {graph} graph gave {found} outputs, expected the loss and the logits at least")]
    Outputs { graph: &'static str, found: usize },
}

/// Adds what was being done to an error of ONNX Runtime.
pub(super) trait Doing<T> {
    fn doing(self, action: &'static str) -> Result<T, SessionError>;
}

impl<T, E: Into<ort::Error>> Doing<T> for Result<T, E> {
    fn doing(self, action: &'static str) -> Result<T, SessionError> {
        self.map_err(|source| SessionError::Ort { action, source: source.into() })
    }
}

/// A batch as the graphs take it.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// Shape of `images`, batch first.
    pub shape: &'a [usize],
    /// Row-major values.
    pub images: &'a [f32],
    /// One class per image.
    pub labels: &'a [i64],
    /// What a training step learns besides; evaluation takes no notice of it.
    pub lessons: Lessons<'a>,
}

/// What a training step is told besides images and labels, as its graph asks
/// ([`autodiff::GraphOptions`](crate::autodiff::GraphOptions)).
#[derive(Clone, Copy, Debug, Default)]
pub struct Lessons<'a> {
    /// In place of the labels: the share of each class in each image, `[N, classes]`.
    pub shares: Option<&'a [f32]>,
    /// A teacher's logits, `[N, classes]`.
    pub teacher: Option<&'a [f32]>,
}

/// A further input of a graph.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'a> {
    Labels(&'a [i64]),
    /// `[N, classes]`.
    Rows(&'a [f32]),
}

impl<'a> Feed<'a> {
    /// What a training step is told after the images, in the order of its graph's inputs.
    pub(super) fn told(&self) -> impl Iterator<Item = Told<'a>> {
        let targets = self.lessons.shares.map_or(Told::Labels(self.labels), Told::Rows);
        std::iter::once(targets).chain(self.lessons.teacher.map(Told::Rows))
    }
}

/// What a graph says about a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Mean loss of the batch.
    pub loss: f32,
    /// The class of each image: the first of its largest logits.
    pub answers: Vec<usize>,
}

impl Answer {
    pub(super) fn new(loss: &[f32], logits: &[f32], images: usize) -> Self {
        let classes = (logits.len() / images.max(1)).max(1);
        Self {
            loss: loss.first().copied().unwrap_or(f32::NAN),
            answers: logits.chunks_exact(classes).map(largest).collect(),
        }
    }

    /// How many images got their label as the answer.
    pub fn correct(&self, labels: &[i64]) -> usize {
        self.answers.iter().zip(labels).filter(|&(&answer, &label)| answer as i64 == label).count()
    }
}

/// A live training session.
pub trait Session {
    /// One step: gradients of the batch, then new parameters with this learning rate.
    fn step(&mut self, feed: Feed, learning_rate: f32) -> Result<Answer, SessionError>;

    /// Loss and answers of a batch without learning.
    fn evaluate(&mut self, feed: Feed) -> Result<Answer, SessionError>;

    /// A copy of all parameters as they are now; no properties.
    fn state(&self) -> Result<State, SessionError>;
}

/// The options of every session with `threads` threads per operator.
pub(super) fn options(builder: SessionBuilder, threads: usize) -> Result<SessionBuilder, SessionError> {
    let action = "setting session options";
    builder
        .with_optimization_level(GraphOptimizationLevel::All)
        .doing(action)?
        .with_intra_threads(threads)
        .doing(action)?
        .with_inter_threads(1)
        .doing(action)?
        // Training for int8 rounds where the graph says so: integer kernels in between would round otherwise.
        .with_config_entry("session.disable_quant_qdq", "1")
        .doing(action)?
        .with_log_level(LogLevel::Error)
        .doing(action)
}
