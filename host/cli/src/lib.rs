//! The command line: one file per subcommand with its arguments, one library call and printing.
//!
//! Exit codes: 0 done (and equal, for `verify` and `emulate`), 1 a difference or a failed run,
//! 2 wrong usage or a missing part.
#![deny(unsafe_code)]

/// Prints a line on standard error, without control characters of the files and devices it tells of.
macro_rules! say {
    ($($text:tt)*) => { eprintln!("{}", $crate::plain(&format!($($text)*))) };
}

pub mod bench;
pub mod boards;
pub mod classify;
pub mod completions;
pub mod data;
pub mod data_check;
pub mod demo;
pub mod devices;
pub mod doctor;
pub mod emulate;
pub mod eval;
pub mod export;
pub mod flash;
pub mod import;
pub mod infer;
pub mod inspect;
pub mod keys;
pub mod man;
mod model_side;
pub mod monitor;
pub mod pack;
pub mod packing;
pub mod parts;
mod progress;
pub mod quantize;
mod recipe;
mod screen;
pub mod sweep;
pub mod table;
pub mod train;
pub mod verify;
mod whole_way;

use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

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
    Data(data_check::Args),
    Import(import::Args),
    Inspect(inspect::Args),
    Eval(eval::Args),
    Quantize(quantize::Args),
    Verify(verify::Args),
    Classify(classify::Args),
    Pack(pack::Args),
    Keys(keys::Args),
    Export(Box<export::Args>),
    Boards(boards::Args),
    Bench(bench::Args),
    Emulate(emulate::Args),
    Flash(Box<flash::Args>),
    Infer(infer::Args),
    Monitor(monitor::Args),
    Devices(devices::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Cli {
    /// Runs the chosen subcommand. An error is printed as one line with its causes.
    pub fn run(&self) -> ExitCode {
        let outcome = match &self.command {
            Command::Demo(args) => demo::run(args, self.output),
            Command::Doctor(args) => doctor::run(args, self.output),
            Command::Train(args) => train::run(args, self.output),
            Command::Sweep(args) => sweep::run(args, self.output),
            Command::Data(args) => data_check::run(args, self.output),
            Command::Import(args) => import::run(args, self.output),
            Command::Inspect(args) => inspect::run(args, self.output),
            Command::Classify(args) => classify::run(args, self.output),
            Command::Eval(args) => eval::run(args, self.output),
            Command::Quantize(args) => quantize::run(args, self.output),
            Command::Verify(args) => verify::run(args, self.output),
            Command::Pack(args) => pack::run(args, self.output),
            Command::Keys(args) => keys::run(args, self.output),
            Command::Export(args) => export::run(args, self.output),
            Command::Boards(args) => boards::run(args, self.output),
            Command::Bench(args) => bench::run(args, self.output),
            Command::Emulate(args) => emulate::run(args, self.output),
            Command::Flash(args) => flash::run(args, self.output),
            Command::Infer(args) => infer::run(args, self.output),
            Command::Monitor(args) => monitor::run(args, self.output),
            Command::Devices(args) => devices::run(args, self.output),
            Command::Completions(args) => completions::run(args, self.output),
            Command::Man(args) => man::run(args, self.output),
        };
        outcome.unwrap_or_else(|error| {
            let message = one_line(&error);
            say!("error: {message}");
            self.output.print_error(&message, &unusable(&error));
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
        let result = if self.json { format!("{json}\n") } else { plain(&text().to_string()).into_owned() };
        // A reader that went away (`| head`) is not a failure of the run.
        let _ = std::io::stdout().lock().write_all(result.as_bytes());
    }

    /// With `--json`, an error is an object too; with the pictures that it is about.
    fn print_error(self, message: &str, pictures: &[(String, String)]) {
        if self.json {
            let mut error = json!({ "message": message });
            if !pictures.is_empty() {
                let picture =
                    |(name, reason): &(String, String)| json!({ "picture": name, "reason": reason });
                error["pictures"] = pictures.iter().map(picture).collect();
            }
            self.print(&json!({ "error": error }), String::new);
        }
    }
}

/// Pictures that cannot be used, with the reasons, where an error is about them.
fn unusable(error: &anyhow::Error) -> Vec<(String, String)> {
    let pictures = error.chain().find_map(|cause| cause.downcast_ref::<goldcrest_data::DatasetError>());
    let pictures = pictures.map(goldcrest_data::DatasetError::pictures).unwrap_or_default();
    pictures.into_iter().map(|(name, reason)| (name.to_owned(), reason)).collect()
}

/// A text for a terminal: control characters, which files and devices can bring, become U+FFFD.
pub(crate) fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    let is_wild = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    match text.contains(is_wild) {
        true => text.replace(is_wild, "\u{fffd}").into(),
        false => text.into(),
    }
}

/// The command line as clap describes it.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses the command line. A mistake in it ends the process with exit code 2, with `--json` as an object.
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let json = std::env::args_os().any(|argument| argument == "--json");
        if error.use_stderr() {
            let text = error.to_string();
            let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
            Output { json }.print_error(message, &[]);
        }
        error.exit()
    })
}

/// Refuses to write a file over the one that is read.
pub(crate) fn refuse_same(input: &std::path::Path, output: &std::path::Path) -> Result<(), Usage> {
    match (input.canonicalize(), output.canonicalize()) {
        (Ok(from), Ok(to)) if from == to => {
            Err(Usage(format!("--out {} is the model that is read; write another file", output.display())))
        }
        _ => Ok(()),
    }
}

/// A missing part or a wrong argument: exit code 2 where other errors are 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code of a failed subcommand.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Usage>() || is_missing(error) { 2 } else { 1 })
}

/// Whether the data set, the model or another file is not there.
fn is_missing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let data = cause.downcast_ref::<goldcrest_data::DatasetError>();
        let io = cause.downcast_ref::<std::io::Error>();
        matches!(data, Some(goldcrest_data::DatasetError::Missing(_)))
            || io.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\r\u{9b}c\n\td"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c\n\td");
        assert!(matches!(plain("caf\u{e9}"), std::borrow::Cow::Borrowed(_)));
    }

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::other("no such file");
        let told = anyhow::Error::new(missing()).context("a.jpg: no such file");
        assert_eq!(one_line(&told), "a.jpg: no such file");
        let apart = Err::<(), _>(missing()).context("a.jpg").unwrap_err();
        assert_eq!(one_line(&apart), "a.jpg: no such file");
    }
}
