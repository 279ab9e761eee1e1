//! QEMU: finding it and starting it with a firmware and a device image.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::child::{self, Handed};
use super::firmware::Firmware;
use super::segment;
use super::table::{BOARDS, Board, Machine};

/// Nanoseconds of virtual time per instruction are `2^ICOUNT_SHIFT`: a power of two far above the
/// resolution of the boards' timers (40 to 80 ns), so that ticks tell instructions exactly.
pub const ICOUNT_SHIFT: u32 = 8;

/// Why QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QemuError {
    /// Not installed.
    #[error(
        "{program} was not found; install it with `apt-get install {package}` (Debian, Ubuntu), `dnf \
         install {program}` (Fedora) or `brew install qemu` (macOS), or run `goldcrest doctor --fix`"
    )]
    Missing {
        /// The emulator's program.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// Installed, but it does not run.
    #[error("{program} could not be started: {error}")]
    Start {
        /// The emulator's program.
        program: &'static str,
        /// Why.
        error: io::Error,
    },
    /// No machine for a board.
    #[error("QEMU has no machine for {board}; emulated are {}", emulated_names())]
    NoMachine {
        /// The board.
        board: &'static str,
    },
    /// Too old for a machine.
    #[error("{program} {found} is too old: {board} needs version {}.{} or later", .needed[0], .needed[1])]
    TooOld {
        /// The emulator's program.
        program: &'static str,
        /// Its version.
        found: String,
        /// The board.
        board: &'static str,
        /// First version that will do.
        needed: [u32; 2],
    },
}

fn start_error(program: &'static str, error: io::Error) -> QemuError {
    let package = if program.ends_with("arm") { "qemu-system-arm" } else { "qemu-system-misc" };
    match error.kind() {
        io::ErrorKind::NotFound => QemuError::Missing { program, package },
        _ => QemuError::Start { program, error },
    }
}

/// The version of the installed emulator, such as `[10, 0, 2]`.
pub fn version(program: &'static str) -> Result<Vec<u32>, QemuError> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| start_error(program, error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| {
        let answer = text.lines().next().unwrap_or("nothing");
        let error = io::Error::other(format!("it answers --version with {answer:?}"));
        QemuError::Start { program, error }
    })
}

fn parse_version(text: &str) -> Option<Vec<u32>> {
    let text = text.strip_prefix("QEMU emulator version ")?;
    let number = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    number.split('.').map(|part| part.parse().ok()).collect()
}

fn emulated_names() -> String {
    let emulated = BOARDS.iter().filter(|board| board.machine.is_some());
    emulated.map(|board| board.name).collect::<Vec<_>>().join(", ")
}

/// The machine of a board.
///
/// # Errors
/// When the board is only a real one.
pub fn machine(board: &'static Board) -> Result<&'static Machine, QemuError> {
    board.machine.as_ref().ok_or(QemuError::NoMachine { board: board.name })
}

/// Whether the installed QEMU can run a board.
pub fn check(board: &'static Board) -> Result<(), QemuError> {
    let Machine { program, since, .. } = *machine(board)?;
    let found = version(program)?;
    if found.as_slice() >= since.as_slice() {
        return Ok(());
    }
    let found = found.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    Err(QemuError::TooOld { program, found, board: board.name, needed: since })
}

/// Starts QEMU without a serial line, until the program ends it; it says what it says on standard output
/// and standard error. A plugin of QEMU's writes into the file beside it.
pub fn start_alone(
    board: &'static Board,
    firmware: &Firmware,
    image: &[u8],
    plugin: Option<(&Path, Handed)>,
) -> Result<Child, QemuError> {
    let option = plugin.as_ref().map(|(path, out)| format!("{},out={}", quote(path), child::path(out)));
    let files = plugin.into_iter().map(|(_, out)| out).collect();
    start_with(board, firmware, image, files, |command| {
        if let Some(option) = option {
            command.args(["-plugin", &option]);
        }
    })
}

/// Starts QEMU: `line` is its end of the serial line, logs come on its standard output.
pub fn start(
    board: &'static Board,
    firmware: &Firmware,
    image: &[u8],
    line: Handed,
) -> Result<Child, QemuError> {
    let port = machine(board)?.serial_port;
    let serial = child::socket(&line);
    start_with(board, firmware, image, vec![line], |command| {
        command
            .args(["-icount", &format!("shift={ICOUNT_SHIFT}")])
            .args(["-chardev", &serial])
            .args(["-serial", "null"].repeat(port))
            .args(["-serial", "chardev:serial"]);
    })
}

/// Starts QEMU with a firmware, and with a device image as a [`segment`] at its slot's address.
fn start_with(
    board: &'static Board,
    firmware: &Firmware,
    image: &[u8],
    mut files: Vec<Handed>,
    complete: impl FnOnce(&mut Command),
) -> Result<Child, QemuError> {
    let machine = machine(board)?;
    let failed = |error| start_error(machine.program, error);
    let file = child::nameless(&segment::elf(firmware.slot_start as u32, image)).map_err(failed)?;
    let mut command = Command::new(machine.program);
    command
        .args(machine.arguments)
        .args(["-nodefaults", "-display", "none", "-monitor", "none"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg("-kernel")
        .arg(&firmware.elf)
        .args(["-device", &format!("loader,file={}", child::path(&file))])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    complete(&mut command);
    files.push(file);
    child::spawn(command, files).map_err(failed)
}

/// A path as the value of an option: a comma would end it; doubled, it belongs to it.
fn quote(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::DEFAULT;

    #[test]
    fn versions_are_read() {
        let text = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright";
        assert_eq!(parse_version(text), Some(vec![10, 0, 2]));
        assert_eq!(parse_version("QEMU emulator version 7.2"), Some(vec![7, 2]));
        assert_eq!(parse_version("bash: no such thing"), None);
        assert!(
            vec![7, 2, 22].as_slice() >= [7u32, 2].as_slice() && vec![6, 9].as_slice() < [7u32, 0].as_slice()
        );
    }

    #[test]
    fn a_board_that_is_only_real_has_no_machine() {
        let real = BOARDS.iter().find(|board| board.machine.is_none()).expect("a board without a machine");
        let message = check(real).unwrap_err().to_string();
        assert!(message.contains(real.name) && message.contains(DEFAULT), "{message}");
    }

    #[test]
    fn a_missing_emulator_says_what_to_install() {
        let message = version("qemu-system-goldcrest").unwrap_err().to_string();
        assert!(message.contains("apt-get install") && message.contains("doctor --fix"), "{message}");
    }
}
