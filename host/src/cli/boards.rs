//! `goldcrest boards`: what the firmware runs on.

use std::path::PathBuf;
use std::process::ExitCode;

use goldcrest_shared::quantize::pack::PackOptions;
use serde_json::json;

use super::Output;
use super::table::Table;
use crate::board::fit::{Fit, Size};
use crate::board::payload::Payload;
use crate::board::{BOARDS, Board, qemu};

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

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    for board in BOARDS {
        let fit = match &args.model {
            Some(path) => Some({
                let options = PackOptions { family: board.family, ..PackOptions::default() };
                Size::of(&Payload::open(path, &options)?)?.fit(board)
            }),
            None => None,
        };
        rows.push((board, qemu::check(board).err().map(|problem| problem.to_string()), fit));
    }
    let json = rows.iter().map(|(board, problem, fit)| to_json(board, problem.as_deref(), fit.as_ref()));
    output.print(&json!({ "boards": json.collect::<Vec<_>>() }), || {
        let mut table = Table::new(&["board", "core", "flash", "for a model", "RAM", "emulator", "model"]);
        for (board, problem, fit) in &rows {
            table.row([
                board.name.to_owned(),
                board.core.to_owned(),
                kib(board.flash_bytes),
                kib(board.slot_bytes),
                kib(board.ram_bytes),
                problem.clone().unwrap_or_else(|| board.machine.program.to_owned()),
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

fn to_json(board: &Board, problem: Option<&str>, fit: Option<&Fit>) -> serde_json::Value {
    json!({
        "name": board.name,
        "core": board.core,
        "target": board.target,
        "flash_bytes": board.flash_bytes,
        "slot_bytes": board.slot_bytes,
        "ram_bytes": board.ram_bytes,
        "emulator": board.machine.program,
        "ready": problem.is_none(),
        "hint": problem,
        "model_fits": fit.map(|fit| *fit == Fit::Fits),
        "model_problem": fit.filter(|&fit| *fit != Fit::Fits).map(ToString::to_string),
    })
}
