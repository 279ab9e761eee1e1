//! `goldcrest monitor`: what a firmware logs.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::infer::{PortArgs, port_error};
use super::{Output, Usage};
use crate::board::client::Transport;
use crate::board::log;
use crate::board::port::Line;

/// Show the logs of a firmware, decoded
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest monitor --port /dev/ttyACM1 --elf target/thumbv7em-none-eabihf/firmware/nucleo-f446re
  goldcrest monitor --port unix:/run/log.sock --elf firmware.elf --lines 10
The lines go to standard output as they come; with --json to standard error, and their number to standard output.
Exit code 0: the log ended, or --lines or --seconds was reached. 1: the port failed. 2: wrong usage, no port, or an ELF file without logs.")]
pub struct Args {
    #[command(flatten)]
    pub port: PortArgs,
    /// The firmware's ELF file, of the very build that runs on the board
    #[arg(long, value_name = "FILE")]
    pub elf: PathBuf,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    pub lines: Option<usize>,
    /// End after so many seconds
    #[arg(long, value_name = "S")]
    pub seconds: Option<u64>,
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let table = log::table(&args.elf).map_err(|error| Usage(format!("{}: {error}", args.elf.display())))?;
    let line = args.port.port.open(args.port.baud).map_err(port_error)?;
    let deadline = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut lines, mut damaged) = (0, 0);
    let ended = log::decode(&table, Stream { line, deadline }, |line| {
        let shown = match output.json {
            true => writeln!(io::stderr().lock(), "{line}"),
            false => writeln!(io::stdout().lock(), "{line}"),
        };
        lines += 1;
        damaged += usize::from(line == log::DAMAGED);
        // A reader that went away (`| head`) has seen enough.
        match shown.is_err() || args.lines.is_some_and(|most| lines >= most) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    ended.with_context(|| args.port.port.to_string())?;
    if output.json {
        output.print(&json!({ "lines": lines, "damaged": damaged }), || "");
    }
    Ok(ExitCode::SUCCESS)
}

/// A line that waits for bytes until a deadline, where there is one.
struct Stream {
    line: Line,
    deadline: Option<Instant>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let second = Duration::from_secs(1);
            let wait = match self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
            {
                Some(Duration::ZERO) => return Ok(0),
                Some(left) => left.min(second),
                None => second,
            };
            match self.line.receive(buffer, wait) {
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                }
                received => return received,
            }
        }
    }
}
