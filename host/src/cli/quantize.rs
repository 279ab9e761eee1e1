//! `goldcrest quantize`: a float model to int8.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use goldcrest_shared::quantize::Options;
use goldcrest_shared::quantize::range::RangeMethod;
use serde_json::json;

use super::Output;
use super::data::DataArgs;
use super::table::Table;
use crate::calibrate::{Layer, quantize_model};
use crate::onnx::Model;

/// Quantize a float ONNX model to int8
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  goldcrest quantize model.onnx --data cifar10 --out model.int8.onnx\n  goldcrest quantize model.onnx --data images/ --resize 32x32 --images 1000 --range percentile --out model.int8.onnx"
)]
pub struct Args {
    /// Float ONNX model (opset 11 to 21)
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Where to write the int8 model
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Calibration images, drawn from the training images
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub images: usize,
    /// Seed of the draw
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How activation ranges are chosen
    #[arg(long, value_name = "METHOD", default_value = "minmax")]
    pub range: Range,
    /// Keep each bias as it is instead of correcting it for rounded weights
    #[arg(long)]
    pub no_bias_correction: bool,
}

/// Names of the range methods.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Range {
    /// From the smallest to the largest value seen
    Minmax,
    /// Leaves out 1 in 100,000 values at each end
    Percentile,
    /// Smallest mean squared error
    Mse,
    /// Smallest Kullback-Leibler divergence
    Entropy,
}

impl From<Range> for RangeMethod {
    fn from(range: Range) -> Self {
        match range {
            Range::Minmax => Self::MinMax,
            Range::Percentile => Self::Percentile(1e-5),
            Range::Mse => Self::MeanSquaredError,
            Range::Entropy => Self::Entropy,
        }
    }
}

/// Exit code 0 when the int8 model was written.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let model = Model::read(&args.model)?;
    let images = args.data.open()?.train.sample(args.images, args.seed);
    let options = Options { range: args.range.into(), bias_correction: !args.no_bias_correction };
    let bar = super::progress::images("calibrate", images.len());
    let quantized = quantize_model(&model, &images, &options, &|count| bar.inc(count as u64))
        .with_context(|| args.model.display().to_string())?;
    bar.finish_and_clear();
    quantized.onnx.write(&args.out)?;
    let layer = |layer: &Layer| json!({ "name": layer.name, "sqnr_db": finite(layer.sqnr_db) });
    let result = json!({
        "model": args.out,
        "calibration_images": images.len(),
        "seconds": started.elapsed().as_secs_f64(),
        "layers": quantized.layers.iter().map(layer).collect::<Vec<_>>(),
    });
    output.print(&result, || {
        let mut layers: Vec<&Layer> = quantized.layers.iter().collect();
        layers.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
        let mut table = Table::new(&["layer (worst first)", "SQNR dB", "k"]);
        for layer in layers {
            let k = layer.multipliers.map_or(String::new(), |[low, high]| match low == high {
                true => low.to_string(),
                false => format!("{low} to {high}"),
            });
            table.row([layer.name.clone(), format!("{:.1}", layer.sqnr_db), k]);
        }
        format!("{table}\n{}: int8, {} calibration images\n", args.out.display(), images.len())
    });
    Ok(ExitCode::SUCCESS)
}

/// JSON has no infinity: a layer without noise is `null`.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
