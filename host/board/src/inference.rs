//! The program of inference alone on an emulated board: how large it is, how deep its stack goes and,
//! with a plugin of QEMU, what cycles a core would need.

use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use super::child;
use super::firmware::{self, BuildError, Program, Recipe};
use super::payload::Payload;
use super::qemu::{self, QemuError};
use super::table::Board;

/// What inference alone takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// Bytes of flash of the program: startup, image reader, engine, the model's kernels, and what of Rust's
    /// core library they call; without the vector table, which is the part's.
    pub code_bytes: u64,
    /// Peak use of the stack, in bytes, measured by painting.
    pub stack_bytes: u32,
    /// What the plugin counted for each layer, when there is a plugin.
    pub sections: Vec<Section>,
}

/// Instructions and modelled cycles of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Instructions executed.
    pub instructions: u64,
    /// Cycles as the plugin models them.
    pub cycles: u64,
}

/// Why inference alone could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// The program could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// QEMU is missing or does not start.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// Files of the emulation.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What happened.
        error: io::Error,
    },
    /// It did not end well.
    #[error("inference alone on the emulated {board} failed ({status}): {said}")]
    Failed {
        /// The board.
        board: &'static str,
        /// QEMU's exit status.
        status: String,
        /// What it printed.
        said: String,
    },
    /// The plugin wrote something else than counts.
    #[error("{}: {problem}; the plugin must be mcycle, and QEMU 9.1 or later", plugin.display())]
    Plugin {
        /// The plugin.
        plugin: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Sections that the plugin tells apart; the first is everything but inference.
const SECTIONS: usize = 64;
/// How long an emulated board may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Builds the program with the kernels of a device image and runs its golden vectors, of which it must
/// have at least one. `small` compiles the engine for size; `plugin` is the path of mcycle.
///
/// # Errors
/// When the program cannot be built or started, or a logit is wrong.
pub fn run(
    board: &'static Board,
    payload: &Payload,
    small: bool,
    plugin: Option<&Path>,
) -> Result<Inference, InferenceError> {
    let recipe = |program| Recipe::for_model(program, payload, small);
    let firmware = firmware::build_as(board, &recipe(Program::Inference))?;
    let code_bytes = firmware.flash_bytes - firmware.vector_bytes;
    let io = |what| move |error| InferenceError::Io { what, error };
    let image = payload.image.bytes();
    let said = finish(board, qemu::start_alone(board, &firmware, image, None)?)?;
    let stack_bytes = said.lines().find_map(|line| u32::from_str_radix(line.trim(), 16).ok());
    let stack_bytes = stack_bytes.ok_or_else(|| failed(board, "no stack gauge", &said))?;
    let Some(plugin) = plugin else { return Ok(Inference { code_bytes, stack_bytes, sections: Vec::new() }) };

    let firmware = firmware::build_as(board, &recipe(Program::Sections))?;
    let mut counts = tempfile::tempfile().map_err(io("a temporary file"))?;
    let end = counts.try_clone().and_then(child::hand).map_err(io("a temporary file"))?;
    finish(board, qemu::start_alone(board, &firmware, image, Some((plugin, end)))?)?;
    let problem = |problem: String| InferenceError::Plugin { plugin: plugin.to_path_buf(), problem };
    let mut text = String::new();
    let read = counts.rewind().and_then(|()| counts.read_to_string(&mut text));
    read.map_err(|error| problem(error.to_string()))?;
    let vectors = payload.golden().max(1) as u64;
    let sections = sections(&text, payload.layers.len(), vectors).map_err(problem)?;
    Ok(Inference { code_bytes, stack_bytes, sections })
}

/// What the plugin counted in each layer, for one of the `vectors` that ran.
fn sections(counts: &str, layers: usize, vectors: u64) -> Result<Vec<Section>, String> {
    if layers + 1 >= SECTIONS {
        return Err(format!("{layers} layers, but the plugin tells only {} apart", SECTIONS - 2));
    }
    let mut sections = vec![Section { instructions: 0, cycles: 0 }; layers];
    for line in counts.lines() {
        let section: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let number = |key: &str| section[key].as_u64().ok_or_else(|| format!("`{line}` has no `{key}`"));
        // Behind the last layer a section of its number begins; a few instructions, which are its own.
        let index = (number("section")? as usize).min(layers);
        if let Some(place) = index.checked_sub(1).and_then(|layer| sections.get_mut(layer)) {
            place.instructions += number("insns")? / vectors;
            place.cycles += number("m4cyc")? / vectors;
        }
    }
    Ok(sections)
}

fn failed(board: &Board, status: &str, said: &str) -> InferenceError {
    let said = if said.trim().is_empty() { "it printed nothing" } else { said.trim() };
    InferenceError::Failed { board: board.name, status: status.into(), said: said.into() }
}

/// Waits for the end of a run, and returns what it printed.
fn finish(board: &'static Board, mut child: Child) -> Result<String, InferenceError> {
    let io = |error| InferenceError::Io { what: "waiting for QEMU", error };
    let status = wait(&mut child).map_err(io)?;
    let mut said = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said).map_err(io)?;
    }
    said.push(b'\n');
    if let Some(mut output) = child.stderr.take() {
        output.read_to_end(&mut said).map_err(io)?;
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    if status.success() { Ok(said) } else { Err(failed(board, &status.to_string(), &said)) }
}

/// The exit status, after at most [`PATIENCE`].
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_belong_to_layers() {
        let counts = r#"{"section":0,"name":"other","calls":2,"insns":999,"m4cyc":999}
{"section":1,"name":"s1","calls":2,"insns":100,"m4cyc":140}
{"section":2,"name":"s2","calls":2,"insns":50,"m4cyc":60}
{"section":3,"name":"s3","calls":2,"insns":4,"m4cyc":6}"#;
        let section = |instructions, cycles| Section { instructions, cycles };
        assert_eq!(sections(counts, 2, 2).unwrap(), [section(50, 70), section(27, 33)]);
        assert!(sections("{}", 2, 1).is_err() && sections("", 63, 1).is_err());
    }
}
