//! Epochs of steps: an evaluation and a checkpoint after each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use goldcrest_data::{BatchOptions, Batches, Dataset, Normalization, Split};
use goldcrest_onnx::Model;
use goldcrest_quantize::graph::ModelInfo;

use super::defaults::RECIPE;
use super::error::{TrainError, write_error};
use super::export;
use super::metrics::{self, Confusion, Epoch};
use super::position::{Best, Position, Sums};
use super::processor_time;
use super::quantization_aware::Prepared;
use super::recipe::Recipe;
use super::run::Run;
use super::session::{Feed, Lessons, Session};
use super::teacher::Teacher;
use super::tensorboard::Events;
use super::train::Progress;

/// Test images per evaluation step: few enough to stay in the cache.
const TEST_BATCH: usize = 64;

/// What stays the same while training.
pub(super) struct Job<'a> {
    /// What the trained parameters are put into.
    pub model: &'a Model,
    /// Where it is trained for int8.
    pub prepared: Option<&'a Prepared>,
    pub dataset: &'a Dataset,
    pub train: &'a Split,
    pub validation: &'a Split,
    pub recipe: &'a Recipe,
    pub run: &'a Run,
    pub teacher: Option<Teacher>,
    pub normalization: Normalization,
    pub steps: usize,
}

impl Job<'_> {
    /// The training batches of epoch `epoch` (from 0), from batch `start` on.
    fn batches(&self, epoch: usize, start: usize) -> Batches {
        let Recipe { batch: size, seed, ref augment, .. } = *self.recipe;
        let options = BatchOptions { size, seed, epoch: epoch as u64, start, ..BatchOptions::default() };
        Batches::new(self.train, augment, &self.normalization, &options)
    }
}

/// A training in progress.
pub(super) struct Learner<'a, 'b> {
    pub job: Job<'a>,
    pub session: Box<dyn Session>,
    pub events: Events,
    pub position: Position,
    pub save_every: Duration,
    /// When the last checkpoint was written.
    pub saved: Instant,
    pub stop: &'a AtomicBool,
    pub report: &'b mut dyn FnMut(Progress),
}

impl Learner<'_, '_> {
    /// One epoch, or what is left of it; `None` when it was stopped.
    pub fn epoch(&mut self) -> Result<Option<Epoch>, TrainError> {
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
        let best = Best::of(&epoch);
        if best.beats(&self.position.best) {
            self.position.best = best;
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
        let (mixes, classes, mut shares) = (recipe.mixes(), dataset.classes.len(), Vec::new());
        let mut learning_rate = schedule.rate(epoch * steps + self.position.step);
        let (mut last, mut processor) = (Instant::now(), processor_time::seconds());
        while self.position.step < steps && !self.stop.load(Ordering::Relaxed) {
            let before = batches.waited();
            let Some(batch) = batches.next() else { break };
            let waited = batches.waited() - before;
            learning_rate = schedule.rate(epoch * steps + self.position.step);
            let count = batch.labels.len();
            let shape = [count, shape.channels, shape.height, shape.width];
            if mixes {
                batch.shares(classes, &mut shares);
            }
            let teacher = self.job.teacher.as_ref();
            let teacher = teacher.map(|teacher| teacher.logits(&batch.images)).transpose()?;
            let lessons = Lessons { shares: mixes.then_some(&shares), teacher: teacher.as_deref() };
            let feed = Feed { shape: &shape, images: &batch.images, labels: &batch.labels, lessons };
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
            sums.correct += answer.correct(batch.main_labels());
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
            let lessons = Lessons::default();
            let feed = Feed { shape: &shape, images: &batch.images, labels: &batch.labels, lessons };
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

    /// Writes the checkpoint.
    pub fn save(&mut self) -> Result<(), TrainError> {
        let mut state = self.session.state()?;
        state.properties = self.position.properties();
        state.write(&self.job.run.checkpoint(), &self.job.run.previous_checkpoint())?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the trained model.
    pub fn export(&self, path: PathBuf) -> Result<PathBuf, TrainError> {
        let Job { model, prepared, dataset, normalization, .. } = &self.job;
        let description = ModelInfo {
            labels: dataset.classes.clone(),
            normalization: normalization.clone(),
            preprocessing: dataset.preprocessing,
        };
        let mut trained = export::trained(model, &self.session.state()?, &description);
        trained.metadata.insert(RECIPE.into(), self.job.recipe.to_toml());
        if let Some(prepared) = prepared {
            trained = prepared.settled(&trained);
        }
        goldcrest_files::write(&path, &trained.encode()).map_err(write_error(path.clone()))?;
        Ok(path)
    }
}
