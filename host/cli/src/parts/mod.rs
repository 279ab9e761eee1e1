//! What Goldcrest needs beside itself: finds each part, and installs what is missing where that is
//! possible without asking.
//!
//! A part is one file with two functions, [`Part::check`] and [`Part::fix`]; [`PARTS`] lists them.

mod cuda;
mod pip;
mod qemu;
mod runtime;
mod rust_targets;

use serde::Serialize;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The part's name.
    pub name: &'static str,
    /// Whether it can be used.
    pub found: bool,
    /// Its version, or what there is of it.
    pub version: Option<String>,
    /// What to type when it is missing.
    pub hint: Option<String>,
}

/// Outcome of a check: `Ok(version)`, or `Err(hint)` that says what to type.
pub type Check = Result<String, String>;

/// One thing that Goldcrest needs from the machine.
pub struct Part {
    /// Shown in the table.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    /// Looks for it; changes nothing.
    pub check: fn() -> Check,
    /// Installs it, without questions. The error says why not.
    pub fix: fn() -> Result<(), String>,
}

/// Every part, in the order in which one may need the other.
pub const PARTS: &[Part] = &[rust_targets::PART, pip::PART, runtime::PART, qemu::ARM, qemu::RISCV];

/// What training on a GPU needs besides.
pub const CUDA_PARTS: &[Part] = &[cuda::DRIVER, cuda::RUNTIME];

impl Part {
    /// Checks the part and, with `fix`, installs it when it is missing. `say` hears of every
    /// installation before it starts.
    pub fn examine(&self, fix: bool, say: &mut dyn FnMut(&str)) -> Finding {
        let mut outcome = (self.check)();
        if let (Err(hint), true) = (&outcome, fix) {
            say(&format!("{}: missing, installing it for {}", self.name, self.purpose));
            outcome = match (self.fix)() {
                Ok(()) => (self.check)(),
                Err(problem) => Err(format!("{problem}; {hint}")),
            };
        }
        match outcome {
            Ok(version) => Finding { name: self.name, found: true, version: Some(version), hint: None },
            Err(hint) => Finding { name: self.name, found: false, version: None, hint: Some(hint) },
        }
    }
}

/// A folder in which nobody leaves programs: Python runs the modules of the current folder.
const NOWHERE: &str = std::path::MAIN_SEPARATOR_STR;

/// Runs a program and returns the first line it printed, or why it could not.
fn first_line(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .current_dir(NOWHERE)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    } else {
        // The last line of a Python error says what it is.
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().last().map_or_else(String::new, |line| format!(": {line}"));
        Err(format!("{program} {}: {}{said}", arguments.join(" "), output.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: Part = Part {
        name: "p",
        purpose: "tests",
        check: || Ok("1.0".into()),
        fix: || panic!("must not be installed"),
    };
    const STUBBORN: Part = Part {
        name: "s",
        purpose: "tests",
        check: || Err("type this".into()),
        fix: || Err("not allowed".into()),
    };

    #[test]
    fn a_present_part_is_left_alone() {
        let finding = PRESENT.examine(true, &mut |_| panic!("nothing to say"));
        assert_eq!((finding.found, finding.version.as_deref()), (true, Some("1.0")));
    }

    #[test]
    fn a_part_that_cannot_be_installed_says_why_and_what_to_type() {
        let mut said = Vec::new();
        let finding = STUBBORN.examine(true, &mut |line| said.push(line.to_owned()));
        assert!(!finding.found);
        assert_eq!(finding.hint.as_deref(), Some("not allowed; type this"));
        assert_eq!(said, ["s: missing, installing it for tests"]);
    }

    #[test]
    fn without_fix_nothing_is_installed() {
        let finding = STUBBORN.examine(false, &mut |_| panic!("nothing to say"));
        assert_eq!(finding.hint.as_deref(), Some("type this"));
    }

    #[test]
    fn programs_run_where_nobody_leaves_modules() {
        assert_eq!(first_line("pwd", &[]).unwrap(), NOWHERE);
    }

    #[test]
    fn a_missing_program_is_an_error_not_a_panic() {
        let error = first_line("goldcrest-no-such-program", &[]).unwrap_err();
        assert!(error.starts_with("goldcrest-no-such-program: "), "{error}");
    }
}
