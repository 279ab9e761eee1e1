//! A folder that belongs to one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Name of the file that says whose the folder is; it is there while the folder is somebody's.
pub const LOCK: &str = ".lock";

/// Why a folder cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by {owner}; wait until it has ended, or stop it", folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
        /// Process and host.
        owner: String,
    },
    /// The file cannot be made.
    #[error("{}: cannot lock the folder: {source}", folder.display())]
    File {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The right to a folder, given back when dropped.
///
/// The operating system's lock on the file counts, which ends with the process however that ends: a file that
/// a killed process or another computer's crash left behind is taken over. Where the file system has no
/// locks, the owner's process on this host is looked for, and an owner on another host is believed.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Takes a folder, which must be there.
    ///
    /// # Errors
    /// [`LockError::Held`] with the owner; [`LockError::File`].
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK);
        let failed = |source| LockError::File { folder: folder.to_owned(), source };
        loop {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .map_err(failed)?;
            let owner = |file: &mut File| -> String {
                let mut text = String::new();
                // Whoever has just made the file may not have written its name yet.
                let _ = file.take(1024).read_to_string(&mut text);
                Some(text.trim().replace(char::is_control, " "))
                    .filter(|text| !text.is_empty())
                    .unwrap_or_else(|| "another process".to_string())
            };
            let held = |owner: String| LockError::Held { folder: folder.to_owned(), owner };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(owner(&mut file))),
                // No locks here: what the file says must do.
                Err(TryLockError::Error(_)) => {
                    let owner = owner(&mut file);
                    if lives(&owner) {
                        return Err(held(owner));
                    }
                }
            }
            // The owner before may have removed the file after it was opened here.
            if !is_at(&file, &path) {
                continue;
            }
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            writeln!(file, "{}", this_process()).map_err(failed)?;
            return Ok(Self { path, _file: file });
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Still locked, so nobody else's. What stays behind is taken over by the next.
        let _ = fs::remove_file(&self.path);
    }
}

fn this_process() -> String {
    format!("process {} on host {}", std::process::id(), host())
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).unwrap_or("unknown".to_string())
}

/// Whether the process that a lock names may be alive.
fn lives(owner: &str) -> bool {
    let Some((number, of)) = owner.strip_prefix("process ").and_then(|rest| rest.split_once(" on host "))
    else {
        return false;
    };
    let known = Path::new("/proc/self").exists();
    !(known && of == host() && !Path::new("/proc").join(number).exists())
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_whose_name_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&this_process()) && error.contains("in use by"), "{error}");
        drop(lock);
        assert!(!folder.path().join(LOCK).exists());
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn what_a_dead_owner_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "process 4000000000 on host elsewhere\n").unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(LOCK)).unwrap();
        assert_eq!(text.trim(), this_process());
        drop(lock);
    }

    #[test]
    fn without_locks_only_a_dead_process_of_this_host_is_dead() {
        assert!(lives(&this_process()));
        assert!(lives("process 4000000000 on host somewhere-else"));
        assert!(
            !lives(&format!("process 4000000000 on host {}", host())) || !Path::new("/proc/self").exists()
        );
        assert!(!lives("another process"));
    }

    #[test]
    fn of_many_at_once_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(_lock) = FolderLock::take(folder.path()) {
                            let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert_eq!(before, 0);
                            std::thread::yield_now();
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }
}
