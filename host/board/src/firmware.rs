//! Building the firmware of a board, and what the host must know of the result.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use object::read::elf::{ElfFile32, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol};

use super::payload::Payload;
use super::sources::{self, SourcesError};
use super::table::Board;

/// A firmware built for one board.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// The ELF file.
    pub elf: PathBuf,
    /// Bytes it occupies in flash: code, constants and initial values, without the model.
    pub flash_bytes: u64,
    /// Bytes of the part's vector table among them.
    pub vector_bytes: u64,
    /// First address of the device image.
    pub slot_start: u64,
    /// Bytes of the device image's place.
    pub slot_bytes: u64,
    /// First address of the second place, where there are two.
    pub spare_start: Option<u64>,
    /// Bytes of RAM that it leaves a model; none of a program that takes all there is.
    pub arena_bytes: Option<u64>,
}

/// Why there is no firmware.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The sources cannot be had.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// No cargo.
    #[error(
        "cargo could not be started ({0}); the firmware is built with it: install Rust from https://rustup.rs"
    )]
    NoCargo(io::Error),
    /// The compiler's target is not installed.
    #[error("the compiler has no target {target}; run: rustup target add {target}")]
    NoTarget {
        /// Target triple.
        target: &'static str,
    },
    /// The compiler refused.
    #[error("cargo failed to build the firmware of {board}:\n{output}")]
    Failed {
        /// Board's name.
        board: &'static str,
        /// What the compiler said.
        output: String,
    },
    /// The build made no readable ELF file.
    #[error("firmware {}: {problem}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// What to build for a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Which program.
    pub program: Program,
    /// Names of the kernels to build in; all of them when `None`.
    pub kernels: Option<Vec<&'static str>>,
    /// Compile the engine for size.
    pub small: bool,
}

impl Recipe {
    /// A program with no kernels but those of a device image.
    pub fn for_model(program: Program, payload: &Payload, small: bool) -> Self {
        let mut kernels: Vec<_> = payload.layers.iter().map(|layer| layer.kernel).collect();
        kernels.sort_unstable();
        kernels.dedup();
        Self { program, kernels: Some(kernels), small }
    }
}

/// The programs of the firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// The application with its link, for an emulator: logs and its end go over semihosting.
    #[default]
    Application,
    /// The application for the real board: logs go to the debug probe over RTT.
    Flashed,
    /// Inference alone: the golden vectors of the model in the slot.
    Inference,
    /// The same, telling an emulator's plugin where layers begin.
    Sections,
}

/// Builds the application of an emulated board with every kernel; quick when nothing changed.
pub fn build(board: &Board) -> Result<Firmware, BuildError> {
    build_as(board, &Recipe::default())
}

/// Builds a program for a board; quick when nothing changed.
pub fn build_as(board: &Board, recipe: &Recipe) -> Result<Firmware, BuildError> {
    let root = sources::root()?;
    let (binary, feature) = match recipe.program {
        Program::Application => (board.name, Some("emulated")),
        Program::Flashed => (board.name, None),
        Program::Inference => ("inference", Some("inference")),
        Program::Sections => ("inference", Some("sections")),
    };
    // A key makes the firmware take signed models only, and brings the code that looks.
    let takes_updates = matches!(recipe.program, Program::Application | Program::Flashed);
    let signature = env::var_os("GOLDCREST_UPDATE_KEY").filter(|_| takes_updates).map(|_| "signature");
    let profile = if recipe.small { "firmware-small" } else { "firmware" };
    let features = [Some(board.name), feature, signature].into_iter().flatten().collect::<Vec<_>>().join(",");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command
        .current_dir(&root)
        .args(["build", "--package", "goldcrest-firmware", "--profile", profile])
        .args(["--target", board.target, "--features", &features, "--bin", binary])
        .arg("--message-format=json-render-diagnostics")
        .env("DEFMT_LOG", env::var_os("DEFMT_LOG").unwrap_or_else(|| OsString::from("info")))
        .stdin(Stdio::null());
    match recipe.small {
        true => command.env("GOLDCREST_SMALL", "1"),
        false => command.env_remove("GOLDCREST_SMALL"),
    };
    match &recipe.kernels {
        Some(kernels) => command.env("GOLDCREST_KERNELS", kernels.join(",")),
        None => command.env_remove("GOLDCREST_KERNELS"),
    };
    // Flags meant for the host would break, or change, the firmware.
    for variable in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER"] {
        command.env_remove(variable);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", board.rustflags.join("\x1f"));
    let output = command.output().map_err(BuildError::NoCargo)?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim_end().to_string();
        if output.contains("target may not be installed") {
            return Err(BuildError::NoTarget { target: board.target });
        }
        return Err(BuildError::Failed { board: board.name, output });
    }
    let Some(elf) = executable(&output.stdout, binary) else {
        let output = "no binary came out of a successful build".to_string();
        return Err(BuildError::Failed { board: board.name, output });
    };
    Firmware::open(&elf)
}

/// The path in cargo's message about the finished binary.
fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    let messages = messages.split(|&byte| byte == b'\n');
    let mut artifacts = messages.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let binary = artifacts.find(|message| {
        message["reason"] == "compiler-artifact"
            && message["target"]["name"] == name
            && message["executable"].is_string()
    })?;
    binary["executable"].as_str().map(PathBuf::from)
}

impl Firmware {
    /// First addresses of its places for device images.
    pub fn slots(&self) -> impl Iterator<Item = u64> {
        [Some(self.slot_start), self.spare_start].into_iter().flatten()
    }

    /// Reads the facts of a firmware's ELF file.
    pub fn open(path: &Path) -> Result<Self, BuildError> {
        let problem = |problem: String| BuildError::Elf { path: path.to_path_buf(), problem };
        let bytes = fs::read(path).map_err(|error| problem(error.to_string()))?;
        let elf =
            ElfFile32::<object::Endianness>::parse(&*bytes).map_err(|error| problem(error.to_string()))?;
        let symbol = |name: &str| {
            let found = elf.symbols().find(|symbol| symbol.name() == Ok(name));
            found.map(|symbol| symbol.address()).ok_or_else(|| problem(format!("has no symbol {name}")))
        };
        let (start, end) = (symbol("__model_start")?, symbol("__model_end")?);
        let spare = (symbol("__spare_start")?, symbol("__spare_end")?);
        let spare_start = (spare.0 < spare.1).then_some(spare.0);
        let headers = elf.elf_header().program_headers(elf.endian(), &*bytes);
        let headers = headers.map_err(|error| problem(error.to_string()))?;
        let loadable = headers.iter().filter(|header| header.p_type(elf.endian()) == object::elf::PT_LOAD);
        // From the first to the last byte that is programmed, so that gaps between segments count.
        let (mut first, mut last, mut sum) = (u64::MAX, 0, 0);
        for header in loadable {
            let (address, size) = (header.p_paddr(elf.endian()), header.p_filesz(elf.endian()));
            if size > 0 {
                first = first.min(u64::from(address));
                last = last.max(u64::from(address) + u64::from(size));
                sum += u64::from(size);
            }
        }
        // Espressif's tool packs the segments, which the processor sees far apart.
        let packed = elf.section_by_name(".flash.appdesc").is_some();
        let flash_bytes = if packed { sum } else { last.saturating_sub(first) };
        let vector_bytes = elf.section_by_name(".vector_table").map_or(0, |section| section.size());
        let slot_bytes = end.saturating_sub(start);
        // As the firmware divides it (firmware/src/start/memory.rs).
        let arena_bytes = symbol("__frame_bytes").ok().map(|frame| {
            let arena = (symbol("__sheap")? + frame).next_multiple_of(16);
            let end = symbol("_stack_start")? - symbol("_stack_size")? - symbol("_guard_size")?;
            Ok::<_, BuildError>(end.saturating_sub(arena))
        });
        let arena_bytes = arena_bytes.transpose()?;
        let (elf, slot_start) = (path.to_path_buf(), start);
        Ok(Self { elf, flash_bytes, vector_bytes, slot_start, slot_bytes, spare_start, arena_bytes })
    }
}

/// Functions of a firmware's ELF file through which it could panic; demangled or not, as the file has them.
///
/// # Errors
/// When the file cannot be read.
pub fn panic_paths(path: &Path) -> Result<Vec<String>, BuildError> {
    let problem = |problem: String| BuildError::Elf { path: path.to_path_buf(), problem };
    let bytes = fs::read(path).map_err(|error| problem(error.to_string()))?;
    let elf = ElfFile32::<object::Endianness>::parse(&*bytes).map_err(|error| problem(error.to_string()))?;
    let names = elf.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_string));
    let (mut all, mut paths) = (0, Vec::new());
    for name in names {
        all += 1;
        if ["panicking", "unwrap_failed", "expect_failed"].iter().any(|part| name.contains(part)) {
            paths.push(name);
        }
    }
    // A stripped file would pass for one without panics.
    if all == 0 { Err(problem("has no symbols".to_string())) } else { Ok(paths) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_cargo_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"mps2-an386"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"mps2-an386"},"executable":"/t/mps2-an386"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "mps2-an386"), Some(PathBuf::from("/t/mps2-an386")));
        assert_eq!(executable(messages, "other"), None);
    }

    #[test]
    fn a_file_that_is_no_firmware_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"not an ELF file").unwrap();
        let message = Firmware::open(file.path()).unwrap_err().to_string();
        assert!(message.contains(&*file.path().to_string_lossy()), "{message}");
    }
}
