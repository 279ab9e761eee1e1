//! The folder of a run: what lies where, and the checks before training starts.

use std::io::Write;
use std::path::{Path, PathBuf};

use goldcrest_files::{DRAFT, FolderLock, LOCK, LockError};

/// What to do with a folder that already holds a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Say so and stop.
    #[default]
    Refuse,
    /// Remove the old run's files.
    Replace,
    /// Go on after its last checkpoint.
    Resume,
}

/// Why a run cannot be kept in a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder holds a run.
    #[error(
        "{path} already holds a run; pass --resume to continue it, --overwrite to replace it, or another \
         --out"
    )]
    Exists { path: PathBuf },
    /// The folder holds other files.
    #[error("{path} holds other files ({found}) and no run; pass another --out")]
    NotARun { path: PathBuf, found: String },
    /// The folder cannot be made or written.
    #[error("{path}: {action}: {source}; pass another --out or free some space")]
    Unwritable { path: PathBuf, action: &'static str, source: std::io::Error },
    /// Another process has the folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// There is nothing to resume.
    #[error(
        "{path} holds no checkpoint to resume; pass --overwrite in place of --resume to start the run anew"
    )]
    NoCheckpoint { path: PathBuf },
}

/// A run's folder that was checked to be writable, and that no other process has while this value lives.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    _lock: FolderLock,
    /// The run goes on after its last checkpoint.
    pub resumes: bool,
}

/// Bytes that must be free: the checkpoint and the models of a network for a microcontroller.
const PROBE_BYTES: usize = 4 << 20;

/// The effective recipe, in the run's folder.
pub const RECIPE: &str = "recipe.toml";
const METRICS: &str = "metrics.jsonl";
/// The state after the last step that was saved, in the run's folder.
pub const CHECKPOINT: &str = "checkpoint";
/// The trained float model, in the run's folder.
pub const MODEL: &str = "model.onnx";
/// The float model of the best epoch, in the run's folder.
pub const BEST: &str = "best.onnx";
/// The state before that.
const PREVIOUS: &str = "checkpoint.previous";
/// What the run trains on, by what recipe.
pub(super) const MANIFEST: &str = "manifest.json";
const ARTIFACTS: &str = "artifacts";
const CONFUSION: &str = "confusion.jsonl";
const EVENTS: &str = "tensorboard";
const PREPARED: &str = "prepared.onnx";
const FILES: [&str; 11] =
    [RECIPE, METRICS, CONFUSION, CHECKPOINT, PREVIOUS, MANIFEST, MODEL, BEST, PREPARED, ARTIFACTS, EVENTS];

impl Run {
    /// Makes or opens the folder, takes it for this process, and proves that it can be written.
    pub fn open(path: &Path, existing: Existing) -> Result<Self, RunError> {
        let failed = |action| move |source| RunError::Unwritable { path: path.to_owned(), action, source };
        std::fs::create_dir_all(path).map_err(failed("cannot create the run's folder"))?;
        let lock = FolderLock::take(path)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed("cannot list the run's folder"))? {
            let entry = entry.map_err(failed("cannot list the run's folder"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(DRAFT) {
                remove(&entry.path()).map_err(failed("cannot remove what a killed run left behind"))?;
            } else if name != LOCK {
                found.push(name);
            }
        }
        let run = Self { path: path.to_owned(), _lock: lock, resumes: existing == Existing::Resume };
        let holds_run = found.iter().any(|name| FILES.contains(&name.as_str()));
        match existing {
            Existing::Resume if !run.checkpoint().is_file() && !run.previous_checkpoint().is_file() => {
                return Err(RunError::NoCheckpoint { path: path.to_owned() });
            }
            Existing::Refuse if holds_run => return Err(RunError::Exists { path: path.to_owned() }),
            _ if !holds_run && !found.is_empty() => {
                found.sort();
                found.truncate(3);
                return Err(RunError::NotARun { path: path.to_owned(), found: found.join(", ") });
            }
            _ => (),
        }
        run.probe().map_err(failed("cannot write in the run's folder"))?;
        if existing == Existing::Replace {
            for name in FILES {
                remove(&path.join(name)).map_err(failed("cannot remove the old run"))?;
            }
        }
        Ok(run)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The effective recipe.
    pub fn recipe(&self) -> PathBuf {
        self.path.join(RECIPE)
    }

    /// One JSON line per epoch.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// One JSON line per epoch: which classes were taken for which.
    pub fn confusion(&self) -> PathBuf {
        self.path.join(CONFUSION)
    }

    /// The folder of TensorBoard's event files.
    pub fn events(&self) -> PathBuf {
        self.path.join(EVENTS)
    }

    /// The state after the last step that was saved.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// The state that was saved before that one.
    pub fn previous_checkpoint(&self) -> PathBuf {
        self.path.join(PREVIOUS)
    }

    /// What the run trains on, by what recipe.
    pub fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// The trained float model.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The float model of the epoch with the best accuracy: on the validation images, where some are set
    /// aside, else on the test images.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The quantized model that training for int8 began with.
    pub fn prepared(&self) -> PathBuf {
        self.path.join(PREPARED)
    }

    /// Makes the folder of the artifacts that the training API reads; it is there while training runs.
    pub fn artifacts(&self) -> Result<Artifacts, RunError> {
        let path = self.path.join(ARTIFACTS);
        std::fs::create_dir_all(&path).map_err(|source| RunError::Unwritable {
            path: path.clone(),
            action: "cannot create the folder",
            source,
        })?;
        Ok(Artifacts { path })
    }

    fn probe(&self) -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(DRAFT).tempfile_in(&self.path)?;
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.as_file().sync_all()
    }
}

/// The folder of a run's artifacts; removed when dropped.
#[derive(Debug)]
pub struct Artifacts {
    path: PathBuf,
}

impl Artifacts {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        // What stays behind is removed with the run.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_run_is_kept_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/a");
        drop(Run::open(&path, Existing::Refuse).unwrap());
        std::fs::write(path.join(".goldcrest-x1y2z3"), "half a file").unwrap();
        assert!(matches!(Run::open(&path, Existing::Resume), Err(RunError::NoCheckpoint { .. })));
        assert!(!path.join(".goldcrest-x1y2z3").exists());
        let run = Run::open(&path, Existing::Refuse).unwrap();
        std::fs::write(run.metrics(), "{}").unwrap();
        let held = Run::open(&path, Existing::Replace).unwrap_err().to_string();
        assert!(held.contains("in use by process") && run.metrics().exists(), "{held}");
        let (metrics, checkpoint) = (run.metrics(), run.checkpoint());
        drop(run);
        let error = Run::open(&path, Existing::Refuse).unwrap_err().to_string();
        assert!(error.contains("--resume") && error.contains("--overwrite"), "{error}");
        std::fs::write(checkpoint, "state").unwrap();
        assert!(Run::open(&path, Existing::Resume).unwrap().resumes);
        assert!(metrics.exists());
        Run::open(&path, Existing::Replace).unwrap();
        assert!(!metrics.exists());
    }

    #[test]
    fn foreign_folders_are_never_touched() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "").unwrap();
        for existing in [Existing::Refuse, Existing::Replace] {
            let error = Run::open(folder.path(), existing).unwrap_err().to_string();
            assert!(error.contains("thesis.txt"), "{error}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Run::open(&file.join("run"), Existing::Refuse).unwrap_err();
        assert!(matches!(error, RunError::Unwritable { .. }), "{error}");
    }
}
