//! The training loop: epochs of steps, an evaluation after each, a checkpoint after each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use goldcrest_shared::quantize::graph::ModelInfo;
use goldcrest_shared::shape::Shape;

use super::api_session::ApiSession;
use super::checkpoint::{CheckpointError, Property, State};
use super::export;
use super::metrics::{self, Confusion, Epoch};
use super::plain_session::PlainSession;
use super::processor_time;
use super::recipe::{Recipe, RecipeError};
use super::run::{Run, RunError, write_atomically};
use super::session::{Feed, Session, SessionError};
use super::tensorboard::Events;
use crate::autodiff::{self, AutodiffError, Parameter, SessionGraph, TrainingGraph};
use crate::dataset::{BatchOptions, Batches, Dataset, Normalization, Split};
use crate::onnx::{Dimension, Model};
use crate::runtime::{self, Device};

/// Why training did not get to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network cannot be differentiated.
    #[error(transparent)]
    Autodiff(#[from] AutodiffError),
    /// ONNX Runtime refused.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The recipe does not fit.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The training API is for the processor.
    #[error("--backend training-api trains on the processor; pass --backend session with --device cuda")]
    ApiDevice,
    /// The run's folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the run cannot be written.
    #[error("{path}: cannot write: {source}; the last checkpoint is whole, --resume continues it")]
    Write { path: PathBuf, source: std::io::Error },
    /// Images and network do not fit.
    #[error("the network takes {found} images, those of the data set are {expected}; {advice}")]
    Shape { found: String, expected: Shape, advice: &'static str },
    /// Classes and network do not fit.
    #[error("the network has {found} classes, the data set has {expected}")]
    Classes { found: String, expected: usize },
    /// There are too few images.
    #[error("the data set has no {part} images")]
    Empty { part: &'static str },
    /// The loss is no number any more.
    #[error(
        "the loss became {loss} in step {step} of epoch {epoch} with learning rate {learning_rate}; \
         try a lower one (--learning-rate {lower}) or a warm-up (--warmup 1)"
    )]
    Diverged { loss: f32, step: usize, epoch: usize, learning_rate: f32, lower: f32 },
    /// The checkpoint is of another network.
    #[error("{path}: the checkpoint is of another network or recipe: {problem}")]
    OtherNetwork { path: PathBuf, problem: String },
}

/// What happens during a run.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// The first step is about to start, in epoch `epoch` (from 1) of `epochs` with `steps` steps each.
    Start { epoch: usize, epochs: usize, steps: usize },
    /// Step `step` (from 1) of the epoch is done; the rest is the epoch's so far.
    Step { step: usize, loss: f64, accuracy: f64, samples_per_second: f64 },
    /// An epoch is done and saved.
    Epoch(&'a Epoch),
}

/// What came out of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The epochs of the whole run, those before a resume included.
    pub epochs: Vec<Epoch>,
    /// Training was stopped before its end; the checkpoint holds all that was done.
    pub stopped: bool,
    /// The float model.
    pub model: PathBuf,
}

impl Summary {
    /// Seconds of all epochs, evaluations included.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// Training images per second over all epochs, evaluations not counted.
    pub fn samples_per_second(&self) -> f64 {
        let slowness: f64 = self.epochs.iter().map(|epoch| 1.0 / epoch.samples_per_second).sum();
        if slowness > 0.0 { self.epochs.len() as f64 / slowness } else { 0.0 }
    }
}

/// Test images per evaluation step: few enough to stay in the cache.
const TEST_BATCH: usize = 64;

/// What makes the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// The training API where the ONNX Runtime has it and the processor computes, else plain sessions
    #[default]
    Auto,
    /// ONNX Runtime's training API; on the processor
    TrainingApi,
    /// Plain sessions over standard operators; any ONNX Runtime, any device
    Session,
}

/// How a run uses the machine; nothing of it changes the outcome but for the rounding of sums.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What makes the steps.
    pub backend: Backend,
    /// Where steps are made.
    pub device: Device,
    /// Threads per operator; the input pipeline has its own.
    pub threads: usize,
    /// Longest time between two checkpoints.
    pub save_every: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let (backend, device) = (Backend::Auto, Device::Cpu);
        Self { backend, device, threads: 1, save_every: Duration::from_secs(300) }
    }
}

/// What stays the same while training.
struct Job<'a> {
    /// What the trained parameters are put into.
    model: &'a Model,
    dataset: &'a Dataset,
    train: &'a Split,
    validation: &'a Split,
    recipe: &'a Recipe,
    run: &'a Run,
    normalization: Normalization,
    steps: usize,
}

impl Job<'_> {
    /// The training batches of epoch `epoch` (from 0), from batch `start` on.
    fn batches(&self, epoch: usize, start: usize) -> Batches {
        let Recipe { batch: size, seed, ref augment, .. } = *self.recipe;
        let options = BatchOptions { size, seed, epoch: epoch as u64, start, ..BatchOptions::default() };
        Batches::new(self.train, augment, &self.normalization, &options)
    }
}

/// How far training is; with the parameters, all that a resumed run needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Position {
    /// Finished epochs.
    epochs: usize,
    /// Finished steps of the epoch after those.
    step: usize,
    sums: Sums,
    /// Best accuracy so far, of the images that the best model is chosen by.
    best: f64,
}

/// Sums over the images of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    images: usize,
    correct: usize,
    loss: f64,
    /// Seconds of the steps, of waiting for images in them, and of processor time for them.
    seconds: f64,
    waited: f64,
    processor: f64,
}

impl Sums {
    fn loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

impl Position {
    fn properties(&self) -> BTreeMap<String, Property> {
        // Doubles are kept by their bits: a resumed run reports the same numbers.
        let bits = |value: f64| Property::Int(value.to_bits() as i64);
        let count = |value: usize| Property::Int(value as i64);
        BTreeMap::from([
            ("goldcrest.epochs".into(), count(self.epochs)),
            ("goldcrest.step".into(), count(self.step)),
            ("goldcrest.images".into(), count(self.sums.images)),
            ("goldcrest.correct".into(), count(self.sums.correct)),
            ("goldcrest.loss".into(), bits(self.sums.loss)),
            ("goldcrest.seconds".into(), bits(self.sums.seconds)),
            ("goldcrest.waited".into(), bits(self.sums.waited)),
            ("goldcrest.processor".into(), bits(self.sums.processor)),
            ("goldcrest.best".into(), bits(self.best)),
        ])
    }

    fn of(state: &State) -> Option<Self> {
        let count = |name| usize::try_from(state.int(name)?).ok();
        let double = |name| Some(f64::from_bits(state.int(name)? as u64));
        Some(Self {
            epochs: count("goldcrest.epochs")?,
            step: count("goldcrest.step")?,
            sums: Sums {
                images: count("goldcrest.images")?,
                correct: count("goldcrest.correct")?,
                loss: double("goldcrest.loss")?,
                seconds: double("goldcrest.seconds")?,
                waited: double("goldcrest.waited")?,
                // Checkpoints of earlier versions do not say it.
                processor: double("goldcrest.processor").unwrap_or(0.0),
            },
            best: double("goldcrest.best")?,
        })
    }
}

/// Trains `model` on the data set by the recipe and keeps everything in the run's folder. When
/// `stop` becomes true, the state is saved and training ends early.
///
/// # Errors
/// See [`TrainError`]; the last checkpoint stays whole whatever happens.
pub fn train(
    model: &Model,
    dataset: &Dataset,
    recipe: &Recipe,
    run: &Run,
    setup: &Setup,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Progress),
) -> Result<Summary, TrainError> {
    check(model, dataset)?;
    let normalization = recipe.normalization(dataset.shape.channels)?;
    let set_aside = (dataset.train.len() as f64 * f64::from(recipe.validate)).round() as usize;
    let (train, validation) = dataset.train.divide(set_aside, recipe.seed);
    if train.is_empty() {
        return Err(TrainError::Empty { part: "training" });
    }
    let steps = train.len().div_ceil(recipe.batch);

    let options = recipe.graph_options();
    let graph = match setup.uses_api()? {
        true => Graph::Api(autodiff::training_graph(model, &options)?),
        false => Graph::Session(autodiff::session_graph(model, &options)?),
    };
    let mut state = initial(graph.parameters());
    let mut position = Position::default();
    let mut epochs = Vec::new();
    if run.resumes {
        (state, position) = saved(&state, run)?;
        epochs = metrics::truncate(&run.metrics(), position.epochs).map_err(write_error(run.metrics()))?;
        metrics::truncate::<Confusion>(&run.confusion(), position.epochs)
            .map_err(write_error(run.confusion()))?;
    }
    write_atomically(&run.recipe(), recipe.to_toml().as_bytes()).map_err(write_error(run.recipe()))?;
    let session = graph.open(state, run, setup)?;
    let events = Events::create(&run.events()).map_err(write_error(run.events()))?;
    let (train, validation, model) = (&train, &validation, graph.forward_model());
    let job = Job { model, dataset, train, validation, recipe, run, normalization, steps };

    report(Progress::Start { epoch: position.epochs + 1, epochs: recipe.epochs, steps });
    let (save_every, saved) = (setup.save_every, Instant::now());
    let mut learner = Learner { job, session, events, position, save_every, saved, stop, report };
    if !run.resumes {
        // From here on there is something to resume.
        learner.save()?;
    }
    let mut stopped = false;
    while learner.position.epochs < recipe.epochs {
        match learner.epoch()? {
            Some(epoch) => epochs.push(epoch),
            None => {
                stopped = true;
                break;
            }
        }
    }
    let model = learner.export(run.model())?;
    Ok(Summary { epochs, stopped, model })
}

/// The graphs of a backend.
enum Graph {
    Api(TrainingGraph),
    Session(SessionGraph),
}

impl Graph {
    fn parameters(&self) -> &[Parameter] {
        match self {
            Self::Api(graph) => &graph.parameters,
            Self::Session(graph) => &graph.parameters,
        }
    }

    fn forward_model(&self) -> &Model {
        match self {
            Self::Api(graph) => &graph.forward_model,
            Self::Session(graph) => &graph.forward_model,
        }
    }

    fn open(&self, state: State, run: &Run, setup: &Setup) -> Result<Box<dyn Session>, TrainError> {
        Ok(match self {
            Self::Api(TrainingGraph { training_model, eval_model, .. }) => {
                // The API reads its models from files, once.
                let artifacts = run.artifacts()?;
                let path = artifacts.path();
                Box::new(ApiSession::new(path, training_model, eval_model, state, setup.threads)?)
            }
            Self::Session(graph) => Box::new(PlainSession::new(graph, state, setup.threads, setup.device)?),
        })
    }
}

impl Setup {
    fn uses_api(&self) -> Result<bool, TrainError> {
        let has_training =
            runtime::load(&runtime::Choice::default()).map_err(SessionError::from)?.has_training;
        match (self.backend, self.device) {
            (Backend::Auto, Device::Cpu) => Ok(has_training),
            (Backend::TrainingApi, Device::Cpu) if !has_training => Err(SessionError::NoTraining.into()),
            (Backend::TrainingApi, Device::Cpu) => Ok(true),
            (Backend::TrainingApi, Device::Cuda) => Err(TrainError::ApiDevice),
            (Backend::Session, _) | (Backend::Auto, Device::Cuda) => Ok(false),
        }
    }
}

struct Learner<'a, 'b> {
    job: Job<'a>,
    session: Box<dyn Session>,
    events: Events,
    position: Position,
    save_every: Duration,
    /// When the last checkpoint was written.
    saved: Instant,
    stop: &'a AtomicBool,
    report: &'b mut dyn FnMut(Progress),
}

impl Learner<'_, '_> {
    /// One epoch, or what is left of it; `None` when it was stopped.
    fn epoch(&mut self) -> Result<Option<Epoch>, TrainError> {
        let start = Instant::now();
        let learning_rate = self.steps()?;
        if self.position.step < self.job.steps {
            self.save()?;
            return Ok(None);
        }
        let sums = std::mem::take(&mut self.position.sums);
        self.position.step = 0;
        self.position.epochs += 1;
        let (test, confusion) = self.evaluate(&self.job.dataset.test)?;
        let validation = match self.job.validation.is_empty() {
            true => None,
            false => Some(self.evaluate(self.job.validation)?.0),
        };
        let confusion = Confusion { epoch: self.position.epochs, confusion };
        let epoch = Epoch {
            epoch: self.position.epochs,
            train_loss: sums.loss(),
            train_accuracy: sums.accuracy(),
            test_loss: test.loss(),
            test_accuracy: test.accuracy(),
            validation_loss: validation.map(|sums| sums.loss()),
            validation_accuracy: validation.map(|sums| sums.accuracy()),
            per_class: confusion.per_class(),
            learning_rate,
            samples_per_second: sums.images as f64 / sums.seconds,
            samples_per_processor_second: match sums.processor > 0.0 {
                true => sums.images as f64 / sums.processor,
                false => 0.0,
            },
            seconds: start.elapsed().as_secs_f64(),
            waited: sums.waited / sums.seconds,
        };
        let accuracy = epoch.validation_accuracy.unwrap_or(epoch.test_accuracy);
        if accuracy > self.position.best {
            self.position.best = accuracy;
            self.export(self.job.run.best())?;
        }
        // The checkpoint comes last: a run that is cut short before it repeats the epoch.
        let path = self.job.run.metrics();
        metrics::append(&path, &epoch).map_err(write_error(path))?;
        let path = self.job.run.confusion();
        metrics::append(&path, &confusion).map_err(write_error(path))?;
        self.events.epoch(&epoch).map_err(write_error(self.events.path().to_owned()))?;
        self.save()?;
        (self.report)(Progress::Epoch(&epoch));
        Ok(Some(epoch))
    }

    /// The steps of the epoch from the position on; returns the last learning rate.
    fn steps(&mut self) -> Result<f32, TrainError> {
        let Job { dataset, recipe, steps, .. } = self.job;
        let schedule = recipe.learning_rates(steps);
        let (epoch, shape) = (self.position.epochs, dataset.shape);
        let mut batches = self.job.batches(epoch, self.position.step);
        let mut learning_rate = schedule.rate(epoch * steps + self.position.step);
        let (mut last, mut processor) = (Instant::now(), processor_time::seconds());
        while self.position.step < steps && !self.stop.load(Ordering::Relaxed) {
            let before = batches.waited();
            let Some(batch) = batches.next() else { break };
            let waited = batches.waited() - before;
            learning_rate = schedule.rate(epoch * steps + self.position.step);
            let count = batch.labels.len();
            let shape = [count, shape.channels, shape.height, shape.width];
            let feed = Feed { shape: &shape, images: &batch.images, labels: &batch.labels };
            let answer = self.session.step(feed, learning_rate)?;
            self.position.step += 1;
            if !answer.loss.is_finite() {
                return Err(TrainError::Diverged {
                    loss: answer.loss,
                    step: self.position.step,
                    epoch: epoch + 1,
                    learning_rate,
                    lower: learning_rate / 10.0,
                });
            }
            let sums = &mut self.position.sums;
            sums.images += count;
            sums.correct += answer.correct(&batch.labels);
            sums.loss += f64::from(answer.loss) * count as f64;
            let (now, processor_now) = (Instant::now(), processor_time::seconds());
            sums.seconds += (now - last).as_secs_f64();
            sums.waited += waited.as_secs_f64();
            sums.processor += processor_now - processor;
            (last, processor) = (now, processor_now);
            batches.recycle(batch);
            (self.report)(Progress::Step {
                step: self.position.step,
                loss: sums.loss(),
                accuracy: sums.accuracy(),
                samples_per_second: sums.images as f64 / sums.seconds,
            });
            if self.saved.elapsed() >= self.save_every {
                self.save()?;
            }
        }
        Ok(learning_rate)
    }

    /// Loss and hits on images that are not trained on, and which classes were taken for which.
    fn evaluate(&mut self, split: &Split) -> Result<(Sums, Vec<Vec<usize>>), TrainError> {
        let (shape, classes) = (self.job.dataset.shape, self.job.dataset.classes.len());
        let (mut sums, mut confusion) = (Sums::default(), vec![vec![0; classes]; classes]);
        let mut batches = Batches::plain(split, &self.job.normalization, TEST_BATCH);
        while let Some(batch) = batches.next() {
            let count = batch.labels.len();
            let shape = [count, shape.channels, shape.height, shape.width];
            let feed = Feed { shape: &shape, images: &batch.images, labels: &batch.labels };
            let answer = self.session.evaluate(feed)?;
            sums.images += count;
            sums.correct += answer.correct(&batch.labels);
            sums.loss += f64::from(answer.loss) * count as f64;
            for (&label, &answer) in batch.labels.iter().zip(&answer.answers) {
                // A network of more outputs than classes may answer with none of them.
                if let Some(count) = confusion[label as usize].get_mut(answer) {
                    *count += 1;
                }
            }
            batches.recycle(batch);
        }
        Ok((sums, confusion))
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let mut state = self.session.state()?;
        state.properties = self.position.properties();
        state.write(&self.job.run.checkpoint())?;
        self.saved = Instant::now();
        Ok(())
    }

    fn export(&self, path: PathBuf) -> Result<PathBuf, TrainError> {
        let Job { model, dataset, normalization, .. } = &self.job;
        let description = ModelInfo { labels: dataset.classes.clone(), normalization: normalization.clone() };
        let trained = export::trained(model, &self.session.state()?, &description);
        write_atomically(&path, &trained.encode()).map_err(write_error(path.clone()))?;
        Ok(path)
    }
}

fn write_error(path: PathBuf) -> impl FnOnce(std::io::Error) -> TrainError {
    move |source| TrainError::Write { path, source }
}

fn initial(parameters: &[Parameter]) -> State {
    let mut state = State::default();
    for parameter in parameters {
        let group = if parameter.is_trainable() { &mut state.trainable } else { &mut state.frozen };
        group.insert(parameter.name.clone(), parameter.initial.clone());
    }
    state
}

/// The run's checkpoint, when it is of the same network as `fresh`.
fn saved(fresh: &State, run: &Run) -> Result<(State, Position), TrainError> {
    let path = run.checkpoint();
    let state = State::read(&path)?;
    let other = |problem| TrainError::OtherNetwork { path: path.clone(), problem };
    for (kind, fresh, saved) in
        [("trainable", &fresh.trainable, &state.trainable), ("frozen", &fresh.frozen, &state.frozen)]
    {
        for (name, tensor) in fresh {
            match saved.get(name) {
                None => return Err(other(format!("no {kind} parameter `{name}`"))),
                Some(saved) if saved.shape != tensor.shape => {
                    let (found, expected) = (&saved.shape, &tensor.shape);
                    return Err(other(format!("`{name}` has shape {found:?}, expected {expected:?}")));
                }
                Some(_) => (),
            }
        }
        if let Some(name) = saved.keys().find(|name| !fresh.contains_key(*name)) {
            return Err(other(format!("a {kind} parameter `{name}` too many")));
        }
    }
    let position = Position::of(&state).ok_or_else(|| other("it does not say how far the run was".into()))?;
    Ok((state, position))
}

/// Checks that a network's input and output fit the images and classes of a data set.
///
/// # Errors
/// [`TrainError::Empty`], [`TrainError::Shape`], [`TrainError::Classes`].
pub fn check(model: &Model, dataset: &Dataset) -> Result<(), TrainError> {
    for (part, split) in [("training", &dataset.train), ("test", &dataset.test)] {
        if split.is_empty() {
            return Err(TrainError::Empty { part });
        }
    }
    let fits = |dimension: Option<&Dimension>, expected: usize| match dimension {
        Some(Dimension::Fixed(found)) => *found == expected as i64,
        _ => true,
    };
    let shape = dataset.shape;
    let input = model.graph.inputs.first().and_then(|input| input.shape.as_deref()).unwrap_or(&[]);
    let expected = [shape.channels, shape.height, shape.width];
    if !input.is_empty()
        && (input.len() != 4 || !(1..4).all(|axis| fits(input.get(axis), expected[axis - 1])))
    {
        let advice = if fits(input.get(1), shape.channels) {
            "pass --resize with its size"
        } else {
            "take a network for as many channels"
        };
        return Err(TrainError::Shape {
            found: describe(input.get(1..).unwrap_or(&[])),
            expected: shape,
            advice,
        });
    }
    let output = model.graph.outputs.first().and_then(|output| output.shape.as_deref()).unwrap_or(&[]);
    if !output.is_empty() && !fits(output.last(), dataset.classes.len()) {
        let found = describe(&output[output.len() - 1..]);
        return Err(TrainError::Classes { found, expected: dataset.classes.len() });
    }
    Ok(())
}

fn describe(shape: &[Dimension]) -> String {
    let text: Vec<String> = shape
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Named(name) => name.clone(),
        })
        .collect();
    text.join("x")
}
