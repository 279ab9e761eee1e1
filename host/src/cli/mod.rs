//! The command line: one file per subcommand with its arguments, one library call and printing.
//!
//! Exit codes: 0 done (and equal, for `verify` and `emulate`), 1 a difference or a failed run,
//! 2 wrong usage or a missing part.

use std::process::ExitCode;

/// How a subcommand prints: prose and progress to standard error, with `--json` one object to
/// standard output, else a table to standard output.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Output {
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

/// A missing part or a wrong argument: exit code 2 where other errors are 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of a failed subcommand.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}
