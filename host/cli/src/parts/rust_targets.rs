//! The compiler's targets of all boards, for building firmware.

use std::collections::BTreeSet;
use std::process::Command;

use goldcrest_board::BOARDS;

use super::{Check, Part};

pub(super) const PART: Part = Part { name: "Rust targets", purpose: "building firmware", check, fix };

fn wanted() -> BTreeSet<&'static str> {
    BOARDS.iter().map(|board| board.target).collect()
}

fn missing() -> Result<Vec<&'static str>, String> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().map_err(|error| {
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
    let status = Command::new("rustup").args(["target", "add"]).args(missing()?).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("rustup target add: {status}")),
        Err(error) => Err(format!("rustup cannot be run ({error})")),
    }
}
