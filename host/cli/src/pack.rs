//! `goldcrest pack`: an int8 model as a device image.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::fit::{Fit, Size};
use goldcrest_board::table::{self, DEFAULT};
use goldcrest_engine::kernels::Family;
use goldcrest_files::write as write_atomically;
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::pack::{Packed, pack};
use serde_json::json;

use super::packing::PackingArgs;
use super::table::Table;
use super::{Output, Usage, refuse_same};

/// Pack an int8 model as a device image for the firmware
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  goldcrest pack model.int8.onnx --out model.gci
  goldcrest pack model.int8.onnx --board {DEFAULT} --optimize ram --out model.gci
  goldcrest pack model.int8.onnx --ram-budget 50000 --out model.gci"))]
pub struct Args {
    /// Int8 ONNX model made by `goldcrest quantize`
    pub model: PathBuf,
    /// Where to write the device image
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Order the weights for this board's kernels; without it, for every core
    #[arg(long, value_name = "BOARD")]
    pub board: Option<String>,
    #[command(flatten)]
    pub packing: PackingArgs,
}

/// Exit code 0 when the image was written, 1 when it was but does not fit the board.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    refuse_same(&args.model, &args.out)?;
    let board = match &args.board {
        Some(name) => Some(table::find(name).map_err(|error| Usage(error.to_string()))?),
        None => None,
    };
    let family = board.map_or(Family::Portable, |board| board.family);
    let place = || args.model.display().to_string();
    let model = int8::read(&Model::read(&args.model)?).with_context(place)?;
    let options = args.packing.options(family);
    let packed = pack(&model, &options).with_context(place)?;
    write_atomically(&args.out, packed.image.bytes()).with_context(|| args.out.display().to_string())?;
    let fit = board.map(|board| {
        let size =
            Size { image_bytes: packed.image.bytes().len() as u64, arena_bytes: packed.arena_bytes as u64 };
        (board.name, size.fit(board))
    });
    let mut result = to_json(&packed);
    if let Some((name, fit)) = &fit {
        result["board"] = json!(name);
        result["fits"] = json!(*fit == Fit::Fits);
        result["problem"] = json!((*fit != Fit::Fits).then(|| fit.to_string()));
    }
    output.print(&result, || to_text(&packed));
    match fit {
        Some((name, fit)) if fit != Fit::Fits => {
            say!(
                "error: {} does not fit {name}: {fit}; --optimize ram or flash, or a budget, makes it \
                 smaller",
                args.out.display()
            );
            Ok(ExitCode::from(1))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn to_json(packed: &Packed) -> serde_json::Value {
    let layers = packed.layers.iter().map(|layer| {
        json!({
            "name": layer.name, "kernel": layer.kernel, "macs": layer.macs,
            "weight_bytes": layer.weight_bytes, "scratch_bytes": layer.scratch_bytes,
        })
    });
    let memory = packed.memory.iter().map(|memory| {
        json!({
            "name": memory.block.name, "offset": memory.offset, "bytes": memory.block.bytes,
            "first_layer": memory.block.first, "last_layer": memory.block.last,
        })
    });
    json!({
        "image_bytes": packed.image.bytes().len(),
        "weight_bytes": packed.weight_bytes,
        "arena_bytes": packed.arena_bytes,
        "arena_lower_bound": packed.arena_lower_bound,
        "layers": layers.collect::<Vec<_>>(),
        "memory": memory.collect::<Vec<_>>(),
    })
}

fn to_text(packed: &Packed) -> String {
    let mut layers = Table::new(&["layer", "kernel", "MACs", "weight bytes", "scratch bytes"]);
    for layer in &packed.layers {
        let numbers = [layer.macs, layer.weight_bytes as u64, layer.scratch_bytes as u64];
        let numbers = numbers.map(|number| number.to_string());
        layers.row([layer.name.clone(), layer.kernel.into()].into_iter().chain(numbers));
    }
    let mut memory = Table::new(&["arena", "from", "to", "layers"]);
    for place in &packed.memory {
        memory.row([
            place.block.name.clone(),
            place.offset.to_string(),
            (place.offset + place.block.bytes).to_string(),
            format!("{} to {}", place.block.first, place.block.last),
        ]);
    }
    format!(
        "{layers}\n{memory}\nflash: image {} bytes, weights {} of them; RAM: arena {} bytes, at least {}\n",
        packed.image.bytes().len(),
        packed.weight_bytes,
        packed.arena_bytes,
        packed.arena_lower_bound
    )
}
