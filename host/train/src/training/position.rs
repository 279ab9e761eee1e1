//! How far a training is.

use std::collections::BTreeMap;

use super::checkpoint::{Property, State};
use super::metrics::Epoch;

/// How far training is; with the parameters, all that a resumed run needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// Finished epochs.
    pub epochs: usize,
    /// Finished steps of the epoch after those.
    pub step: usize,
    pub sums: Sums,
    /// Best accuracy so far, of the images that the best model is chosen by, its loss, and its epoch.
    pub best: Best,
}

/// The epoch that is best so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Best {
    pub accuracy: f64,
    pub loss: f64,
    /// From 1; 0 before the first.
    pub epoch: usize,
}

impl Best {
    /// An epoch, as the best model is chosen.
    pub fn of(epoch: &Epoch) -> Self {
        Self {
            accuracy: epoch.validation_accuracy.unwrap_or(epoch.test_accuracy),
            loss: epoch.validation_loss.unwrap_or(epoch.test_loss),
            epoch: epoch.epoch,
        }
    }

    /// Whether this is better: by accuracy, and of equals the one of lower loss.
    pub fn beats(&self, before: &Self) -> bool {
        before.epoch == 0
            || self.accuracy > before.accuracy
            || self.accuracy == before.accuracy && self.loss < before.loss
    }
}

/// Sums over the images of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub images: usize,
    pub correct: usize,
    pub loss: f64,
    /// Seconds of the steps, of waiting for images in them, and of processor time for them.
    pub seconds: f64,
    pub waited: f64,
    pub processor: f64,
}

impl Sums {
    pub fn loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

impl Position {
    pub fn properties(&self) -> BTreeMap<String, Property> {
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
            ("goldcrest.best".into(), bits(self.best.accuracy)),
            ("goldcrest.best_loss".into(), bits(self.best.loss)),
            ("goldcrest.best_epoch".into(), count(self.best.epoch)),
        ])
    }

    pub fn of(state: &State) -> Option<Self> {
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
            best: Best {
                accuracy: double("goldcrest.best")?,
                loss: double("goldcrest.best_loss")?,
                epoch: count("goldcrest.best_epoch")?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_accuracies_are_told_apart_by_loss() {
        let first = Best { accuracy: 0.9, loss: 0.5, epoch: 1 };
        assert!(first.beats(&Best::default()));
        assert!(Best { loss: 0.4, epoch: 2, ..first }.beats(&first));
        assert!(!Best { loss: 0.6, epoch: 2, ..first }.beats(&first));
        assert!(!Best { accuracy: 0.8, loss: 0.1, epoch: 2 }.beats(&first));
        assert!(Best { accuracy: 0.0, loss: 9.0, epoch: 1 }.beats(&Best::default()));
    }
}
