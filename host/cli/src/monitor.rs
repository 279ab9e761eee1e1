//! `goldcrest monitor`: what a firmware logs.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use goldcrest_board::client::Transport;
use goldcrest_board::firmware::{self, Program, Recipe};
use goldcrest_board::port::{Line, Port};
use goldcrest_board::{log, probe, table};
use serde_json::json;

use super::flash::build_error;
use super::infer::port_error;
use super::{Output, Usage};

/// Show the logs of a firmware, decoded
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest monitor --board nucleo-f446re
  goldcrest monitor --board nucleo-f446re --probe 0483:374b --elf saved/nucleo-f446re
  goldcrest monitor --port unix:/run/log.sock --elf firmware.elf --lines 10
Without --port the logs come through the board's debug probe and probe-rs, until Ctrl-C. Lines go to \
standard output as they come;
from a port with --json to standard error, and their number to standard output.
Exit code 0: the log ended, or --lines or --seconds was reached. 1: the port failed. 2: wrong usage, no \
port, or an ELF file without logs.")]
pub struct Args {
    /// The board, whose debug probe passes the logs on
    #[arg(long, value_name = "BOARD", required_unless_present = "port", conflicts_with = "port")]
    pub board: Option<String>,
    /// Which debug probe, where there are several
    #[arg(long, value_name = "VID:PID[:SERIAL]", requires = "board")]
    pub probe: Option<String>,
    /// A port that the logs come out of: /dev/ttyACM1, tcp:HOST:PORT, unix:PATH
    #[arg(long, requires = "elf")]
    pub port: Option<Port>,
    /// Speed of a serial port, in bits per second
    #[arg(
        long, value_name = "BAUD", default_value_t = 115_200,
        value_parser = clap::value_parser!(u32).range(300..)
    )]
    pub baud: u32,
    /// The firmware's ELF file, of the very build that runs on the board; with --board what `goldcrest flash`
    /// builds
    #[arg(long, value_name = "FILE")]
    pub elf: Option<PathBuf>,
    /// End after N lines
    #[arg(long, value_name = "N", requires = "port")]
    pub lines: Option<usize>,
    /// End after S seconds
    #[arg(long, value_name = "S", requires = "port")]
    pub seconds: Option<u64>,
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    match (&args.board, &args.port, &args.elf) {
        (Some(board), _, elf) => through_the_probe(board, args.probe.as_deref(), elf.as_deref()),
        (None, Some(port), Some(elf)) => from_a_port(args, port, elf, output),
        // The arguments' rules leave nothing else.
        _ => Err(Usage("pass --board, or --port and --elf".to_string()).into()),
    }
}

/// Hands over to `probe-rs attach`, which decodes RTT.
fn through_the_probe(board: &str, probe: Option<&str>, elf: Option<&Path>) -> anyhow::Result<ExitCode> {
    let board = table::find(board).map_err(|error| Usage(error.to_string()))?;
    let Some(flash) = &board.flash else {
        let message = format!("{0} is only emulated; run `goldcrest emulate --board {0} --log`", board.name);
        return Err(Usage(message).into());
    };
    let elf = match elf {
        Some(elf) => elf.to_path_buf(),
        None => {
            let recipe = Recipe { program: Program::Flashed, ..Recipe::default() };
            firmware::build_as(board, &recipe).map_err(build_error)?.elf
        }
    };
    log::table(&elf).map_err(|error| Usage(format!("{}: {error}", elf.display())))?;
    let status = probe::attach(flash.chip, probe, &elf).map_err(|error| Usage(error.to_string()))?;
    if !status.success() {
        anyhow::bail!("probe-rs ended with {status}; `goldcrest devices` says what is plugged in");
    }
    Ok(ExitCode::SUCCESS)
}

fn from_a_port(args: &Args, port: &Port, elf: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let table = log::table(elf).map_err(|error| Usage(format!("{}: {error}", elf.display())))?;
    let line = port.open(args.baud).map_err(port_error)?;
    let deadline = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut lines, mut damaged) = (0, 0);
    let ended = log::decode(&table, Stream { line, deadline }, |line| {
        let line = crate::plain(&line);
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
    ended.with_context(|| port.to_string())?;
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
