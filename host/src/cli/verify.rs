//! `goldcrest verify`: does every runner compute what the int8 model says?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_shared::kernels::Family;
use serde_json::json;

use super::data::DataArgs;
use super::packing::PackingArgs;
use super::table::Table;
use super::{Output, Usage};
use crate::board::table;
use crate::verify::{Comparison, Scope, verify_model};

/// Compare every layer of an int8 model in tract, ONNX Runtime and our engine
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  goldcrest verify model.int8.onnx --data cifar10\n  goldcrest verify model.int8.onnx --data glyphs --count 100 --json\n  goldcrest verify model.int8.onnx --data images.tar.gz --board mps2-an386\n\nExit code 0: equal, 1: a value differs, 2: could not run."
)]
pub struct Args {
    /// Int8 ONNX model made by `goldcrest quantize`
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Test images to compare; all when not given
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Also run the firmware on this emulated board, layer by layer
    #[arg(long, value_name = "BOARD")]
    pub board: Option<String>,
    /// How many of the images the board computes
    #[arg(long, value_name = "N", default_value_t = 200, requires = "board")]
    pub board_images: usize,
    #[command(flatten)]
    pub packing: PackingArgs,
    /// How many of the images ONNX Runtime computes too
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub onnxruntime: usize,
}

/// Exit code 0 when all values are equal, 1 when one differs.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(&args.model).with_context(|| args.model.display().to_string())?;
    let board = match &args.board {
        Some(name) => Some((table::find(name).map_err(|error| Usage(error.to_string()))?, args.board_images)),
        None => None,
    };
    let packing = args.packing.options(Family::Portable);
    let scope = Scope { onnxruntime: args.onnxruntime, board, packing };
    let images = args.data.open()?.test;
    let images = images.head(args.count.unwrap_or(images.len()));
    let bar = super::progress::images("verify", images.len());
    let comparison = verify_model(&bytes, &images, scope, &|count| bar.inc(count as u64))
        .with_context(|| args.model.display().to_string())?;
    bar.finish_and_clear();
    output.print(&to_json(&comparison), || to_text(&comparison));
    Ok(ExitCode::from(u8::from(comparison.mismatches() > 0)))
}

fn to_json(comparison: &Comparison) -> serde_json::Value {
    let layers = comparison
        .layers
        .iter()
        .map(|layer| json!({ "name": layer.name, "values": layer.values, "mismatches": layer.mismatches }));
    let references = comparison.references.iter().map(|&(name, _)| name);
    let counts = comparison.references.iter().map(|&(name, images)| (name.to_owned(), json!(images)));
    json!({
        "images": comparison.images,
        "values": comparison.values(),
        "mismatches": comparison.mismatches(),
        "references": references.collect::<Vec<_>>(),
        "reference_images": counts.collect::<serde_json::Map<_, _>>(),
        "first_difference": comparison.first.as_ref().map(ToString::to_string),
        "layers": layers.collect::<Vec<_>>(),
    })
}

fn to_text(comparison: &Comparison) -> String {
    let mut table = Table::new(&["layer", "values", "differ"]);
    for layer in &comparison.layers {
        table.row([layer.name.clone(), layer.values.to_string(), layer.mismatches.to_string()]);
    }
    let counts: Vec<String> =
        comparison.references.iter().map(|(name, images)| format!("{name} ({images} images)")).collect();
    let verdict = match &comparison.first {
        None => "equal, every value".to_owned(),
        Some(first) => format!("DIFFERENT: {} values; the first is\n{first}", comparison.mismatches()),
    };
    format!("{table}\n{}: {verdict}\n", counts.join(", "))
}
