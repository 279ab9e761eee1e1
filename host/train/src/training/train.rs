//! A whole training: graphs, state and session from a network, then epochs to the end.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use goldcrest_data::{Dataset, Split};
use goldcrest_onnx::{Model, info};
use goldcrest_quantize::graph::{ModelInfo, Normalization};

use super::api_session::ApiSession;
use super::checkpoint::State;
use super::error::{TrainError, write_error};
use super::fit::check;
use super::learner::{Job, Learner};
use super::manifest::{self, Manifest, ManifestError};
use super::metrics::{self, Confusion, Epoch};
use super::plain_session::PlainSession;
use super::position::{Best, Position};
use super::quantization_aware::Prepared;
use super::recipe::Recipe;
use super::run::Run;
use super::session::Session;
use super::setup::Setup;
use super::teacher::Teacher;
use super::tensorboard::Events;
use crate::autodiff::{self, Parameter, SessionGraph, TrainingGraph};

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
    /// The float model after the last epoch.
    pub model: PathBuf,
    /// The float model of the best epoch, once there is one.
    pub best_model: PathBuf,
}

impl Summary {
    /// Seconds of all epochs, evaluations included.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// The epoch of the best model: by accuracy on the validation images, or on the test images where none
    /// are set aside; of equals the one of lower loss, then the first.
    pub fn best(&self) -> Option<&Epoch> {
        let best = |epoch: &Epoch| Best::of(epoch);
        self.epochs
            .iter()
            .reduce(|before, epoch| if best(epoch).beats(&best(before)) { epoch } else { before })
    }

    /// Training images per second over all epochs, evaluations not counted.
    pub fn samples_per_second(&self) -> f64 {
        let slowness: f64 = self.epochs.iter().map(|epoch| 1.0 / epoch.samples_per_second).sum();
        if slowness > 0.0 { self.epochs.len() as f64 / slowness } else { 0.0 }
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
    let mut normalization = recipe.normalization(dataset.shape.channels)?;
    let (train, validation) = dataset.train.set_aside(recipe.validate.into(), recipe.split_seed);
    if train.is_empty() {
        return Err(TrainError::Empty { part: "training" });
    }
    if recipe.validate > 0.0 && validation.is_empty() {
        return Err(TrainError::NoValidation { share: recipe.validate, images: dataset.train.len() });
    }
    let steps = train.len().div_ceil(recipe.batch);
    let mut manifest = Manifest::of(model, dataset, recipe)?;
    let began = match run.resumes {
        true => Some(Manifest::read(&run.manifest())?),
        false => None,
    };
    if let Some(began) = &began {
        began.admits(&manifest, &run.manifest())?;
        manifest.prepared_sha256.clone_from(&began.prepared_sha256);
    }
    let mut prepared = None;
    let model = match recipe.qat {
        true => {
            prepared = Some(prepare(model, &train, dataset, &normalization, run, &mut manifest)?);
            let (channels, classes) = (dataset.shape.channels, dataset.classes.len());
            let model = prepared.as_ref().map_or(model, |prepared| &prepared.network);
            normalization = info::read(&model.metadata, channels, classes)?.normalization;
            model
        }
        false => model,
    };

    let options = recipe.graph_options();
    let teacher = match &recipe.distillation {
        Some(distillation) => Some(Teacher::load(&distillation.teacher, dataset, &normalization)?),
        None => None,
    };
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
    match began {
        Some(began) if began.batch != recipe.batch && position.step > 0 => {
            return Err(TrainError::Batch { began: began.batch, now: recipe.batch });
        }
        _ => {}
    }
    manifest.write(&run.manifest()).map_err(write_error(run.manifest()))?;
    goldcrest_files::write(&run.recipe(), recipe.to_toml().as_bytes()).map_err(write_error(run.recipe()))?;
    let session = graph.open(state, run, setup)?;
    let events = Events::create(&run.events()).map_err(write_error(run.events()))?;
    let (train, validation, model) = (&train, &validation, graph.forward_model());
    let prepared = prepared.as_ref();
    let job = Job { model, prepared, dataset, train, validation, recipe, run, teacher, normalization, steps };

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
    Ok(Summary { epochs, stopped, model, best_model: run.best() })
}

/// The network that computes as its int8 form does: quantized once for a run, so that a resumed one has the
/// same scales.
fn prepare(
    model: &Model,
    images: &Split,
    dataset: &Dataset,
    normalization: &Normalization,
    run: &Run,
    manifest: &mut Manifest,
) -> Result<Prepared, TrainError> {
    let path = run.prepared();
    if run.resumes {
        let read = |source| ManifestError::Read { path: path.clone(), source };
        let bytes = std::fs::read(&path).map_err(read)?;
        if manifest.prepared_sha256.as_ref() != Some(&manifest::sum(&bytes)) {
            let advice = "pass --overwrite to start the run anew";
            return Err(ManifestError::Changed { path, advice }.into());
        }
        return Ok(Prepared::of(Model::decode(&bytes)?).map_err(Box::new)?);
    }
    let info = ModelInfo {
        labels: dataset.classes.clone(),
        normalization: normalization.clone(),
        preprocessing: dataset.preprocessing,
    };
    let prepared = Prepared::new(model, images, &info, manifest.seed).map_err(Box::new)?;
    let bytes = prepared.file.encode();
    goldcrest_files::write(&path, &bytes).map_err(write_error(path))?;
    manifest.prepared_sha256 = Some(manifest::sum(&bytes));
    Ok(prepared)
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

fn initial(parameters: &[Parameter]) -> State {
    let mut state = State::default();
    for parameter in parameters {
        let group = if parameter.is_trainable() { &mut state.trainable } else { &mut state.frozen };
        group.insert(parameter.name.clone(), parameter.initial.clone());
    }
    state
}

/// The run's checkpoint, when it is of the same network as `fresh`; the one before where the last is not
/// there.
fn saved(fresh: &State, run: &Run) -> Result<(State, Position), TrainError> {
    let path =
        Some(run.checkpoint()).filter(|path| path.exists()).unwrap_or_else(|| run.previous_checkpoint());
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
