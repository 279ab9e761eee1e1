//! `goldcrest quantize`: a float model to int8.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use goldcrest_data::Split;
use goldcrest_onnx::import::{classes, float_model, is_quantized};
use goldcrest_onnx::{Model, info};
use goldcrest_prove::calibrate::{
    Found, FourBits, Layer, Search, Settings, Trial, npy, quantize_judged, shortcomings, take_over_model,
};
use goldcrest_prove::evaluate::EvaluateError;
use goldcrest_quantize::Options;
use goldcrest_quantize::given::Moved;
use goldcrest_quantize::graph::Quantization;
use goldcrest_quantize::range::RangeMethod;
use serde_json::json;

use super::data::DataArgs;
use super::model_side::{ModelSide, StatedArgs, complete};
use super::table::Table;
use super::{Output, Usage, refuse_same};

/// Quantize a float ONNX model to int8
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  goldcrest quantize model.onnx --data cifar10 --out model.int8.onnx\n  \
         goldcrest quantize model.onnx --data images/ --normalization imagenet --labels names.txt --images \
         1000 --range percentile --out model.int8.onnx")]
pub struct Args {
    /// Float ONNX model (opset 7 to 23)
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub stated: StatedArgs,
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
    #[arg(long, value_name = "METHOD", default_value = "percentile")]
    pub range: Range,
    /// Cross-layer equalization: 0 for none, 1 to make the channels of a layer reach equally far
    #[arg(
        long, value_name = "STRENGTH", default_value_t = Settings::default().equalize,
        value_parser = strength
    )]
    pub equalize: f64,
    /// Round each weight to the nearest integer instead of learning weights layer by layer
    #[arg(long)]
    pub nearest: bool,
    /// With --nearest: keep each bias as it is instead of correcting it for rounded weights
    #[arg(long, requires = "nearest")]
    pub no_bias_correction: bool,
    /// Give this layer weights of four bits, in -8 to 7; may be repeated. `auto` finds the layers where
    /// training images that calibration does not see allow it
    #[arg(long, value_name = "LAYER")]
    pub int4: Vec<String>,
    /// Also write the calibration images as the float network's inputs, for other quantizers (NumPy, float32,
    /// [images, channels, rows, columns])
    #[arg(long, value_name = "FILE.npy")]
    pub save_inputs: Option<PathBuf>,
    /// Try range methods and strengths of equalization on training images that calibration does not see and
    /// keep the best
    #[arg(long)]
    pub auto: bool,
}

/// Images that calibration does not see, on which the noise is measured.
const JUDGES: usize = 64;
/// Stands for the layers that can have four bits.
const AUTO: &str = "auto";

fn strength(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("give a number from 0 to 1".into()),
    }
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
    refuse_same(&args.model, &args.out)?;
    let place = || args.model.display().to_string();
    let model = Model::read(&args.model)?;
    let (mut model, assumed) = complete(&args.model, model, &args.stated, &args.data.pictures)?;
    let side = ModelSide::of_onnx(&args.model, &model)?;
    let data = args.data.open_for(&side)?;
    if let Some(channels) = info::channels_name(side.input.channels) {
        // What the images were made by is what the int8 model is made for.
        info::write_preprocessing(data.preprocessing, channels, &mut model.metadata);
    }
    let known = classes(&model).unwrap_or(data.classes.len());
    if known != data.classes.len() {
        let (found, expected) = (data.classes.len(), known);
        return Err(EvaluateError::Classes { found, expected }).with_context(place);
    }
    let [images, mut judges] = data.train.sample_apart([args.images, JUDGES], args.seed);
    if judges.is_empty() {
        judges = data.test.head(JUDGES);
    }
    let warnings: Vec<String> =
        shortcomings(&images, &data.classes).iter().map(ToString::to_string).collect();
    warnings.iter().for_each(|warning| say!("warning: {warning}"));
    let said = json!({ "assumed": assumed, "warnings": warnings });
    if is_quantized(&model) {
        return take_over(args, &model, &images, started, output, said);
    }
    let (graph, info) = float_model(&model).with_context(place)?;
    let start = Settings {
        options: Options { range: args.range.into(), bias_correction: !args.no_bias_correction },
        equalize: args.equalize,
        learn: !args.nearest,
        int4: args.int4.iter().filter(|&name| name != AUTO).cloned().collect(),
    };
    let search = Search {
        settings: args.auto,
        int4: args.int4.iter().any(|name| name == AUTO),
        images: args.images,
        seed: args.seed,
    };
    let bar = super::progress::steps("try settings");
    let tried = |trial: &Trial| {
        bar.set_message(trial.settings.to_string());
        bar.tick();
    };
    let found = search.run(&graph, &info, &data.train, start, &tried).with_context(place)?;
    bar.finish_and_clear();
    drop(data.train);
    let Found { settings, trials, four_bits, held_out } = found;
    if let Some(path) = &args.save_inputs {
        goldcrest_files::write(path, &npy(&info.normalization, &images))
            .with_context(|| format!("{}: cannot write", path.display()))?;
    }
    let bar = super::progress::images("calibrate", images.len());
    let quantized = quantize_judged(graph, info, &images, &judges, &settings, &|count| bar.inc(count as u64))
        .with_context(place)?;
    bar.finish_and_clear();
    quantized.onnx.write(&args.out)?;
    let trial = |trial: &Trial| {
        json!({
            "settings": trial.settings.to_string(), "logit_mse": trial.logit_mse,
            "typical_mse": trial.typical_mse, "agreement": trial.agreement, "int4": trial.settings.int4,
            "weight_bytes": trial.weight_bytes,
        })
    };
    let found = four_bits.as_ref().map_or(&[][..], |found| &found.trials);
    let result = json!({
        "model": args.out,
        "assumed": said["assumed"],
        "warnings": said["warnings"],
        "calibration_images": images.len(),
        "seconds": started.elapsed().as_secs_f64(),
        "settings": settings.to_string(),
        "int4": settings.int4,
        "trials": trials.iter().chain(found).map(trial).collect::<Vec<_>>(),
        "held_out_images": held_out,
        "layers": layers_to_json(&quantized.layers),
    });
    output.print(&result, || {
        let mut tried = Table::new(&["settings (best first)", "logit error", "agreement %"]);
        for trial in &trials {
            let agreement = format!("{:.1}", 100.0 * trial.agreement);
            tried.row([trial.settings.to_string(), format!("{:.5}", trial.logit_mse), agreement]);
        }
        let mut tried = if trials.is_empty() { String::new() } else { format!("{tried}\n") };
        if let Some(found) = &four_bits {
            tried.push_str(&format!("{}\n", int4_trials(found)));
        }
        let table = noise(&quantized.layers);
        let place = args.out.display();
        format!("{tried}{table}\n{place}: int8, {} calibration images, {settings}\n", images.len())
    });
    Ok(ExitCode::SUCCESS)
}

/// A model that another tool quantized: its scales where they fit, and what moved.
fn take_over(
    args: &Args,
    model: &Model,
    images: &Split,
    started: Instant,
    output: Output,
    said: serde_json::Value,
) -> anyhow::Result<ExitCode> {
    if args.auto || args.nearest || args.save_inputs.is_some() || !args.int4.is_empty() {
        return Err(
            Usage("the model is quantized already; its scales are taken over as they are".into()).into()
        );
    }
    let bar = super::progress::images("calibrate", images.len());
    let (quantized, moved) = take_over_model(model, images, &|count| bar.inc(count as u64))
        .with_context(|| args.model.display().to_string())?;
    bar.finish_and_clear();
    quantized.onnx.write(&args.out)?;
    let result = json!({
        "model": args.out,
        "assumed": said["assumed"],
        "warnings": said["warnings"],
        "calibration_images": images.len(),
        "seconds": started.elapsed().as_secs_f64(),
        "layers": layers_to_json(&quantized.layers),
        "moved": moved.iter().map(moved_to_json).collect::<Vec<_>>(),
    });
    output.print(&result, || {
        let mut table = Table::new(&["moved", "what", "from", "to"]);
        for moved in &moved {
            table.row(moved_to_row(moved));
        }
        let place = args.out.display();
        format!("{table}\n{}\n{place}: int8, {} moved\n", noise(&quantized.layers), moved.len())
    });
    Ok(ExitCode::SUCCESS)
}

/// What each set of layers with four bits costs and saves, in the order of the search.
fn int4_trials(found: &FourBits) -> Table {
    let mut table = Table::new(&["four bits", "weights", "logit error", "of int8's", "agreement %", ""]);
    let eight = found.trials[0].typical_mse;
    for trial in &found.trials {
        let layers = &trial.settings.int4;
        let kept = if *layers == found.layers { "kept" } else { "" };
        table.row([
            if layers.is_empty() { "none".into() } else { layers.join(" ") },
            format!("{} B", trial.weight_bytes),
            format!("{:.5}", trial.typical_mse),
            format!("{:.2}x", trial.typical_mse / eight),
            format!("{:.2}", 100.0 * trial.agreement),
            kept.into(),
        ]);
    }
    table
}

fn moved_to_json(moved: &Moved) -> serde_json::Value {
    match moved {
        Moved::Grid { tensor, from, to } => json!({
            "name": tensor, "what": "grid", "change": f64::from(to.scale) / f64::from(from.scale) - 1.0,
            "from": [from.scale, f32::from(from.zero_point)], "to": [to.scale, f32::from(to.zero_point)],
        }),
        Moved::Weights { layer, largest, changed, weights } => json!({
            "name": layer, "what": "weights", "change": largest, "changed": changed, "weights": weights,
        }),
        Moved::Ratio { layer, change } => json!({ "name": layer, "what": "ratio", "change": change }),
    }
}

fn moved_to_row(moved: &Moved) -> [String; 4] {
    let grid = |grid: &Quantization| format!("{} from {}", grid.scale, grid.zero_point);
    match moved {
        Moved::Grid { tensor, from, to } => [tensor.clone(), "grid".into(), grid(from), grid(to)],
        Moved::Weights { layer, largest, changed, weights } => [
            layer.clone(),
            "weight scales".into(),
            format!("at most {:.3} %", 100.0 * largest),
            format!("{changed} of {weights} integers"),
        ],
        Moved::Ratio { layer, change } => {
            [layer.clone(), "ratio of scales".into(), format!("{:+.4} %", 100.0 * change), String::new()]
        }
    }
}

fn layers_to_json(layers: &[Layer]) -> serde_json::Value {
    let layer = |layer: &Layer| json!({ "name": layer.name, "sqnr_db": finite(layer.sqnr_db) });
    layers.iter().map(layer).collect()
}

/// The layers' noise, worst first.
fn noise(layers: &[Layer]) -> Table {
    let mut layers: Vec<&Layer> = layers.iter().collect();
    layers.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
    let mut table = Table::new(&["layer (worst first)", "SQNR dB", "k"]);
    for layer in layers {
        let k = layer.multipliers.map_or(String::new(), |[low, high]| match low == high {
            true => low.to_string(),
            false => format!("{low} to {high}"),
        });
        table.row([layer.name.clone(), format!("{:.1}", layer.sqnr_db), k]);
    }
    table
}

/// JSON has no infinity: a layer without noise is `null`.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
