//! What is measured in each epoch, and `metrics.jsonl`, where it is kept: one JSON object a line.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The measurements of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean cross entropy over the epoch's augmented training images, while the weights changed.
    pub train_loss: f64,
    /// Share of the epoch's augmented training images classified right, while the weights changed.
    pub train_accuracy: f64,
    /// Mean cross entropy over the test images after the epoch.
    pub test_loss: f64,
    /// Share of the test images classified right after the epoch.
    pub test_accuracy: f64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f32,
    /// Training images per second, input pipeline included, evaluation not.
    pub samples_per_second: f64,
    /// Seconds of training and evaluation.
    pub seconds: f64,
    /// Share of the training time that was spent waiting for images.
    pub waited: f64,
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "epoch {:>3}  train loss {:.4}  train {:>5.2} %  test {:>5.2} %  {:>6.0} samples/s  {:.1} s  waited {:.1} %",
            self.epoch,
            self.train_loss,
            100.0 * self.train_accuracy,
            100.0 * self.test_accuracy,
            self.samples_per_second,
            self.seconds,
            100.0 * self.waited,
        )
    }
}

/// Appends an epoch to the file.
pub fn append(path: &Path, epoch: &Epoch) -> std::io::Result<()> {
    let mut line = serde_json::to_string(epoch)?;
    line.push('\n');
    // One write call: a line is there whole or not at all for anyone who reads along.
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

/// Reads the epochs of a file; a last line that a crash cut short is left out.
pub fn read(path: &Path) -> std::io::Result<Vec<Epoch>> {
    Ok(std::fs::read_to_string(path)?.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
}

/// Keeps the epochs up to `last`, those that a checkpoint of that epoch has seen.
pub fn truncate(path: &Path, last: usize) -> std::io::Result<Vec<Epoch>> {
    let mut epochs = match read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    epochs.retain(|epoch| epoch.epoch <= last);
    let mut text = String::new();
    for epoch in &epochs {
        text += &serde_json::to_string(epoch)?;
        text.push('\n');
    }
    super::run::write_atomically(path, text.as_bytes())?;
    Ok(epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: usize) -> Epoch {
        Epoch {
            epoch: number,
            train_loss: 1.5,
            train_accuracy: 0.4,
            test_loss: 1.4,
            test_accuracy: 0.5,
            learning_rate: 0.01,
            samples_per_second: 12_000.0,
            seconds: 4.5,
            waited: 0.01,
        }
    }

    #[test]
    fn what_was_appended_is_read_and_cut_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        for number in 1..=3 {
            append(&path, &epoch(number)).unwrap();
        }
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"epoch\": 4, \"tra").unwrap();
        assert_eq!(read(&path).unwrap(), [epoch(1), epoch(2), epoch(3)]);
        assert_eq!(truncate(&path, 2).unwrap(), [epoch(1), epoch(2)]);
        append(&path, &epoch(3)).unwrap();
        assert_eq!(read(&path).unwrap(), [epoch(1), epoch(2), epoch(3)]);
    }
}
