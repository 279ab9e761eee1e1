//! Debug probes, through the command `probe-rs`.
//!
//! The command and not the library: as a dependency the library costs every build of Goldcrest 74 seconds on
//! two cores, for everybody, and its chips are as old as Goldcrest's release; the command is one download of
//! 42 MB for those who have a probe, and users of Rust on microcontrollers mostly have it.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// What installs the command.
pub const INSTALL: &str = "cargo install probe-rs-tools --locked";

/// Why there is no list of probes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Not installed.
    #[error("probe-rs is not installed; run `{INSTALL}`, or see https://probe.rs for a download")]
    Missing,
    /// It does not run.
    #[error("probe-rs could not be started: {0}")]
    Start(io::Error),
    /// It failed.
    #[error("`probe-rs list` failed: {0}")]
    Failed(String),
}

/// A debug probe of this computer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Probe {
    /// Its name: `STLink V2-1`.
    pub name: String,
    /// What `--probe` takes: `0483:374b:066DFF`.
    pub id: String,
    /// Whether this user may open it.
    pub accessible: bool,
}

/// Starts `probe-rs` with nothing to ask the user.
fn command() -> Command {
    let mut command = Command::new("probe-rs");
    command.stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// The probes that `probe-rs` finds.
pub fn list() -> Result<Vec<Probe>, ProbeError> {
    let output = command().arg("list").output().map_err(start_error)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(ProbeError::Failed(text.trim().lines().next().unwrap_or("no reason given").to_string()));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Shows the logs of the firmware that runs on a part, until the user ends it; they go to standard output.
pub fn attach(chip: &str, probe: Option<&str>, elf: &Path) -> Result<ExitStatus, ProbeError> {
    let mut command = command();
    command.args(["attach", "--non-interactive", "--chip", chip]);
    if let Some(probe) = probe {
        command.args(["--probe", probe]);
    }
    command.arg(elf).status().map_err(start_error)
}

fn start_error(error: io::Error) -> ProbeError {
    match error.kind() {
        io::ErrorKind::NotFound => ProbeError::Missing,
        _ => ProbeError::Start(error),
    }
}

/// Lines such as `[0]: STLink V2-1 -- 0483:374b:066DFF555654725187043434 (ST-LINK)`.
fn parse(text: &str) -> Vec<Probe> {
    let probe = |line: &str| {
        let line = line.strip_prefix('[')?.split_once("]: ")?.1;
        let (name, rest) = line.rsplit_once(" -- ")?;
        let id = rest.split(' ').next()?;
        let accessible = !rest.ends_with("(inaccessible)");
        Some(Probe { name: name.to_string(), id: id.to_string(), accessible })
    };
    text.lines().filter_map(probe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_probe_rs_is_read() {
        let text = "The following debug probes were found:
[0]: STLink V2-1 -- 0483:374b:066DFF555654725187043434 (ST-LINK)
[1]: BBC micro:bit CMSIS-DAP -- 0d28:0204-0:9906360200052820a8fdb5e413abb276000000006e052820 (CMSIS-DAP) \
(inaccessible)\n";
        let [stlink, microbit] = &parse(text)[..] else { panic!("{:?}", parse(text)) };
        let id = "0483:374b:066DFF555654725187043434".to_string();
        assert_eq!(*stlink, Probe { name: "STLink V2-1".to_string(), id, accessible: true });
        assert_eq!((microbit.name.as_str(), microbit.accessible), ("BBC micro:bit CMSIS-DAP", false));
        assert!(microbit.id.starts_with("0d28:0204-0:99063602"));
        assert_eq!(parse("No debug probes were found.\n"), []);
    }
}
