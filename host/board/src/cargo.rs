//! Running cargo for a core that is not this machine's.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

/// Cargo in a workspace, with compiler flags that are those of a core and no others: flags meant for the host
/// would break, or change, what is built.
pub fn command(root: &Path, rustflags: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root).stdin(Stdio::null());
    for variable in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER"] {
        command.env_remove(variable);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\x1f"));
    command
}

/// Cargo's folder for what it builds: where the environment says, or in the workspace. Whoever builds the
/// same workspace finds the same lock there, even where a configuration file moves cargo's own output.
pub fn target_folder(root: &Path) -> PathBuf {
    let moved = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].into_iter().find_map(env::var_os);
    root.join(moved.filter(|folder| !folder.is_empty()).unwrap_or_else(|| OsString::from("target")))
}

/// Waits for a file's lock, which threads and processes alike give back when they drop the file or end.
///
/// # Errors
/// When the file cannot be written.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.lock() {
        // A file system without locks: as cargo does there, build without.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        outcome => outcome.map(|()| file),
    }
}

/// The last file of a build's messages (`--message-format=json`) that belongs to a target and whose path ends
/// so.
pub fn artifact(messages: &[u8], target: &str, ending: &str) -> Option<PathBuf> {
    let messages = messages.split(|&byte| byte == b'\n');
    let artifacts = messages.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let of_target = artifacts
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == target);
    let files = of_target.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let mut paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    paths.rfind(|path| path.to_string_lossy().ends_with(ending))
}

/// Whether cargo said that the compiler's target is not installed.
pub fn lacks_target(output: &str) -> bool {
    output.contains("target may not be installed")
}
