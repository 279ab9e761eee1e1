//! The compiler's targets of all boards, for building firmware.

use std::collections::BTreeSet;
use std::process::Command;

use goldcrest_board::BOARDS;

use super::{Check, Part};

pub(super) const PART: Part = Part { name: "Rust targets", purpose: "building firmware", check, fix };

fn wanted() -> BTreeSet<&'static str> {
    BOARDS.iter().map(|board| board.target).collect()
}

/// A program of Rust's, for the toolchain of the firmware's sources. A `rust-toolchain.toml` in the current
/// folder could name a program of its own.
fn rust(program: &str) -> Command {
    let mut command = Command::new(program);
    match goldcrest_board::sources::root() {
        Ok(root) => command.current_dir(root),
        Err(_) => command.current_dir(super::NOWHERE),
    };
    command
}

fn missing() -> Result<Vec<&'static str>, String> {
    let output = rust("rustc").args(["--print", "sysroot"]).output().map_err(|error| {
        format!("rustc cannot be run ({error}); install Rust with rustup, see https://rustup.rs")
    })?;
    let sysroot = std::path::PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let absent = |target: &&str| !sysroot.join("lib/rustlib").join(target).join("lib").is_dir();
    Ok(wanted().into_iter().filter(absent).collect())
}

fn check() -> Check {
    let missing = missing()?;
    if missing.is_empty() {
        Ok(format!("{} targets", wanted().len()))
    } else {
        Err(format!("rustup target add {}", missing.join(" ")))
    }
}

fn fix() -> Result<(), String> {
    let status = rust("rustup").args(["target", "add"]).args(missing()?).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("rustup target add: {status}")),
        Err(error) => Err(format!("rustup cannot be run ({error})")),
    }
}
