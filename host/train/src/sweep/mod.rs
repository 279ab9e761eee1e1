//! A sweep: many short trainings of one network, their recipes drawn from a [`Space`], to find the recipe to
//! train with.
//!
//! Trials are compared on validation images, set aside from the training images once; the test images take no
//! part. Each trial is a run of its own in the folder `trials`, and is written to the [`journal`] when it
//! ends.

pub mod journal;
pub mod median;
mod sampler;
pub mod space;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use journal::{JournalError, Outcome, Trial};
pub use space::Space;

use self::journal::{Journal, Subject};
use self::sampler::Sampler;
use crate::training::manifest;
use crate::training::recipe::{Recipe, RecipeError, RecipeOptions};
use crate::training::run::{Existing, RunError};
use crate::training::{self, Progress, Run, Setup, TrainError};
use goldcrest_data::Dataset;
use goldcrest_files::FolderLock;
use goldcrest_onnx::Model;

/// Share of the training images that are set aside where the recipe does not say.
const VALIDATE: f32 = 0.1;

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The recipe does not say what to vary.
    #[error(
        "the recipe has no [search] table; write one, such as\n[search]\nlearning-rate = {{ low = 0.005, \
         high = 0.5, log = true }}"
    )]
    NoSpace,
    /// The recipe does not fit.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// No images are left to compare trials on.
    #[error("{images} training images leave none to validate on with `validate = {share}`")]
    NoValidation { images: usize, share: f32 },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A trial's folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A trial failed for another reason than its recipe.
    #[error("trial {trial}: {source}")]
    Trial { trial: usize, source: Box<TrainError> },
    /// The best recipe cannot be written.
    #[error("{path}: cannot write: {source}")]
    Write { path: PathBuf, source: std::io::Error },
}

/// What to sweep over.
pub struct Sweep<'a> {
    /// The recipe with its `[search]` table.
    pub options: RecipeOptions,
    /// The recipe's text, which a resumed sweep must have again.
    pub text: String,
    /// The network's name, for the journal.
    pub network: String,
    /// Makes the network of a seed.
    pub model: &'a dyn Fn(u64) -> Model,
    /// Its training images are divided; its test images are left alone.
    pub dataset: &'a Dataset,
    /// Folder of the sweep.
    pub out: &'a Path,
    /// What to do with a folder that holds a sweep.
    pub existing: Existing,
    /// How many trials to end with, earlier ones included.
    pub trials: usize,
}

/// What is told during a sweep.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A trial begins.
    Begin { trial: usize, parameters: &'a toml::Table },
    /// Something in it.
    Training(Progress<'a>),
    /// It ended.
    End(&'a Trial),
}

/// What came out of a sweep.
#[derive(Clone, Debug)]
pub struct Report {
    /// All trials in their order.
    pub trials: Vec<Trial>,
    /// The best trial's recipe, where any trial came to an epoch's end.
    pub recipe: Option<PathBuf>,
    /// It was stopped before its last trial.
    pub stopped: bool,
}

impl Report {
    /// The trial with the best validation accuracy.
    pub fn best(&self) -> Option<&Trial> {
        best(&self.trials)
    }
}

fn best(trials: &[Trial]) -> Option<&Trial> {
    let reached = trials.iter().filter(|trial| !trial.accuracies.is_empty());
    // The first of equals.
    reached.rev().max_by(|a, b| median::best(&a.accuracies).total_cmp(&median::best(&b.accuracies)))
}

const JOURNAL: &str = "sweep.jsonl";
const BEST: &str = "best.toml";
const TRIALS: &str = "trials";

/// Runs the trials that the journal lacks and writes the best recipe. When `stop` becomes true, the trial at
/// hand is saved and the sweep ends; resumed, it goes on there.
///
/// # Errors
/// See [`SweepError`]. A trial that diverges or whose recipe makes no sense is not an error but the worst
/// outcome.
pub fn sweep(
    sweep: Sweep,
    setup: &Setup,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Result<Report, SweepError> {
    let Sweep { mut options, text, network, model, dataset, out, existing, trials: count } = sweep;
    let space = options.search.take().filter(|space| !space.is_empty()).ok_or(SweepError::NoSpace)?;
    let base = options.clone().resolve()?;
    let share = if base.validate > 0.0 { base.validate } else { VALIDATE };
    let (train, test) = dataset.train.set_aside(share.into(), base.split_seed);
    if test.is_empty() || train.is_empty() {
        return Err(SweepError::NoValidation { images: dataset.train.len(), share });
    }
    let (images, data_sha256) = ([train.len(), test.len()], manifest::data_sum([&train, &test]));
    // Trials see the validation images as their test images, and never the real ones.
    let dataset = Dataset { train, test, ..dataset.clone() };

    let subject = Subject { recipe: text, network, images, data_sha256 };
    let (journal, mut trials, _lock) = open(out, existing, &subject, &space)?;
    let mut sampler = Sampler::new(&space, base.seed);
    trials.iter().for_each(|trial| sampler.tell(&trial.drawn, cost(trial)));
    let best_recipe = out.join(BEST);
    while trials.len() < count && !stop.load(Ordering::Relaxed) {
        let point = sampler.ask();
        let trial = Trial {
            trial: trials.len() + 1,
            drawn: point.drawn,
            parameters: point.values,
            ..Trial::default()
        };
        report(Event::Begin { trial: trial.trial, parameters: &trial.parameters });
        let folder = out.join(TRIALS).join(format!("{:03}", trial.trial));
        let runner = Runner { options: &options, dataset: &dataset, model, setup, stop };
        let Some(trial) = runner.run(trial, &folder, &trials, report)? else { break };
        sampler.tell(&trial.drawn, cost(&trial));
        journal.append(&trial)?;
        report(Event::End(&trial));
        trials.push(trial);
        if let Some(best) = best(&trials) {
            let recipe = with(&options, &best.parameters)?;
            goldcrest_files::write(&best_recipe, recipe.to_toml().as_bytes())
                .map_err(|source| SweepError::Write { path: best_recipe.clone(), source })?;
        }
    }
    let recipe = best(&trials).map(|_| best_recipe);
    Ok(Report { stopped: trials.len() < count, recipe, trials })
}

fn open(
    out: &Path,
    existing: Existing,
    subject: &Subject,
    space: &Space,
) -> Result<(Journal, Vec<Trial>, FolderLock), SweepError> {
    let path = out.join(JOURNAL);
    let lock = || FolderLock::take(out).map_err(RunError::from);
    match existing {
        Existing::Resume if !path.exists() => return Err(JournalError::Nothing { path }.into()),
        Existing::Resume => {
            let lock = lock()?;
            let (journal, trials) = Journal::resume(&path, subject, space)?;
            return Ok((journal, trials, lock));
        }
        Existing::Refuse if path.exists() => {
            return Err(JournalError::Exists { path: out.to_owned() }.into());
        }
        Existing::Refuse | Existing::Replace => (),
    }
    let trials = out.join(TRIALS);
    let failed = |action| {
        let path = out.to_owned();
        move |source| JournalError::File { path, action, source }
    };
    std::fs::create_dir_all(out).map_err(failed("cannot create the sweep's folder"))?;
    let lock = lock()?;
    if path.exists() && trials.exists() {
        std::fs::remove_dir_all(&trials).map_err(failed("cannot remove the old trials"))?;
    }
    std::fs::create_dir_all(&trials).map_err(failed("cannot create the sweep's folder"))?;
    Ok((Journal::begin(&path, subject)?, Vec::new(), lock))
}

/// The lower, the better.
fn cost(trial: &Trial) -> f64 {
    1.0 - median::best(&trial.accuracies)
}

/// The recipe with a trial's parameters in it.
fn with(options: &RecipeOptions, parameters: &toml::Table) -> Result<Recipe, RecipeError> {
    RecipeOptions::of_table(parameters)?.or(options.clone()).resolve()
}

struct Runner<'a> {
    options: &'a RecipeOptions,
    dataset: &'a Dataset,
    model: &'a dyn Fn(u64) -> Model,
    setup: &'a Setup,
    stop: &'a AtomicBool,
}

impl Runner<'_> {
    /// Trains one trial; `None` when it was stopped from outside.
    fn run(
        &self,
        mut trial: Trial,
        folder: &Path,
        earlier: &[Trial],
        report: &mut dyn FnMut(Event),
    ) -> Result<Option<Trial>, SweepError> {
        let start = Instant::now();
        let failed = |mut trial: Trial, problem: String| {
            trial.seconds = start.elapsed().as_secs_f64();
            Ok(Some(Trial { outcome: Outcome::Failed, problem: Some(problem), ..trial }))
        };
        let recipe = match with(self.options, &trial.parameters) {
            Ok(recipe) => Recipe { validate: 0.0, ..recipe },
            Err(error) => return failed(trial, error.to_string()),
        };
        let resumes = folder.join(training::run::CHECKPOINT).is_file();
        let run = Run::open(folder, if resumes { Existing::Resume } else { Existing::Replace })?;
        let (end, mut accuracies, mut stopped) = (AtomicBool::new(false), Vec::new(), false);
        if resumes {
            let epochs = training::metrics::read::<training::metrics::Epoch>(&run.metrics());
            accuracies.extend(epochs.unwrap_or_default().iter().map(|epoch| epoch.test_accuracy));
        }
        let mut watch = |progress: Progress| {
            if let Progress::Epoch(epoch) = progress {
                accuracies.truncate(epoch.epoch - 1);
                accuracies.push(epoch.test_accuracy);
                stopped |= !median::goes_on(&accuracies, recipe.epochs, earlier);
            }
            if stopped || self.stop.load(Ordering::Relaxed) {
                end.store(true, Ordering::Relaxed);
            }
            report(Event::Training(progress));
        };
        let model = (self.model)(recipe.seed);
        let outcome = training::train(&model, self.dataset, &recipe, &run, self.setup, &end, &mut watch);
        match outcome {
            Ok(summary) if summary.stopped && !stopped => return Ok(None),
            Ok(summary) => {
                trial.accuracies = summary.epochs.iter().map(|epoch| epoch.test_accuracy).collect();
                trial.outcome = if summary.stopped { Outcome::Stopped } else { Outcome::Done };
                trial.seconds = summary.seconds();
            }
            Err(error @ TrainError::Diverged { .. }) => return failed(trial, error.to_string()),
            Err(error @ (TrainError::Recipe(_) | TrainError::Autodiff(_))) => {
                return failed(trial, error.to_string());
            }
            Err(source) => {
                return Err(SweepError::Trial { trial: trial.trial, source: Box::new(source) });
            }
        }
        Ok(Some(trial))
    }
}

#[cfg(test)]
mod tests;
