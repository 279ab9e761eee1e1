//! Building the firmware of a board, and what the host must know of the result.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use object::read::elf::{ElfFile32, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol};
use sha2::{Digest, Sha256};

use super::cargo;
use super::child;
use super::keys::PublicKey;
use super::payload::Payload;
use super::sources::{self, SourcesError};
use super::table::Board;
use super::update_key::{self, UpdateKeyError};

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
    /// It is not known whose models it shall take.
    #[error(transparent)]
    UpdateKey(#[from] UpdateKeyError),
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
    /// The ELF file cannot be put where it stays.
    #[error("{}: {error}; firmware is kept there: is the folder writable, and the disk not \
         full?", path.display())]
    Keep {
        /// A file or folder in the target folder.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
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
    /// Names of the kernels to build in; all that the core runs with its own instructions when `None`.
    pub kernels: Option<Vec<&'static str>>,
    /// Compile the engine for size.
    pub small: bool,
    /// Whose models an application takes; where it is not said, as [`update_key::chosen`].
    pub update_key: Option<PublicKey>,
}

impl Recipe {
    /// A program with no kernels but those of a device image.
    pub fn for_model(program: Program, payload: &Payload, small: bool) -> Self {
        let mut kernels: Vec<_> = payload.layers.iter().map(|layer| layer.kernel).collect();
        kernels.sort_unstable();
        kernels.dedup();
        Self { program, kernels: Some(kernels), small, update_key: None }
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

impl Program {
    fn takes_updates(self) -> bool {
        matches!(self, Self::Application | Self::Flashed)
    }
}

/// Builds the application of an emulated board with every kernel; quick when nothing changed.
pub fn build(board: &Board) -> Result<Firmware, BuildError> {
    build_as(board, &Recipe::default())
}

/// Builds a program for a board; quick when nothing changed.
///
/// All boards of a target triple share the path that cargo puts a program at, so the ELF file is copied to a
/// path of its own before the next build may begin: [`Firmware::elf`].
///
/// # Errors
/// When cargo, its target or the sources are missing, the build fails, or its result cannot be kept or read.
pub fn build_as(board: &Board, recipe: &Recipe) -> Result<Firmware, BuildError> {
    let root = sources::root()?;
    let key = match (recipe.program.takes_updates(), recipe.update_key) {
        (false, _) => None,
        (true, Some(key)) => Some(key),
        (true, None) => update_key::chosen()?,
    };
    let build = Build::new(board, recipe, key);
    let kept = cargo::target_folder(&root).join(KEPT);
    fs::create_dir_all(&kept).map_err(|error| BuildError::Keep { path: kept.clone(), error })?;
    let lock = kept.join(format!(".{}-{}.lock", board.target, build.profile));
    let _lock = cargo::lock_file(&lock).map_err(|error| BuildError::Keep { path: lock, error })?;
    let output = child::output(build.command(&root)).map_err(BuildError::NoCargo)?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim_end().to_string();
        if cargo::lacks_target(&output) {
            return Err(BuildError::NoTarget { target: board.target });
        }
        return Err(BuildError::Failed { board: board.name, output });
    }
    let Some(built) = executable(&output.stdout, build.binary) else {
        let output = "no binary came out of a successful build".to_string();
        return Err(BuildError::Failed { board: board.name, output });
    };
    let elf = kept.join(build.file_name());
    keep(&built, &elf).map_err(|error| BuildError::Keep { path: elf.clone(), error })?;
    Firmware::open(&elf)
}

/// The folder of the ELF files, in the target folder; `firmware` there is cargo's own, named after the
/// profile.
const KEPT: &str = "boards";

/// Puts a copy of a file at a path, in one move; a copy that is there already stays.
fn keep(built: &Path, path: &Path) -> io::Result<()> {
    let bytes = fs::read(built)?;
    match fs::read(path) {
        Ok(there) if there == bytes => Ok(()),
        _ => goldcrest_files::write(path, &bytes),
    }
}

/// What cargo is told.
struct Build<'b> {
    board: &'b Board,
    binary: &'static str,
    features: Vec<&'static str>,
    profile: &'static str,
    /// Names of the kernels to build in, with spaces between; none: those of the core.
    kernels: Option<String>,
    /// Environment of the build that changes the program; none: the variable is not set.
    variables: [(&'static str, Option<OsString>); 2],
}

/// Names of the kernels to build in, for the firmware's build script.
const KERNELS: &str = "FIRMWARE_KERNELS";
/// Level of the logs.
const LOG_LEVEL: &str = "DEFMT_LOG";

impl<'b> Build<'b> {
    fn new(board: &'b Board, recipe: &Recipe, key: Option<PublicKey>) -> Self {
        let (binary, feature) = match recipe.program {
            Program::Application => ("application", Some("emulated")),
            Program::Flashed => ("application", None),
            Program::Inference => ("inference", Some("inference")),
            Program::Sections => ("inference", Some("sections")),
        };
        // A key makes the firmware take signed models only, and brings the code that looks.
        let signature = key.map(|_| "signature");
        let key = key.map(|key| key.to_string().into());
        let small = recipe.small.then_some("small");
        Self {
            board,
            binary,
            features: [Some(board.name), feature, signature, small].into_iter().flatten().collect(),
            profile: if recipe.small { "firmware-small" } else { "firmware" },
            kernels: recipe.kernels.as_ref().map(|kernels| kernels.join(" ")),
            variables: [(update_key::VARIABLE, key), (LOG_LEVEL, env::var_os(LOG_LEVEL))],
        }
    }

    fn command(&self, root: &Path) -> Command {
        let mut command = cargo::command(root, self.board.rustflags);
        command
            .args(["build", "--package", "goldcrest-firmware", "--profile", self.profile])
            .args(["--target", self.board.target, "--features", &self.features.join(",")])
            .args(["--bin", self.binary, "--message-format=json-render-diagnostics"]);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None if *name == LOG_LEVEL => command.env(name, "info"),
                None => command.env_remove(name),
            };
        }
        // Cargo's setting for one build; what the environment has would stand above it.
        command.env_remove(KERNELS);
        if let Some(kernels) = &self.kernels {
            command.args(["--config", &format!("env.{KERNELS}={kernels:?}")]);
        }
        command
    }

    /// A name that no other build has: `BOARD-application-emulated.elf`, with a hash of the kernels, the key
    /// and the level of logs where they are not the usual ones.
    fn file_name(&self) -> String {
        let mut parts = vec![self.board.name, self.binary];
        parts.extend(
            self.features.iter().filter(|&&feature| feature != self.board.name && feature != self.binary),
        );
        let mut name = parts.join("-");
        if self.kernels.is_some() || self.variables.iter().any(|(_, value)| value.is_some()) {
            let hash = Sha256::digest(format!("{:?} {:?}", self.kernels, self.variables));
            name.push('-');
            name.extend(hash.iter().take(6).map(|byte| format!("{byte:02x}")));
        }
        name + ".elf"
    }
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
        let flash_bytes = programmed(&elf, &bytes).map_err(|error| problem(error.to_string()))?;
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

/// Bytes that are programmed into flash.
fn programmed(elf: &ElfFile32<'_, object::Endianness>, bytes: &[u8]) -> object::Result<u64> {
    let headers = elf.elf_header().program_headers(elf.endian(), bytes)?;
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
    Ok(if packed { sum } else { last.saturating_sub(first) })
}

/// Bytes of flash that any program takes, by its ELF file: code, constants and initial values.
///
/// # Errors
/// When the file cannot be read.
pub fn program_bytes(path: &Path) -> Result<u64, BuildError> {
    let problem = |problem: String| BuildError::Elf { path: path.to_path_buf(), problem };
    let bytes = fs::read(path).map_err(|error| problem(error.to_string()))?;
    let elf = ElfFile32::<object::Endianness>::parse(&*bytes).map_err(|error| problem(error.to_string()))?;
    programmed(&elf, &bytes).map_err(|error| problem(error.to_string()))
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
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"application"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"application"},"executable":"/t/application"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "application"), Some(PathBuf::from("/t/application")));
        assert_eq!(executable(messages, "other"), None);
    }

    #[test]
    fn every_build_has_a_file_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        let kernels = [None, Some(vec![]), Some(vec!["conv"]), Some(vec!["conv", "dense"])];
        let programs = [Program::Application, Program::Flashed, Program::Inference, Program::Sections];
        let mut builds = 0;
        for board in crate::BOARDS {
            for program in programs {
                for small in [false, true] {
                    for kernels in kernels.clone() {
                        let recipe = Recipe { program, kernels, small, update_key: None };
                        for key in [None, Some(PublicKey([1; 32])), Some(PublicKey([2; 32]))] {
                            names.insert(Build::new(board, &recipe, key).file_name());
                            builds += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(names.len(), builds);
    }

    #[test]
    fn who_has_the_lock_is_waited_for_and_a_copy_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, built, kept) =
            (folder.path().join("lock"), folder.path().join("built"), folder.path().join("kept"));
        std::thread::scope(|scope| {
            for writer in 0..4u8 {
                let (lock, built, kept) = (&lock, &built, &kept);
                scope.spawn(move || {
                    for _ in 0..10 {
                        let _lock = cargo::lock_file(lock).unwrap();
                        // In two steps, as a linker writes: without the lock others would see half of it.
                        fs::write(built, [writer]).unwrap();
                        std::thread::yield_now();
                        fs::write(built, [writer; 1000]).unwrap();
                        keep(built, kept).unwrap();
                        assert_eq!(fs::read(kept).unwrap(), [writer; 1000]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_file_that_is_no_firmware_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"not an ELF file").unwrap();
        let message = Firmware::open(file.path()).unwrap_err().to_string();
        assert!(message.contains(&*file.path().to_string_lossy()), "{message}");
    }
}
