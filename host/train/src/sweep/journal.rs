//! `sweep.jsonl`: what was searched, then one line per finished trial. All that a resumed sweep needs, but
//! for the trial that was cut off, whose run has its own checkpoint.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::space::Space;

/// How a trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It came to its last epoch.
    #[default]
    Done,
    /// The median rule ended it.
    Stopped,
    /// Its loss was not a number any more, or its recipe made no sense.
    Failed,
}

/// A finished trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counted from 1.
    pub trial: usize,
    /// The drawn numbers, in the order of the space's keys.
    pub drawn: Vec<f64>,
    /// What they stand for in the recipe; read back from the numbers.
    #[serde(skip_deserializing)]
    pub parameters: toml::Table,
    /// Share of the validation images classified right after each epoch.
    pub accuracies: Vec<f64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Seconds it took.
    pub seconds: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What all trials have in common; a sweep that differs in it is another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The recipe's text.
    pub recipe: String,
    /// The network's name or path.
    pub network: String,
    /// Training images without the validation images, and those.
    pub images: [usize; 2],
    /// SHA-256 of both.
    pub data_sha256: String,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{path}: {action}: {source}; what was tried before is kept, --resume continues it")]
    File { path: PathBuf, action: &'static str, source: std::io::Error },
    /// The folder holds a sweep.
    #[error(
        "{path} already holds a sweep; pass --resume to continue it, --overwrite to replace it, or another \
         --out"
    )]
    Exists { path: PathBuf },
    /// There is nothing to resume.
    #[error("{path} is not a sweep's journal; pass --overwrite in place of --resume to start anew")]
    Nothing { path: PathBuf },
    /// It is of another sweep.
    #[error("{path}: the sweep began with another {what}; pass the same again, or another --out")]
    Other { path: PathBuf, what: &'static str },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn begin(path: &Path, subject: &Subject) -> Result<Self, JournalError> {
        let journal = Self { path: path.to_owned() };
        let line =
            serde_json::to_string(subject).map_err(|error| journal.failed("cannot write")(error.into()))?;
        goldcrest_files::write(path, format!("{line}\n").as_bytes())
            .map_err(journal.failed("cannot write"))?;
        Ok(journal)
    }

    /// Opens a journal of the same subject, with the trials that it knows, in `space`. A line that a crash
    /// cut short is left out.
    ///
    /// # Errors
    /// [`JournalError::Nothing`], [`JournalError::Other`], [`JournalError::File`].
    pub fn resume(path: &Path, subject: &Subject, space: &Space) -> Result<(Self, Vec<Trial>), JournalError> {
        let journal = Self { path: path.to_owned() };
        let nothing = || JournalError::Nothing { path: path.to_owned() };
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(nothing()),
            other => other.map_err(journal.failed("cannot read"))?,
        };
        let mut lines = text.lines();
        let first = lines.next().and_then(|line| serde_json::from_str::<Subject>(line).ok());
        let first = first.ok_or_else(nothing)?;
        let differences = [
            ("recipe", first.recipe != subject.recipe),
            ("network", first.network != subject.network),
            ("number of images", first.images != subject.images),
            ("data set", first.data_sha256 != subject.data_sha256),
        ];
        if let Some((what, _)) = differences.into_iter().find(|(_, differs)| *differs) {
            return Err(JournalError::Other { path: path.to_owned(), what });
        }
        let mut trials: Vec<Trial> = lines.map_while(|line| serde_json::from_str(line).ok()).collect();
        for trial in &mut trials {
            trial.parameters = space.point(trial.drawn.clone()).values;
        }
        // Without what was cut short, so that the next line begins a line.
        let mut kept = serde_json::to_string(&first).unwrap_or_default() + "\n";
        for trial in &trials {
            kept += &(serde_json::to_string(trial).unwrap_or_default() + "\n");
        }
        goldcrest_files::write(path, kept.as_bytes()).map_err(journal.failed("cannot write"))?;
        Ok((journal, trials))
    }

    /// Adds a finished trial.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn append(&self, trial: &Trial) -> Result<(), JournalError> {
        use std::io::Write;
        let write = || -> std::io::Result<()> {
            let line = serde_json::to_string(trial)? + "\n";
            let mut file = std::fs::OpenOptions::new().append(true).open(&self.path)?;
            file.write_all(line.as_bytes())?;
            file.sync_all()
        };
        write().map_err(self.failed("cannot write"))
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> JournalError {
        let path = self.path.clone();
        move |source| JournalError::File { path, action, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_trials_come_back_and_half_a_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.jsonl");
        let subject = Subject {
            recipe: "epochs = 1".into(),
            network: "lenet5".into(),
            images: [90, 10],
            data_sha256: "12ab".into(),
        };
        let space: Space =
            toml::from_str("batch = { low = 8, high = 16 }\nmomentum = { low = 0.1, high = 0.9 }").unwrap();
        assert!(matches!(Journal::resume(&path, &subject, &space), Err(JournalError::Nothing { .. })));
        let journal = Journal::begin(&path, &subject).unwrap();
        let parameters: toml::Table = toml::from_str("batch = 12\nmomentum = 0.123").unwrap();
        let trial = Trial {
            trial: 1,
            drawn: vec![12.3, 0.123],
            parameters,
            accuracies: vec![1.0 / 3.0, 0.5],
            outcome: Outcome::Stopped,
            seconds: 2.5,
            problem: None,
        };
        journal.append(&trial).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"{\"trial\":2,\"dra"].concat()).unwrap();
        let (journal, trials) = Journal::resume(&path, &subject, &space).unwrap();
        assert_eq!(trials, std::slice::from_ref(&trial));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        journal.append(&trial).unwrap();
        assert_eq!(Journal::resume(&path, &subject, &space).unwrap().1.len(), 2);
        let other = Subject { data_sha256: "34cd".into(), ..subject.clone() };
        let error = Journal::resume(&path, &other, &space).unwrap_err().to_string();
        assert!(error.contains("another data set"), "{error}");
        let other = Subject { network: "dscnn".into(), ..subject };
        let error = Journal::resume(&path, &other, &space).unwrap_err().to_string();
        assert!(error.contains("another network"), "{error}");
    }
}
