//! `goldcrest boards`: what the firmware runs on.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::fit::{Fit, Size};
use goldcrest_board::flash::tool;
use goldcrest_board::{BOARDS, Board, qemu};
use goldcrest_prove::board_model::BoardModel;
use goldcrest_quantize::pack::PackOptions;
use serde_json::json;

use super::Output;
use super::table::Table;

/// List the boards: cores, memory, what runs them, and whether a model fits
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest boards
  goldcrest boards --model model-int8.onnx --json")]
pub struct Args {
    /// An int8 ONNX file, or a device image (.gci): say which boards it fits
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
}

/// Why the emulator cannot run a board; nothing where there is none to run it.
fn emulator_problem(board: &'static Board) -> Option<String> {
    board.machine.as_ref().and_then(|_| qemu::check(board).err()).map(|problem| problem.to_string())
}

/// What runs a board: its emulator, or what keeps that from it.
fn emulator(board: &Board, problem: Option<&String>) -> String {
    match (&board.machine, problem) {
        (None, _) => "none".to_owned(),
        (Some(_), Some(problem)) => problem.clone(),
        (Some(machine), None) => machine.program.to_owned(),
    }
}

fn flashed_by(board: &Board) -> Vec<&'static str> {
    board.flash.iter().flat_map(|flash| flash.methods).map(|method| method.name()).collect()
}

/// What writes a board's flash, or what is missing for it.
fn flashing(board: &Board, problem: Option<&String>) -> String {
    problem.cloned().unwrap_or_else(|| flashed_by(board).join(", "))
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let file = args.model.as_deref().map(BoardModel::read).transpose()?;
    let mut rows = Vec::new();
    for board in BOARDS {
        let fit = match &file {
            Some(file) => Some({
                let options = PackOptions { family: board.family, ..PackOptions::default() };
                let payload = file.pack(&options).with_context(|| file.path.display().to_string())?;
                Size::of(&payload).fit(board)
            }),
            None => None,
        };
        rows.push((
            board,
            emulator_problem(board),
            tool::missing(board).map(|missing| missing.to_string()),
            fit,
        ));
    }
    let json = rows.iter().map(|(board, problem, flash, fit)| to_json(board, problem, flash, fit.as_ref()));
    output.print(&json!({ "boards": json.collect::<Vec<_>>() }), || {
        let mut table = Table::new(&[
            "board",
            "core",
            "flash",
            "for a model",
            "RAM",
            "for a model",
            "emulator",
            "flashed by",
            "model",
        ]);
        for (board, problem, flash, fit) in &rows {
            table.row([
                board.name.to_owned(),
                board.core.to_owned(),
                kib(board.flash_bytes),
                kib(board.slot_bytes),
                kib(board.ram_bytes),
                kib(board.arena_bytes),
                emulator(board, problem.as_ref()),
                flashing(board, flash.as_ref()),
                fit.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]);
        }
        table
    });
    Ok(ExitCode::SUCCESS)
}

fn kib(bytes: u32) -> String {
    format!("{} KiB", bytes / 1024)
}

fn to_json(
    board: &Board,
    problem: &Option<String>,
    flash: &Option<String>,
    fit: Option<&Fit>,
) -> serde_json::Value {
    json!({
        "name": board.name,
        "core": board.core,
        "target": board.target,
        "rustflags": board.rustflags,
        "flash_bytes": board.flash_bytes,
        "slot_bytes": board.slot_bytes,
        "ram_bytes": board.ram_bytes,
        "arena_bytes": board.arena_bytes,
        "emulator": board.machine.as_ref().map(|machine| machine.program),
        "ready": board.machine.is_some() && problem.is_none(),
        "chip": board.flash.as_ref().map(|flash| flash.chip),
        "flashed_by": flashed_by(board),
        "flash_ready": board.flash.is_some() && flash.is_none(),
        "flash_hint": flash,
        "hint": problem,
        "model_fits": fit.map(|fit| *fit == Fit::Fits),
        "model_problem": fit.filter(|&fit| *fit != Fit::Fits).map(ToString::to_string),
    })
}
