//! What is measured in each epoch, and `metrics.jsonl` and `confusion.jsonl`, where it is kept: one JSON
//! object a line.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A line of one of the files: what belongs to one epoch.
pub trait OfEpoch: Serialize + DeserializeOwned {
    /// The epoch, counted from 1.
    fn epoch(&self) -> usize;
}

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
    /// Mean cross entropy over the validation images after the epoch, where some are set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Share of the validation images classified right after the epoch, where some are set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Share of each class's test images classified right.
    #[serde(default)]
    pub per_class: Vec<f64>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f32,
    /// Training images per second, input pipeline included, evaluation not.
    pub samples_per_second: f64,
    /// Training images per second of processor time of all threads, input pipeline included, evaluation not;
    /// 0 where the system does not tell.
    #[serde(default)]
    pub samples_per_processor_second: f64,
    /// Seconds of training and evaluation.
    pub seconds: f64,
    /// Share of the training time that was spent waiting for images.
    pub waited: f64,
}

impl Epoch {
    /// Mean over the classes of the share of their test images classified right.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let classes = self.per_class.len();
        (classes > 0).then(|| self.per_class.iter().sum::<f64>() / classes as f64)
    }

    /// The class that every test image was taken for.
    pub fn only_answer(&self) -> Option<usize> {
        let mut said = self.per_class.iter().enumerate().filter(|&(_, &right)| right > 0.0);
        match (said.next(), said.next()) {
            (Some((class, &right)), None) if right == 1.0 && self.per_class.len() > 1 => Some(class),
            _ => None,
        }
    }
}

impl Epoch {
    /// A line of text, in which the test images are called `test`: a sweep's are validation images.
    pub fn line(&self, test: &str) -> String {
        let percent = |share: f64| 100.0 * share;
        let mut line = format!("epoch {:>3}  train loss {:.4}  ", self.epoch, self.train_loss);
        line += &format!("train {:>5.2} %  ", percent(self.train_accuracy));
        if let Some(accuracy) = self.validation_accuracy {
            line += &format!("validation {:>5.2} %  ", percent(accuracy));
        }
        line += &format!("{test} {:>5.2} %  ", percent(self.test_accuracy));
        if let Some(balanced) = self.balanced_accuracy() {
            line += &format!("balanced {:>5.2} %  ", percent(balanced));
        }
        let (rate, waited) = (self.samples_per_second, percent(self.waited));
        line + &format!("{rate:>6.0} samples/s  {:.1} s  waited {waited:.1} %", self.seconds)
    }
}

impl OfEpoch for Epoch {
    fn epoch(&self) -> usize {
        self.epoch
    }
}

/// Which classes were taken for which after an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Counted from 1.
    pub epoch: usize,
    /// `confusion[class][answer]`: how many test images of a class got an answer.
    pub confusion: Vec<Vec<usize>>,
}

impl Confusion {
    /// Share of each class's images that got it as the answer; 0 for a class without images.
    pub fn per_class(&self) -> Vec<f64> {
        let share = |(class, answers): (usize, &Vec<usize>)| {
            answers[class] as f64 / answers.iter().sum::<usize>().max(1) as f64
        };
        self.confusion.iter().enumerate().map(share).collect()
    }
}

impl OfEpoch for Confusion {
    fn epoch(&self) -> usize {
        self.epoch
    }
}

/// Appends a line to a file.
pub fn append<L: OfEpoch>(path: &Path, line: &L) -> std::io::Result<()> {
    let mut line = serde_json::to_string(line)?;
    line.push('\n');
    // One write call: a line is there whole or not at all for anyone who reads along.
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

/// Reads the lines of a file; a last one that a crash cut short is left out.
pub fn read<L: OfEpoch>(path: &Path) -> std::io::Result<Vec<L>> {
    Ok(std::fs::read_to_string(path)?.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
}

/// Keeps the lines of epochs up to `last`, those that a checkpoint of that epoch has seen.
pub fn truncate<L: OfEpoch>(path: &Path, last: usize) -> std::io::Result<Vec<L>> {
    let mut lines: Vec<L> = match read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    lines.retain(|line| line.epoch() <= last);
    let mut text = String::new();
    for line in &lines {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    goldcrest_files::write(path, text.as_bytes())?;
    Ok(lines)
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
            validation_loss: None,
            validation_accuracy: (number > 1).then_some(0.25),
            per_class: vec![0.5, 0.75],
            learning_rate: 0.01,
            samples_per_second: 12_000.0,
            samples_per_processor_second: 11_000.0,
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
        assert_eq!(read::<Epoch>(&path).unwrap(), [epoch(1), epoch(2), epoch(3)]);
        assert_eq!(truncate::<Epoch>(&path, 2).unwrap(), [epoch(1), epoch(2)]);
        append(&path, &epoch(3)).unwrap();
        assert_eq!(read::<Epoch>(&path).unwrap(), [epoch(1), epoch(2), epoch(3)]);
    }

    #[test]
    fn the_diagonal_is_the_accuracy_of_each_class() {
        let confusion = Confusion { epoch: 1, confusion: vec![vec![3, 1], vec![0, 0]] };
        assert_eq!(confusion.per_class(), [0.75, 0.0]);
    }
}
