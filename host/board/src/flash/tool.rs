//! Running `probe-rs` and `espflash`, and what their errors mean to somebody with a board on the desk.

use std::io;
use std::process::{Command, Stdio};

use super::steps::Step;
use crate::probe::{self, Probe};
use crate::table::{Board, Method};

/// Why a tool did not do what it was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// Not on the search path.
    #[error("{program} is not installed; run `{}`", install(.program))]
    NotInstalled {
        /// The tool.
        program: &'static str,
    },
    /// It does not start.
    #[error("{program} could not be started: {error}")]
    Start {
        /// The tool.
        program: &'static str,
        /// Why.
        error: String,
    },
    /// No debug probe.
    #[error(
        "no debug probe was found: plug in the board's debug USB port, with a cable that carries data \
         (`goldcrest devices` lists probes)"
    )]
    NoProbe,
    /// A debug probe that does not open.
    #[error("the debug probe does not open; probe-rs says: {said}")]
    ProbeFails {
        /// What it said.
        said: String,
    },
    /// A probe or port that this user may not open.
    #[error(
        "no permission to use the {what}; add this line to /etc/udev/rules.d/69-goldcrest.rules: {udev} ; \
         then run `sudo udevadm control --reload && sudo udevadm trigger` and plug the board in again"
    )]
    NoPermission {
        /// Its name.
        what: String,
        /// The line that allows it.
        udev: String,
    },
    /// More than one.
    #[error(
        "more than one debug probe is plugged in; choose one with --probe VID:PID:SERIAL (`goldcrest \
         devices` lists them)"
    )]
    ManyProbes,
    /// Another program has it.
    #[error("another program uses the debug probe; close its debugger or monitor")]
    Busy,
    /// No serial port, or not that one.
    #[error(
        "espflash finds no board at the serial port; plug it in and look at `goldcrest devices` ({said})"
    )]
    NoPort {
        /// What it said.
        said: String,
    },
    /// Another part, or none.
    #[error(
        "this is not the expected {chip}, or it is not connected: check that it is the board that --board \
         names, its power and its wires ({said})"
    )]
    WrongChip {
        /// The part that was expected.
        chip: String,
        /// What it said.
        said: String,
    },
    /// Protected against reading and writing.
    #[error(
        "the {chip} is locked against debuggers; unlocking erases all of it, keys and settings included: \
         {unlock}"
    )]
    Locked {
        /// The part.
        chip: String,
        /// The command to type.
        unlock: String,
    },
    /// Too old a tool.
    #[error("the installed {program} does not know the {chip}; run `{}` for a newer one", install(.program))]
    UnknownChip {
        /// The tool.
        program: &'static str,
        /// The part.
        chip: String,
    },
    /// Verification failed.
    #[error(
        "the flash does not hold what was built; flash it (without --verify-only), and if this comes again \
         the flash is worn out or the wires are bad"
    )]
    Differs,
    /// Anything else.
    #[error("{program} failed: {said}")]
    Failed {
        /// The tool.
        program: &'static str,
        /// What it said.
        said: String,
    },
}

impl ToolError {
    /// Whether a part is missing, and not a run that failed.
    pub fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::NotInstalled { .. }
                | Self::NoProbe
                | Self::ProbeFails { .. }
                | Self::NoPermission { .. }
                | Self::ManyProbes
                | Self::NoPort { .. }
                | Self::UnknownChip { .. }
        )
    }
}

/// The tool that keeps a board from being flashed; none where one of its methods can be used.
pub fn missing(board: &Board) -> Option<ToolError> {
    let problems: Option<Vec<_>> =
        board.flash.as_ref()?.methods.iter().map(|&method| find(method).err()).collect();
    problems?.into_iter().next()
}

/// Looks for the tool of a method, without running it.
///
/// # Errors
/// When it is not on the search path.
pub fn find(method: Method) -> Result<(), ToolError> {
    let Some(program) = method.program() else { return Ok(()) };
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| folder.join(&file).is_file()) {
        true => Ok(()),
        false => Err(ToolError::NotInstalled { program }),
    }
}

fn install(program: &str) -> &'static str {
    match program {
        "espflash" => "cargo install espflash --locked",
        _ => probe::INSTALL,
    }
}

/// Runs a step for a part to its end.
///
/// # Errors
/// What went wrong, in words that say what to do.
pub fn run(step: &Step, chip: &str) -> Result<(), ToolError> {
    let program = step.program;
    let output = Command::new(program)
        .args(&step.arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ToolError::NotInstalled { program },
            _ => ToolError::Start { program, error: error.to_string() },
        })?;
    let text =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // `probe-rs verify` says in words alone that the flash differs.
    let said = step.expects.is_none_or(|words| text.contains(words));
    if output.status.success() && said {
        return Ok(());
    }
    let unreachable = || {
        let probes = probe::list().unwrap_or_default();
        probes.into_iter().find(|probe| !probe.accessible)
    };
    Err(diagnose(program, chip, &text, unreachable))
}

/// What the output of a failed tool means. `inaccessible` looks for a probe that this user may not open.
fn diagnose(
    program: &'static str,
    chip: &str,
    text: &str,
    inaccessible: impl Fn() -> Option<Probe>,
) -> ToolError {
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    let (said, chip) = (summary(text), chip.to_string());
    if program == "espflash" {
        return match () {
            () if says(&["Permission denied"]) => {
                let (what, udev) =
                    ("serial port".to_string(), r#"SUBSYSTEM=="tty", TAG+="uaccess""#.to_string());
                ToolError::NoPermission { what, udev }
            }
            () if says(&[
                "No serial ports could be detected",
                "The serial port '",
                "No serial port was provided",
            ]) =>
            {
                ToolError::NoPort { said }
            }
            () if says(&["does not match the detected chip"]) => ToolError::WrongChip { chip, said },
            () if says(&["Verification of flash content failed"]) => ToolError::Differs,
            () => ToolError::Failed { program, said },
        };
    }
    match () {
        () if says(&["required permissions were not given", "lacked the permission"]) => {
            let unlock = format!("probe-rs erase --chip {chip} --allow-erase-all");
            ToolError::Locked { chip, unlock }
        }
        () if says(&["Use '--probe VID:PID'", "probes were found"]) => ToolError::ManyProbes,
        () if says(&["already in use"]) => ToolError::Busy,
        () if says(&["Verification failed: contents do not match", "Flash content verification failed"]) => {
            ToolError::Differs
        }
        () if says(&["was not found in the list of known targets", "was not found in the database"]) => {
            ToolError::UnknownChip { program, chip }
        }
        () if says(&[
            "Probe not found",
            "No connected probes",
            "Failed to open probe",
            "could not be opened",
            "Permission denied",
        ]) =>
        {
            match inaccessible() {
                Some(probe) => {
                    let vendor = probe.id.get(..4).unwrap_or("0483");
                    let udev = format!(r#"SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", TAG+="uaccess""#);
                    ToolError::NoPermission { what: format!("debug probe {}", probe.name), udev }
                }
                // What else keeps it closed, such as its own firmware's age, the tool says best.
                None if says(&["Probe not found", "No connected probes"]) => ToolError::NoProbe,
                None => ToolError::ProbeFails { said },
            }
        }
        // Of another part the debug port, the memory or the routine that writes flash does not answer.
        () if says(&[
            "Connecting to the chip was unsuccessful",
            "Failed to find or attach to the target",
            "No flash memory contains the entire requested memory range",
            "The initialization of the flash algorithm failed",
        ]) =>
        {
            ToolError::WrongChip { chip, said }
        }
        () => ToolError::Failed { program, said },
    }
}

/// The end of what a tool said, in one line.
fn summary(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_matches(|c: char| c.is_whitespace() || "│╰─▶×".contains(c)))
        // Progress and hints that are not errors.
        .filter(|line| {
            !line.is_empty() && *line != "Caused by:" && !line.contains("WARN") && !line.contains("INFO")
        })
        .collect();
    let from =
        lines.iter().position(|line| line.starts_with("Error")).unwrap_or(lines.len().saturating_sub(3));
    let said = lines[from..].iter().take(6).copied().collect::<Vec<_>>().join(" ");
    if said.is_empty() { "it gives no reason".to_string() } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_probe_rs(text: &str) -> ToolError {
        diagnose("probe-rs", "STM32F446RETx", text, || None)
    }

    /// Texts as probe-rs 0.32 prints them.
    #[test]
    fn errors_of_probe_rs_are_understood() {
        let none = " WARN probe_rs::util::setup_hints: If your probe is plugged in but not listed, or shown \
             as inaccessible, it is most likely a permissions problem.\nError: Probe not found\n";
        assert_eq!(of_probe_rs(none), ToolError::NoProbe);
        let old = "Error: Failed to open probe: The debug probe could not be created.\n\nCaused by:\n    0: \
             The firmware on the probe is outdated, and not supported by probe-rs. The minimum supported \
             firmware version is 26.\n";
        let told = of_probe_rs(old).to_string();
        assert!(
            told.contains("does not open") && told.contains("minimum supported firmware version is 26"),
            "{told}"
        );
        let locked = "Error: Connecting to the chip was unsuccessful: An ARM specific error occurred.: An \
             operation could not be performed because it lacked the permission to do so: erase_all\n";
        assert!(matches!(of_probe_rs(locked), ToolError::Locked { .. }));
        let locked = of_probe_rs(
            "Error: Connecting to the chip was unsuccessful: An operation was not performed because the \
             required permissions were not given: erase_all.\n",
        );
        assert!(
            locked.to_string().contains("probe-rs erase --chip STM32F446RETx --allow-erase-all"),
            "{locked}"
        );
        let many = "Error: The following devices were found:\n[0]: STLink V2 -- 0483:3748:1 (ST-LINK)\n[1]: \
             STLink V2 -- 0483:3748:2 (ST-LINK)\n\nUse '--probe VID:PID' or '--probe VID:PID:Serial' to \
             select one.\n";
        assert_eq!(of_probe_rs(many), ToolError::ManyProbes);
        let wrong = of_probe_rs(
            "Error: Failed to flash\n\nCaused by:\n    0: No flash memory contains the entire requested \
             memory range 0x08040000..0x08050000.\n",
        );
        assert!(
            matches!(&wrong, ToolError::WrongChip { said, .. } if said.contains("0x08040000")),
            "{wrong}"
        );
        let attach = "Error: Connecting to the chip was unsuccessful: The debug probe encountered an \
             error.: Failed to find or attach to the target. Please check the wiring before retrying.\n";
        assert!(matches!(of_probe_rs(attach), ToolError::WrongChip { .. }));
        assert_eq!(of_probe_rs("Verification failed: contents do not match\n"), ToolError::Differs);
        assert_eq!(of_probe_rs("Error: Probe is already in use\n"), ToolError::Busy);
        let unknown = of_probe_rs(
            "Error: The requested chip 'STM32F446RETx' was not found in the list of known targets.\n",
        );
        assert!(unknown.is_missing() && unknown.to_string().contains(probe::INSTALL), "{unknown}");
        let other = of_probe_rs("Error: Something new\n\nCaused by:\n    0: deeper\n").to_string();
        assert_eq!(other, "probe-rs failed: Error: Something new 0: deeper");
    }

    #[test]
    fn a_probe_without_permission_gets_its_udev_line() {
        let id = "0d28:0204-0:990636".to_string();
        let probe =
            || Some(Probe { name: "BBC micro:bit CMSIS-DAP".into(), id: id.clone(), accessible: false });
        let text = "Error: Failed to open probe: The debug probe could not be created.\n";
        let error = diagnose("probe-rs", "nRF52833_xxAA", text, probe).to_string();
        assert!(
            error.contains(r#"ATTRS{idVendor}=="0d28", TAG+="uaccess""#) && error.contains("micro:bit"),
            "{error}"
        );
    }

    /// Texts as espflash 4 prints them.
    #[test]
    fn errors_of_espflash_are_understood() {
        let of = |text: &str| diagnose("espflash", "esp32c3", text, || None);
        let none = "Error: espflash::no_serial\n\n  × No serial ports could be detected\n  help: Make sure \
             you have connected a device to the host system.\n";
        assert!(matches!(of(none), ToolError::NoPort { .. }));
        let wrong = "Error: espflash::chip_mismatch\n\n  × Chip provided with `-c/--chip` (esp32c3) does \
             not match the detected chip (esp32s3)\n";
        assert!(matches!(&of(wrong), ToolError::WrongChip { said, .. } if said.contains("esp32s3")));
        let verify = "Error: espflash::verify_failed\n\n  × Verification of flash content failed\n";
        assert_eq!(of(verify), ToolError::Differs);
        let denied = "Error:   × Failed to open serial port /dev/ttyUSB0\n  ╰─▶ Permission denied\n";
        assert!(of(denied).to_string().contains(r#"SUBSYSTEM=="tty""#));
    }

    #[test]
    fn a_tool_that_is_not_there_is_named_with_its_command() {
        let step = Step { program: "goldcrest-no-such-tool", arguments: vec![], expects: None };
        let error = run(&step, "x").unwrap_err();
        assert!(error.is_missing() && error.to_string().contains("cargo install"), "{error}");
    }
}
