//! `goldcrest bench`: what inference takes on every emulated board.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::bench::baseline::{Baseline, Regression};
use goldcrest_board::bench::measure::{MeasureError, Scope};
use goldcrest_board::bench::{Measurement, Row, Subject, markdown, measure, rows};
use goldcrest_board::emulator::EmulatorError;
use goldcrest_board::fit::{Fit, Size};
use goldcrest_board::payload::Payload;
use goldcrest_board::table::DEFAULT;
use goldcrest_board::{BOARDS, Board, qemu, table};
use goldcrest_engine::kernels::Family;
use goldcrest_files::write as write_atomically;
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::random;
use serde_json::json;

use super::packing::PackingArgs;
use super::table::Table;
use super::{Output, Usage};

/// Measure inference on emulated boards: instructions per layer, RAM, flash, modelled cycles
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  goldcrest bench
  goldcrest bench resnet8.int8.onnx --board {DEFAULT} --cycles libmcycle.so
  goldcrest bench resnet8.int8.onnx lenet5.int8.onnx --markdown docs/measurements.md

Without models: ResNet-8 and LeNet-5 with random weights, on which instructions do not depend.
The plugin of --cycles must be mcycle, with QEMU 9.1 or later. Exit code 1: a layer got slower than kept."))]
pub struct Args {
    /// Int8 ONNX models made by `goldcrest quantize`
    pub models: Vec<PathBuf>,
    /// A board to measure; may be repeated; all that can be emulated when not given
    #[arg(long = "board", value_name = "BOARD")]
    pub boards: Vec<String>,
    #[command(flatten)]
    pub packing: PackingArgs,
    /// Only instructions and RAM: do not build the program of inference alone for the size of its code
    #[arg(long)]
    pub quick: bool,
    /// Boards for which to build that program; may be repeated; all measured ones when not given
    #[arg(long = "code-of", value_name = "BOARD", conflicts_with = "quick")]
    pub code_of: Vec<String>,
    /// QEMU plugin that models the cycles of a Cortex-M4
    #[arg(long, value_name = "PLUGIN")]
    pub cycles: Option<PathBuf>,
    /// Write the tables into this Markdown document, between the marks of an earlier run or at its end
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write the rows beside their peers to this JSON file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Fail when a layer needs 3 % more instructions than this JSON file says
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Put the new numbers into that file instead
    #[arg(long, requires = "baseline")]
    pub keep: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let subjects = subjects(&args.models)?;
    let scope = |board: &Board| {
        let sizes =
            !args.quick && (args.code_of.is_empty() || args.code_of.iter().any(|name| name == board.name));
        Scope { packing: args.packing.options(Family::Portable), sizes, plugin: args.cycles.clone() }
    };
    for name in &args.code_of {
        table::find(name).map_err(|error| Usage(error.to_string()))?;
    }
    let mut measurements = Vec::new();
    for board in boards(&args.boards)? {
        for subject in &subjects {
            let options = args.packing.options(board.family);
            match Size::of(&Payload::pack(&subject.model, &options)?).fit(board) {
                Fit::Fits => {
                    say!("{} on {}", subject.name, board.name);
                    let measured = match measure(board, subject, &scope(board)) {
                        // Some emulated UARTs stay silent when bytes arrive while the board starts.
                        Err(MeasureError::Emulator(EmulatorError::Link { .. })) => {
                            say!("{} on {}: no answer, once more", subject.name, board.name);
                            measure(board, subject, &scope(board))
                        }
                        measured => measured,
                    };
                    measurements.push(measured?);
                }
                fit => say!("{} on {}: left out, {fit}", subject.name, board.name),
            }
        }
    }
    let rows = rows(&measurements);
    if let Some(file) = &args.out {
        let text = format!("{:#}\n", json!({ "rows": rows }));
        write(file, &text)?;
    }
    if let Some(file) = &args.markdown {
        let document = if file.exists() { read(file)? } else { String::new() };
        write(file, &markdown::insert(&document, &measurements))?;
    }
    let regressions = match &args.baseline {
        Some(file) => compare(file, args.keep, &measurements)?,
        None => Vec::new(),
    };
    let json = json!({ "rows": rows, "measurements": measurements, "regressions": regressions });
    output.print(&json, || text(&measurements, &rows));
    for regression in &regressions {
        say!("slower: {regression}");
    }
    Ok(ExitCode::from(u8::from(!regressions.is_empty())))
}

fn subjects(files: &[PathBuf]) -> anyhow::Result<Vec<Subject>> {
    if files.is_empty() {
        let subject = |name: &str, model| Subject { name: name.into(), model };
        return Ok(vec![subject("resnet8", random::resnet8(3)), subject("lenet5", random::lenet5(1))]);
    }
    let subject = |file: &PathBuf| {
        let model = int8::read(&Model::read(file)?).with_context(|| file.display().to_string())?;
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = name.trim_end_matches(".onnx").trim_end_matches(".int8").to_owned();
        Ok(Subject { name, model })
    };
    files.iter().map(subject).collect()
}

/// The boards asked for, or all that the installed emulators run.
fn boards(names: &[String]) -> anyhow::Result<Vec<&'static Board>> {
    if names.is_empty() {
        let ready = |board: &&'static Board| match qemu::check(board) {
            Ok(()) => true,
            Err(problem) => {
                say!("{}: left out, {problem}", board.name);
                false
            }
        };
        return Ok(BOARDS.iter().filter(|board| board.machine.is_some()).filter(ready).collect());
    }
    let mut boards = Vec::new();
    for name in names {
        let board = table::find(name).map_err(|error| Usage(error.to_string()))?;
        qemu::check(board).map_err(|error| Usage(EmulatorError::from(error).to_string()))?;
        boards.push(board);
    }
    Ok(boards)
}

fn compare(file: &Path, keep: bool, measurements: &[Measurement]) -> anyhow::Result<Vec<Regression>> {
    let place = || file.display().to_string();
    let mut baseline: Baseline = match keep && !file.exists() {
        true => Baseline::default(),
        false => serde_json::from_str(&read(file)?).with_context(place)?,
    };
    if !keep {
        return Ok(baseline.regressions(measurements));
    }
    baseline.keep(measurements);
    write(file, &(serde_json::to_string_pretty(&baseline)? + "\n"))?;
    Ok(Vec::new())
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    write_atomically(file, text.as_bytes()).with_context(|| file.display().to_string())
}

fn text(measurements: &[Measurement], rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "board",
        "model",
        "instructions",
        "per MAC",
        "cycles",
        "arena",
        "stack",
        "code",
        "small",
    ]);
    let some = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    for measured in measurements {
        table.row([
            measured.board.to_owned(),
            measured.model.clone(),
            measured.instructions.to_string(),
            format!("{:.2}", measured.instructions as f64 / measured.macs.max(1) as f64),
            some(measured.cycles),
            measured.arena_bytes.to_string(),
            measured.stack_bytes.to_string(),
            some(measured.code_bytes),
            some(measured.least_code_bytes),
        ]);
    }
    let mut peers = Table::new(&["beside CMSIS-NN", "ours", "peer", "ratio", "unit"]);
    for Row { name, ours, peer, ratio, unit } in rows {
        peers.row([
            name.clone(),
            format!("{ours:.0}"),
            format!("{peer:.0}"),
            format!("{ratio:.2}"),
            (*unit).to_owned(),
        ]);
    }
    format!("{table}\n{peers}")
}
