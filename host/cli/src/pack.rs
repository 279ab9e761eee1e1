//! `goldcrest pack`: an int8 model as a device image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::fit::{Fit, Size};
use goldcrest_board::keys::{Key, manifest};
use goldcrest_board::payload::noise;
use goldcrest_board::table::{self, DEFAULT};
use goldcrest_engine::kernels::{self, Family};
use goldcrest_files::write as write_atomically;
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::pack::{PackOptions, Packed, pack};
use serde_json::json;

use super::keys::key_error;
use super::packing::PackingArgs;
use super::table::Table;
use super::{Output, Usage, refuse_same};

/// Pack an int8 model as a device image for the firmware
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  goldcrest pack model.int8.onnx --out model.gci
  goldcrest pack model.int8.onnx --board {DEFAULT} --optimize ram --out model.gci
  goldcrest pack model.int8.onnx --ram-budget 50000 --out model.gci
  goldcrest pack model.int8.onnx --board {DEFAULT} --sign models.pem --model-version 2 --out model.gci
The image holds two pictures of noise with the logits they must give, by which a board tests itself."))]
pub struct Args {
    /// Int8 ONNX model made by `goldcrest quantize`
    pub model: PathBuf,
    /// Where to write the device image
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Order the weights for this board's kernels; without it, for every core
    #[arg(long, value_name = "BOARD")]
    pub board: Option<String>,
    /// Pictures of noise to store with the logits that they must give, for the self-test of a board or of
    /// your own firmware; a board takes no image without them over the line
    #[arg(long, value_name = "PICTURES", default_value_t = 2)]
    pub golden: u16,
    #[command(flatten)]
    pub packing: PackingArgs,
    /// Sign it with this key (`goldcrest keys new`), for the board of --board, else for all
    #[arg(long, value_name = "FILE", requires = "model_version")]
    pub sign: Option<PathBuf>,
    /// Which version of the model it is, from 1 on: boards with a key take only later ones than they have
    #[arg(
        long, value_name = "N", requires = "sign", value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub model_version: Option<u32>,
    /// Sign a step back: boards with a version up to this one take the image though theirs is later
    #[arg(long, value_name = "N", requires = "sign", default_value_t = 0)]
    pub replaces: u32,
}

/// Exit code 0 when the image was written, 1 when it was but does not fit the board.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    refuse_same(&args.model, &args.out)?;
    // Before the work: who may not sign need not wait for it.
    let key = args.sign.as_deref().map(Key::read).transpose().map_err(key_error)?;
    let board = match &args.board {
        Some(name) => Some(table::find(name).map_err(|error| Usage(error.to_string()))?),
        None => None,
    };
    let family = board.map_or(Family::Portable, |board| board.family);
    let place = || args.model.display().to_string();
    let model = int8::read(&Model::read(&args.model)?).with_context(place)?;
    let input = model.graph.tensor(model.graph.input).shape.len();
    let golden = noise(args.golden, input);
    let options = PackOptions { golden, ..args.packing.options(family) };
    let packed = pack(&model, &options).with_context(place)?;
    let mut bytes = packed.image.bytes().to_vec();
    let mut json = to_json(&packed);
    let mut signed = String::new();
    if let (Some(key), Some(version)) = (&key, args.model_version) {
        let target = board.map_or(Family::Portable.name(), |board| board.name);
        let manifest = manifest(&packed.image, version, args.replaces, target)
            .with_context(|| format!("{target}: no manifest can name this board"))?;
        bytes.extend(key.sign(&manifest));
        let fingerprint = key.public().fingerprint();
        signed = format!("version {version} for {target}, signed with {fingerprint}\n");
        json["manifest"] = json!({
            "model_version": version, "replaces": args.replaces, "target": target,
            "fingerprint": fingerprint,
        });
    }
    write_atomically(&args.out, &bytes).with_context(|| args.out.display().to_string())?;
    let fit = board.map(|board| {
        let size = Size { image_bytes: bytes.len() as u64, arena_bytes: packed.arena_bytes as u64 };
        (board.name, size.fit(board))
    });
    if let Some((name, fit)) = &fit {
        json["board"] = json!(name);
        json["fits"] = json!(*fit == Fit::Fits);
        json["problem"] = json!((*fit != Fit::Fits).then(|| fit.to_string()));
    }
    output.print(&json, || to_text(&packed, &args.out) + &signed);
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

/// The kernels' constants in `goldcrest_engine::kernels`, each once.
fn constants(packed: &Packed) -> Vec<String> {
    let mut constants: Vec<_> = packed.layers.iter().map(|layer| kernels::constant(layer.kernel)).collect();
    constants.sort_unstable();
    constants.dedup();
    constants
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
        "kernels": constants(packed),
        "longest_step": packed.longest_step().map(|layer| json!({ "layer": layer.name, "macs": layer.macs })),
        "golden": packed.image.image().golden().count(),
        "layers": layers.collect::<Vec<_>>(),
        "memory": memory.collect::<Vec<_>>(),
    })
}

fn to_text(packed: &Packed, file: &Path) -> String {
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
    let mut text = format!(
        "{layers}\n{memory}\nflash: image {} bytes, weights {} of them; RAM: arena {} bytes, at least {}\n",
        packed.image.bytes().len(),
        packed.weight_bytes,
        packed.arena_bytes,
        packed.arena_lower_bound
    );
    if let Some(layer) = packed.longest_step() {
        text += &format!(
            "longest time between two steps of the engine: layer {} ({} MACs)\n",
            layer.name, layer.macs
        );
    }
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    text + &format!("in a Rust program: model!({file:?}, [{}])\n", constants(packed).join(", "))
}
