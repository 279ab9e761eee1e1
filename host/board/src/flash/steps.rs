//! The files and commands that write a board, or compare it, for each method.

use std::fs;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::{FlashError, drive, hex, tool, uf2};
use crate::firmware::Firmware;
use crate::table::{Board, Flash, Method};

/// A command of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The tool.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Words that it prints when it did what it should, beside ending with 0.
    pub expects: Option<&'static str>,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.program, self.arguments.join(" "))
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run a tool.
    Run(Step),
    /// Copy a file to the drive of a boot loader, for a family of UF2 or, with none, as HEX.
    Copy {
        /// The file.
        file: PathBuf,
        /// UF2 family.
        family: Option<u32>,
    },
    /// Read flash back through espflash and compare it with a file.
    Compare {
        /// The file.
        reference: PathBuf,
        /// Offset in the flash chip.
        offset: u32,
    },
}

/// How to reach the board.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// Which probe, as probe-rs takes it.
    pub probe: Option<String>,
    /// Serial port, for espflash.
    pub port: Option<String>,
    /// Drive, where it is not to be looked for.
    pub drive: Option<PathBuf>,
}

/// Files to make, and what to do with them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The part.
    pub chip: &'static str,
    /// Files and what they hold.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// What to do, in order.
    pub actions: Vec<Action>,
    ends: Ends,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The board.
    pub board: &'a Board,
    /// How it is written.
    pub method: Method,
    /// The firmware.
    pub firmware: &'a Firmware,
    /// What is written; with the firmware's segments where `with_firmware`.
    pub contents: &'a Contents,
    /// Whether the firmware is written too.
    pub with_firmware: bool,
    /// Only compare.
    pub verify_only: bool,
}

/// Plans an order.
///
/// # Errors
/// What the method needs and does not have.
pub fn plan(order: Order, ends: Ends) -> Result<Plan, FlashError> {
    let flash = order.board.flash.as_ref().ok_or(FlashError::Emulated { board: order.board.name })?;
    let is_espressif = flash.methods.contains(&Method::Espflash);
    let (files, actions) = match order.method {
        Method::Probe if is_espressif => espressif_probe(&order, flash, &ends),
        Method::Probe => probe(&order, flash, &ends),
        Method::Uf2 { .. } | Method::Hex if order.verify_only => return Err(FlashError::CannotVerify),
        Method::Uf2 { family } => {
            let (file, bytes) = (order.file("uf2"), uf2::write(order.contents, family));
            let problem = |problem| FlashError::File { path: file.display().to_string(), problem };
            if uf2::read(&bytes, family).map_err(problem)? != order.contents.pages::<{ uf2::PAGE }>() {
                return Err(problem("read back it is not what was written".to_string()));
            }
            (vec![(file.clone(), bytes)], vec![Action::Copy { file, family: Some(family) }])
        }
        Method::Hex => {
            let file = order.file("hex");
            let bytes = hex::write(order.contents).into_bytes();
            (vec![(file.clone(), bytes)], vec![Action::Copy { file, family: None }])
        }
        Method::Espflash => {
            let port = ends.port.as_deref().ok_or(FlashError::NoPort)?;
            espflash(&order, flash, port)
        }
    };
    Ok(Plan { chip: flash.chip, files, actions, ends })
}

impl Order<'_> {
    /// A file beside the firmware's ELF file.
    fn file(&self, extension: &str) -> PathBuf {
        self.firmware.elf.with_extension(extension)
    }

    /// Runs of 4 KiB sectors that the model and the ends of the slots fill: offset from the start of the
    /// flash, bytes.
    fn model_runs(&self, flash: &Flash) -> Vec<(u32, Vec<u8>)> {
        let mut runs: Vec<(u32, Vec<u8>)> = Vec::new();
        for (address, sector) in self.contents.model().pages::<4096>() {
            let offset = address - flash.start;
            match runs.last_mut() {
                Some((start, bytes)) if *start + bytes.len() as u32 == offset => bytes.extend(sector),
                _ => runs.push((offset, sector.to_vec())),
            }
        }
        runs
    }

    fn model_files(&self, flash: &Flash) -> Vec<(u32, PathBuf, Vec<u8>)> {
        let runs = self.model_runs(flash).into_iter();
        runs.map(|(offset, bytes)| (offset, self.file(&format!("{offset:x}.bin")), bytes)).collect()
    }
}

type Work = (Vec<(PathBuf, Vec<u8>)>, Vec<Action>);

fn arguments(words: &[&str], more: &[String]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).chain(more.iter().cloned()).collect()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn probe_rs(command: &str, flash: &Flash, ends: &Ends, more: &[&str]) -> Step {
    let mut words = vec![command, "--non-interactive", "--chip", flash.chip];
    if let Some(probe) = &ends.probe {
        words.extend(["--probe", probe]);
    }
    words.extend(more);
    let expects = (command == "verify").then_some("Verification successful");
    Step { program: "probe-rs", arguments: arguments(&words, &[]), expects }
}

/// As Intel HEX: of ELF files probe-rs takes only segments that have sections, which a device image has not.
fn probe(order: &Order, flash: &Flash, ends: &Ends) -> Work {
    let file = order.file("hex");
    let name = path(&file);
    let actions = if order.verify_only {
        vec![Action::Run(probe_rs("verify", flash, ends, &["--binary-format", "hex", &name]))]
    } else {
        let more = ["--disable-progressbars", "--verify", "--binary-format", "hex", &name];
        vec![
            Action::Run(probe_rs("download", flash, ends, &more)),
            Action::Run(probe_rs("reset", flash, ends, &[])),
        ]
    };
    (vec![(file, hex::write(order.contents).into_bytes())], actions)
}

/// The firmware as the image that Espressif's boot loader starts, which probe-rs makes of the ELF file; the
/// model at its offset in the flash chip.
fn espressif_probe(order: &Order, flash: &Flash, ends: &Ends) -> Work {
    let (mut files, mut actions) = (Vec::new(), Vec::new());
    let (command, options) = match order.verify_only {
        true => ("verify", &[][..]),
        false => ("download", &["--disable-progressbars", "--verify"][..]),
    };
    let mut run = |more: &[&str]| {
        actions.push(Action::Run(probe_rs(command, flash, ends, &[options, more].concat())));
    };
    if order.with_firmware {
        run(&["--binary-format", "idf", &path(&order.firmware.elf)]);
    }
    for (offset, file, bytes) in order.model_files(flash) {
        run(&["--binary-format", "bin", "--base-address", &format!("{offset:#x}"), &path(&file)]);
        files.push((file, bytes));
    }
    if !order.verify_only {
        actions.push(Action::Run(probe_rs("reset", flash, ends, &[])));
    }
    (files, actions)
}

fn espflash(order: &Order, flash: &Flash, port: &str) -> Work {
    let connection = ["--non-interactive", "--chip", flash.chip, "--port", port];
    let step = |command: &str, connection: &[&str], more: &[String]| {
        let words = [&[command][..], connection].concat();
        Action::Run(Step { program: "espflash", arguments: arguments(&words, more), expects: None })
    };
    let (mut files, mut actions) = (Vec::new(), Vec::new());
    let elf = path(&order.firmware.elf);
    if order.with_firmware && order.verify_only {
        let reference = order.file("bin");
        let more = [elf, path(&reference)];
        actions.push(step("save-image", &["--chip", flash.chip, "--merge", "--skip-padding"], &more));
        actions.push(Action::Compare { reference, offset: 0 });
    } else if order.with_firmware {
        actions.push(step("flash", &connection, &[elf]));
    }
    for (offset, file, bytes) in order.model_files(flash) {
        actions.push(match order.verify_only {
            true => Action::Compare { reference: file.clone(), offset },
            false => step("write-bin", &connection, &[format!("{offset:#x}"), path(&file)]),
        });
        files.push((file, bytes));
    }
    (files, actions)
}

impl Plan {
    /// Writes the files.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub fn make_files(&self) -> Result<(), FlashError> {
        for (file, bytes) in &self.files {
            goldcrest_files::write(file, bytes).map_err(|error| self.problem(file, error.to_string()))?;
        }
        Ok(())
    }

    /// Does everything; `say` hears of each action before it begins.
    ///
    /// # Errors
    /// The first thing that failed. What was done before stays done.
    pub fn execute(&self, say: &mut dyn FnMut(&str)) -> Result<(), FlashError> {
        self.make_files()?;
        for action in &self.actions {
            say(&action.to_string());
            match action {
                Action::Run(step) => tool::run(step, self.chip)?,
                Action::Copy { file, family } => self.copy(file, *family)?,
                Action::Compare { reference, offset } => self.compare(reference, *offset)?,
            }
        }
        Ok(())
    }

    fn problem(&self, file: &Path, problem: String) -> FlashError {
        FlashError::File { path: path(file), problem }
    }

    fn copy(&self, file: &Path, family: Option<u32>) -> Result<(), FlashError> {
        let given = self.ends.drive.as_deref();
        let drive = match family {
            Some(id) => {
                let unknown = || self.problem(file, format!("no part is known of the UF2 family {id:#010x}"));
                drive::uf2(uf2::family(id).ok_or_else(unknown)?, given, file)?
            }
            None => drive::microbit(given, file)?,
        };
        let bytes = fs::read(file).map_err(|error| self.problem(file, error.to_string()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        drive::copy(&drive, &name, &bytes)?;
        Ok(())
    }

    /// Reads as many bytes as a file has and compares them.
    fn compare(&self, reference: &Path, offset: u32) -> Result<(), FlashError> {
        let expected = fs::read(reference).map_err(|error| self.problem(reference, error.to_string()))?;
        let into = reference.with_extension("read");
        let port = self.ends.port.as_deref().ok_or(FlashError::NoPort)?;
        let (at, bytes) = (format!("{offset:#x}"), expected.len().to_string());
        let words = [
            "read-flash",
            "--non-interactive",
            "--chip",
            self.chip,
            "--port",
            port,
            &at,
            &bytes,
            &path(&into),
        ];
        tool::run(
            &Step { program: "espflash", arguments: arguments(&words, &[]), expects: None },
            self.chip,
        )?;
        let found = fs::read(&into).map_err(|error| self.problem(&into, error.to_string()))?;
        if found != expected {
            return Err(tool::ToolError::Differs.into());
        }
        Ok(())
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(step) => write!(f, "{step}"),
            Self::Copy { file, .. } => write!(f, "copy {} to the board's drive", file.display()),
            Self::Compare { reference, offset } => {
                write!(f, "espflash read-flash {offset:#x}, compared with {}", reference.display())
            }
        }
    }
}
