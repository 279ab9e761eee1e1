//! The command line: one file per subcommand with its arguments, one library call and printing.
//!
//! Exit codes: 0 done (and equal, for `verify` and `emulate`), 1 a difference or a failed run,
//! 2 wrong usage or a missing part.
#![deny(unsafe_code)]

pub mod bench;
pub mod boards;
mod data;
pub mod demo;
pub mod devices;
pub mod doctor;
pub mod emulate;
pub mod eval;
pub mod flash;
pub mod infer;
pub mod monitor;
pub mod pack;
pub mod packing;
pub mod parts;
mod progress;
pub mod quantize;
mod recipe;
pub mod sweep;
pub mod table;
pub mod train;
pub mod verify;
pub mod whole_way;

use std::process::ExitCode;

use clap::Parser;

/// Train a CNN, quantize it to int8, prove it bit for bit, run it on a microcontroller
#[derive(Debug, Parser)]
#[command(name = "goldcrest", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Demo(demo::Args),
    Doctor(doctor::Args),
    Train(Box<train::Args>),
    Sweep(sweep::Args),
    Eval(eval::Args),
    Quantize(quantize::Args),
    Verify(verify::Args),
    Pack(pack::Args),
    Boards(boards::Args),
    Bench(bench::Args),
    Emulate(emulate::Args),
    Flash(Box<flash::Args>),
    Infer(infer::Args),
    Monitor(monitor::Args),
    Devices(devices::Args),
}

impl Cli {
    /// Runs the chosen subcommand. An error is printed as one line with its causes.
    pub fn run(&self) -> ExitCode {
        let outcome = match &self.command {
            Command::Demo(args) => demo::run(args, self.output),
            Command::Doctor(args) => doctor::run(args, self.output),
            Command::Train(args) => train::run(args, self.output),
            Command::Sweep(args) => sweep::run(args, self.output),
            Command::Eval(args) => eval::run(args, self.output),
            Command::Quantize(args) => quantize::run(args, self.output),
            Command::Verify(args) => verify::run(args, self.output),
            Command::Pack(args) => pack::run(args, self.output),
            Command::Boards(args) => boards::run(args, self.output),
            Command::Bench(args) => bench::run(args, self.output),
            Command::Emulate(args) => emulate::run(args, self.output),
            Command::Flash(args) => flash::run(args, self.output),
            Command::Infer(args) => infer::run(args, self.output),
            Command::Monitor(args) => monitor::run(args, self.output),
            Command::Devices(args) => devices::run(args, self.output),
        };
        outcome.unwrap_or_else(|error| {
            eprintln!("error: {}", one_line(&error));
            exit_code(&error)
        })
    }
}

/// An error and its causes in one line. Many errors tell their cause themselves; it is told once.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line = if line.is_empty() { cause } else { format!("{line}: {cause}") };
        }
    }
    line
}

/// How a subcommand prints: progress and prose to standard error; the result to standard output,
/// as a table for people or, with `--json`, as one object.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Output {
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Output {
    /// Prints a result: `json` with `--json`, else what `text` makes.
    pub fn print<T: std::fmt::Display>(self, json: &serde_json::Value, text: impl FnOnce() -> T) {
        use std::io::Write;
        let result = if self.json { format!("{json}\n") } else { text().to_string() };
        // A reader that went away (`| head`) is no failure of the run.
        let _ = std::io::stdout().lock().write_all(result.as_bytes());
    }
}

/// A missing part or a wrong argument: exit code 2 where other errors are 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of a failed subcommand.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::other("no such file");
        let told = anyhow::Error::new(missing()).context("a.jpg: no such file");
        assert_eq!(one_line(&told), "a.jpg: no such file");
        let apart = Err::<(), _>(missing()).context("a.jpg").unwrap_err();
        assert_eq!(one_line(&apart), "a.jpg: no such file");
    }
}
