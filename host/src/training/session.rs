//! One training session of ONNX Runtime's training API: steps, evaluation, parameters.
//!
//! `ort`'s own `Trainer::step` refuses tensor outputs in the pinned release, so the two calls that
//! run a graph are made here; everything else goes through `ort`.

use std::path::Path;
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::training::{Checkpoint, Trainer, training_api};
use ort::value::{DynValue, TensorRef};

use super::checkpoint::State;
use super::optimizer;
use crate::onnx::{Model, Tensor};
use crate::runtime::{self, RuntimeError};

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
        "the loaded ONNX Runtime has no training API; run `goldcrest doctor --fix` and leave ORT_DYLIB_PATH out"
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
trait Doing<T> {
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
}

/// What a graph says about a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Mean loss of the batch.
    pub loss: f32,
    /// Images whose largest logit is their label's.
    pub correct: usize,
}

/// A live training session.
pub struct TrainingSession {
    trainer: Trainer,
    allocator: Allocator,
    /// Names and shapes of all parameters; the session holds the values.
    layout: State,
    /// Number of values that a training and an evaluation step return.
    outputs: [usize; 2],
}

impl TrainingSession {
    /// Writes the artifacts into `folder` and opens a session over them with `threads` threads per
    /// operator. Both graphs take the images and the labels and give the loss, the logits, and
    /// whatever else, which is not looked at.
    pub fn new(
        folder: &Path,
        training: &Model,
        evaluation: &Model,
        state: State,
        threads: usize,
    ) -> Result<Self, SessionError> {
        // The environment must exist before a checkpoint is loaded.
        let builder = runtime::session()?;
        training_api().map_err(|_| SessionError::NoTraining)?;
        for (name, bytes) in [
            (artifact::TRAINING, training.encode()),
            (artifact::EVALUATION, evaluation.encode()),
            (artifact::OPTIMIZER, optimizer::model().encode()),
            (artifact::CHECKPOINT, state.encode()?),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|source| SessionError::Artifact { path, source })?;
        }
        let checkpoint =
            Checkpoint::load(folder.join(artifact::CHECKPOINT)).doing("loading the parameters")?;
        let allocator = Allocator::default();
        let trainer = Trainer::new(
            options(builder, threads)?,
            Allocator::default(),
            checkpoint,
            folder.join(artifact::TRAINING),
            folder.join(artifact::EVALUATION),
            folder.join(artifact::OPTIMIZER),
        )
        .doing("opening the training session")?;
        // Not the graphs' own counts: the API keeps the flags of gradient buffers to itself.
        let api = training_api().map_err(|_| SessionError::NoTraining)?;
        let mut outputs = [0; 2];
        for (function, count) in
            [api.TrainingSessionGetTrainingModelOutputCount, api.TrainingSessionGetEvalModelOutputCount]
                .into_iter()
                .zip(&mut outputs)
        {
            // SAFETY: the session is open, and the API writes one number.
            let status = unsafe { function(trainer.ptr(), count) };
            // SAFETY: the status is the API's own and is given up here.
            unsafe { ort::Error::result_from_status(status) }.doing("counting outputs")?;
        }
        Ok(Self { trainer, allocator, layout: state, outputs })
    }

    /// One step: gradients of the batch, then the optimizer with this learning rate.
    pub fn step(&mut self, feed: Feed, learning_rate: f32) -> Result<Answer, SessionError> {
        let answer = self.run(Graph::Training, feed)?;
        let mut optimizer = self.trainer.optimizer();
        optimizer.set_lr(learning_rate).doing("setting the learning rate")?;
        optimizer.step().doing("updating the parameters")?;
        // The gradient buffers are overwritten by the next step instead of added to.
        optimizer.reset_grad().doing("resetting the gradients")?;
        Ok(answer)
    }

    /// Loss and hits of a batch without learning.
    pub fn evaluate(&self, feed: Feed) -> Result<Answer, SessionError> {
        self.run(Graph::Evaluation, feed)
    }

    /// A copy of all parameters as they are now; no properties.
    pub fn state(&self) -> Result<State, SessionError> {
        let mut state = State { properties: Default::default(), ..self.layout.clone() };
        for (name, tensor) in state.trainable.iter_mut().chain(state.frozen.iter_mut()) {
            let value = self
                .trainer
                .checkpoint()
                .get_parameter(name, &self.allocator)
                .doing("reading a parameter")?;
            let (_, values) = value.try_extract_tensor::<f32>().doing("reading a parameter")?;
            *tensor = Tensor::f32(&tensor.shape, values.to_vec());
        }
        Ok(state)
    }

    fn run(&self, graph: Graph, feed: Feed) -> Result<Answer, SessionError> {
        // Views: ONNX Runtime reads the batch where it lies.
        let images =
            TensorRef::from_array_view((feed.shape.to_vec(), feed.images)).doing("passing the images")?;
        let labels =
            TensorRef::from_array_view(([feed.labels.len()], feed.labels)).doing("passing the labels")?;
        let inputs = [images.ptr(), labels.ptr()];
        let api = training_api().map_err(|_| SessionError::NoTraining)?;
        let (function, count) = match graph {
            Graph::Training => (api.TrainStep, self.outputs[0]),
            Graph::Evaluation => (api.EvalStep, self.outputs[1]),
        };
        let mut outputs = vec![ptr::null_mut(); count];
        // SAFETY: the session and the input values live through the call; the arrays have the
        // lengths passed with them, and the API checks those against the graph. A session runs one
        // call at a time: it is not `Sync`, as `Trainer` is not.
        let status = unsafe {
            function(
                self.trainer.ptr().cast_mut(),
                ptr::null(),
                inputs.len(),
                inputs.as_ptr(),
                outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: the status is the API's own and is given up here.
        unsafe { ort::Error::result_from_status(status) }.doing(graph.action())?;
        let values: Vec<DynValue> = outputs
            .into_iter()
            .filter_map(NonNull::new)
            // SAFETY: each is a fresh value of the API that nothing else owns; the allocator is
            // the default one, which it came from.
            .map(|value| unsafe { DynValue::from_ptr(value, Some(&self.allocator)) })
            .collect();
        let [loss, logits, ..] = values.as_slice() else {
            return Err(SessionError::Outputs { graph: graph.name(), found: values.len() });
        };
        let (_, loss) = loss.try_extract_tensor::<f32>().doing("reading the loss")?;
        let (_, logits) = logits.try_extract_tensor::<f32>().doing("reading the logits")?;
        Ok(Answer {
            loss: loss.first().copied().unwrap_or(f32::NAN),
            correct: count_correct(logits, feed.labels),
        })
    }
}

#[derive(Clone, Copy)]
enum Graph {
    Training,
    Evaluation,
}

impl Graph {
    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Evaluation => "evaluation",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Training => "training on a batch",
            Self::Evaluation => "evaluating a batch",
        }
    }
}

fn options(builder: SessionBuilder, threads: usize) -> Result<SessionBuilder, SessionError> {
    let action = "setting session options";
    builder
        .with_optimization_level(GraphOptimizationLevel::All)
        .doing(action)?
        .with_intra_threads(threads)
        .doing(action)?
        .with_inter_threads(1)
        .doing(action)?
        .with_log_level(LogLevel::Error)
        .doing(action)
}

fn count_correct(logits: &[f32], labels: &[i64]) -> usize {
    if labels.is_empty() || logits.is_empty() {
        return 0;
    }
    let classes = logits.len() / labels.len();
    logits
        .chunks_exact(classes.max(1))
        .zip(labels)
        .filter(|&(logits, &label)| argmax(logits) == label as usize)
        .count()
}

/// The first position of the largest value.
fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
