//! The targets of `rust-toolchain.toml`, for building firmware.

use std::process::Command;

use super::{Check, Part};

/// The toolchain file of the workspace; the one list of targets.
const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");

pub(super) const PART: Part = Part { name: "Rust targets", purpose: "building firmware", check, fix };

fn wanted() -> Vec<String> {
    let file: toml::Table = TOOLCHAIN.parse().unwrap_or_default();
    let targets = file.get("toolchain").and_then(|toolchain| toolchain.get("targets")?.as_array());
    targets.into_iter().flatten().filter_map(|target| target.as_str().map(str::to_owned)).collect()
}

fn missing() -> Result<Vec<String>, String> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().map_err(|error| {
        format!("rustc cannot be run ({error}); install Rust with rustup, see https://rustup.rs")
    })?;
    let sysroot = std::path::PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let absent = |target: &String| !sysroot.join("lib/rustlib").join(target).join("lib").is_dir();
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_toolchain_file_names_targets() {
        assert!(super::wanted().contains(&"thumbv7em-none-eabihf".to_owned()));
    }
}
