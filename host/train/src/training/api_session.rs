//! Training through ONNX Runtime's training API: gradient buffers and parameters that are updated in place.
//!
//! `ort`'s own `Trainer::step` refuses tensor outputs in the pinned release, so the two calls that
//! run a graph are made here; everything else goes through `ort`.

use std::path::Path;
use std::ptr::{self, NonNull};

use goldcrest_onnx::{Model, Tensor};
use goldcrest_prove::runtime;
use ort::AsPointer;
use ort::memory::Allocator;
use ort::training::{Checkpoint, Trainer, training_api};
use ort::value::{DynValue, TensorRef};

use super::checkpoint::State;
use super::optimizer;
use super::session::{Answer, Doing, Feed, Session, SessionError, Told, artifact, options};
use crate::operators;

/// A live session of the training API.
pub struct ApiSession {
    trainer: Trainer,
    allocator: Allocator,
    /// Names and shapes of all parameters; the session holds the values.
    layout: State,
    /// Number of values that a training and an evaluation step return.
    outputs: [usize; 2],
}

impl ApiSession {
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
        let one = operators::one_at_a_time();
        let trainer = Trainer::new(
            operators::register(options(builder, threads)?).doing("registering operators")?,
            Allocator::default(),
            checkpoint,
            folder.join(artifact::TRAINING),
            folder.join(artifact::EVALUATION),
            folder.join(artifact::OPTIMIZER),
        )
        .doing("opening the training session")?;
        drop(one);
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

    fn run(&self, graph: Graph, feed: Feed) -> Result<Answer, SessionError> {
        // Views: ONNX Runtime reads the batch where it lies.
        let images =
            TensorRef::from_array_view((feed.shape.to_vec(), feed.images)).doing("passing the images")?;
        let told: Vec<Told> = match graph {
            Graph::Training => feed.told().collect(),
            Graph::Evaluation => vec![Told::Labels(feed.labels)],
        };
        let count = feed.labels.len();
        let told = told.into_iter().map(|told| match told {
            Told::Labels(labels) => Ok(TensorRef::from_array_view(([count], labels))?.into_dyn()),
            Told::Rows(rows) => {
                let classes = rows.len() / count.max(1);
                Ok(TensorRef::from_array_view(([count, classes], rows))?.into_dyn())
            }
        });
        let told = told.collect::<ort::Result<Vec<_>>>().doing("passing the labels")?;
        let inputs: Vec<_> =
            std::iter::once(images.ptr()).chain(told.iter().map(|told| told.ptr())).collect();
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
        Ok(Answer::new(loss, logits, feed.labels.len()))
    }
}

impl Session for ApiSession {
    fn step(&mut self, feed: Feed, learning_rate: f32) -> Result<Answer, SessionError> {
        let answer = self.run(Graph::Training, feed)?;
        let mut optimizer = self.trainer.optimizer();
        optimizer.set_lr(learning_rate).doing("setting the learning rate")?;
        optimizer.step().doing("updating the parameters")?;
        // The gradient buffers are overwritten by the next step instead of added to.
        optimizer.reset_grad().doing("resetting the gradients")?;
        Ok(answer)
    }

    fn evaluate(&mut self, feed: Feed) -> Result<Answer, SessionError> {
        self.run(Graph::Evaluation, feed)
    }

    fn state(&self) -> Result<State, SessionError> {
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
