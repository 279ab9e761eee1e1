//! The training loop: epochs of steps, an evaluation after each, a checkpoint after each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use goldcrest_shared::quantize::graph::ModelInfo;
use goldcrest_shared::shape::Shape;

use super::checkpoint::{CheckpointError, Property, State};
use super::export;
use super::metrics::{self, Epoch};
use super::recipe::{Recipe, RecipeError};
use super::run::{Run, RunError, write_atomically};
use super::session::{Feed, SessionError, TrainingSession};
use crate::autodiff::{self, AutodiffError, TrainingGraph};
use crate::dataset::{BatchOptions, Batches, Dataset, Normalization};
use crate::onnx::{Dimension, Model};

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

/// What stays the same while training.
struct Job<'a> {
    model: &'a Model,
    dataset: &'a Dataset,
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
        Batches::new(&self.dataset.train, augment, &self.normalization, &options)
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
    /// Best test accuracy so far.
    best: f64,
}

/// Sums over the images of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    images: usize,
    correct: usize,
    loss: f64,
    /// Seconds of the steps, and of waiting for images in them.
    seconds: f64,
    waited: f64,
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
            },
            best: double("goldcrest.best")?,
        })
    }
}

/// Trains `model` on the data set by the recipe and keeps everything in the run's folder. When
/// `stop` becomes true, the state is saved and training ends early. `threads` is the number of
/// threads per operator; the input pipeline has its own.
///
/// # Errors
/// See [`TrainError`]; the last checkpoint stays whole whatever happens.
pub fn train(
    model: &Model,
    dataset: &Dataset,
    recipe: &Recipe,
    run: &Run,
    threads: usize,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Progress),
) -> Result<Summary, TrainError> {
    check(model, dataset)?;
    let normalization = recipe.normalization(dataset.shape.channels)?;
    let steps = dataset.train.len().div_ceil(recipe.batch);
    let job = Job { model, dataset, recipe, run, normalization, steps };

    let graph = autodiff::training_graph(model, &recipe.graph_options())?;
    let mut state = initial(&graph);
    let mut position = Position::default();
    let mut epochs = Vec::new();
    if run.resumes {
        (state, position) = saved(&state, run)?;
        epochs = metrics::truncate(&run.metrics(), position.epochs).map_err(write_error(run.metrics()))?;
    }
    write_atomically(&run.recipe(), recipe.to_toml().as_bytes()).map_err(write_error(run.recipe()))?;
    let artifacts = run.artifacts()?;
    let session =
        TrainingSession::new(artifacts.path(), &graph.training_model, &graph.eval_model, state, threads)?;

    report(Progress::Start { epoch: position.epochs + 1, epochs: recipe.epochs, steps });
    let mut learner = Learner { job, session, position, stop, report };
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

struct Learner<'a, 'b> {
    job: Job<'a>,
    session: TrainingSession,
    position: Position,
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
        let test = self.evaluate()?;
        let epoch = Epoch {
            epoch: self.position.epochs,
            train_loss: sums.loss(),
            train_accuracy: sums.accuracy(),
            test_loss: test.loss(),
            test_accuracy: test.accuracy(),
            learning_rate,
            samples_per_second: sums.images as f64 / sums.seconds,
            seconds: start.elapsed().as_secs_f64(),
            waited: sums.waited / sums.seconds,
        };
        if epoch.test_accuracy > self.position.best {
            self.position.best = epoch.test_accuracy;
            self.export(self.job.run.best())?;
        }
        // The checkpoint comes last: a run that is cut short before it repeats the epoch.
        let path = self.job.run.metrics();
        metrics::append(&path, &epoch).map_err(write_error(path))?;
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
        let mut last = Instant::now();
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
            sums.correct += answer.correct;
            sums.loss += f64::from(answer.loss) * count as f64;
            let now = Instant::now();
            sums.seconds += (now - last).as_secs_f64();
            sums.waited += waited.as_secs_f64();
            last = now;
            batches.recycle(batch);
            (self.report)(Progress::Step {
                step: self.position.step,
                loss: sums.loss(),
                accuracy: sums.accuracy(),
                samples_per_second: sums.images as f64 / sums.seconds,
            });
        }
        Ok(learning_rate)
    }

    fn evaluate(&self) -> Result<Sums, TrainError> {
        let shape = self.job.dataset.shape;
        let mut sums = Sums::default();
        let mut batches = Batches::plain(&self.job.dataset.test, &self.job.normalization, TEST_BATCH);
        while let Some(batch) = batches.next() {
            let count = batch.labels.len();
            let shape = [count, shape.channels, shape.height, shape.width];
            let feed = Feed { shape: &shape, images: &batch.images, labels: &batch.labels };
            let answer = self.session.evaluate(feed)?;
            sums.images += count;
            sums.correct += answer.correct;
            sums.loss += f64::from(answer.loss) * count as f64;
            batches.recycle(batch);
        }
        Ok(sums)
    }

    fn save(&self) -> Result<(), TrainError> {
        let mut state = self.session.state()?;
        state.properties = self.position.properties();
        Ok(state.write(&self.job.run.checkpoint())?)
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

fn initial(graph: &TrainingGraph) -> State {
    let mut state = State::default();
    for parameter in &graph.parameters {
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
