//! Everything in sequence: images in, a classifier proved and running on an emulated board out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use goldcrest_board::emulator::{self, Emulator};
use goldcrest_board::firmware;
use goldcrest_board::payload::Payload;
use goldcrest_board::table::Board;
use goldcrest_data::{Dataset, Options as DatasetOptions, Spec, Split};
use goldcrest_files::write as write_atomically;
use goldcrest_onnx::Model;
use goldcrest_prove::calibrate::quantize_model;
use goldcrest_prove::emulated::evaluate;
use goldcrest_prove::evaluate::{Evaluation, load, logits};
use goldcrest_prove::runtime;
use goldcrest_prove::verify::{Int8File, Scope};
use goldcrest_quantize::pack::PackOptions;
use goldcrest_train::architecture;
use goldcrest_train::training;
use goldcrest_train::training::recipe::{Origin, RecipeOptions};
use goldcrest_train::training::run::{Existing, Run};
use serde::Serialize;

use super::screen::Screen;

/// The longest wait for a first download before the demo takes the built-in data.
const PATIENCE: Duration = Duration::from_secs(5);
/// A network that is trained in a minute or two.
const NETWORK: &str = "lenet5";
const EPOCHS: usize = 12;
const CALIBRATION_IMAGES: usize = 500;
const ONNX_RUNTIME_IMAGES: usize = 1000;
const GOLDEN_VECTORS: usize = 2;

/// What to do.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Which images; without it CIFAR-10 where it is at hand, else the built-in signs.
    pub data: Option<Spec>,
    /// Folder of the run; a run that it holds is replaced.
    pub out: PathBuf,
    /// Passes over the training images; without it, enough for the data.
    pub epochs: Option<usize>,
    /// The board to emulate.
    pub board: &'static Board,
    /// Test images that the board classifies and whose layers it shows.
    pub board_images: usize,
}

/// What came out: the content of `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The data set's name.
    pub dataset: String,
    /// Training images.
    pub train_images: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Share of the test images that the float model classifies right.
    pub float_accuracy: f64,
    /// The same of the int8 model.
    pub int8_accuracy: f64,
    /// Images that tract and the engine computed.
    pub verified_images: usize,
    /// Values compared, over all layers of all images.
    pub verified_values: u64,
    /// Values on which two runners differ, the emulated board included.
    pub mismatches: u64,
    /// The emulated board.
    pub emulated_board: String,
    /// Images that it classified.
    pub emulated_images: usize,
    /// Its logits that differ from the host's.
    pub emulated_mismatches: u64,
    /// Mean over the emulated images.
    pub instructions_per_inference: u64,
    /// RAM for activations.
    pub arena_bytes: u32,
    /// Flash for the firmware without the model.
    pub firmware_flash_bytes: u64,
    /// Flash for the model.
    pub image_bytes: u64,
    /// Time of each stage.
    pub seconds: BTreeMap<&'static str, f64>,
}

/// Runs all stages. The folder then holds the run of the training, `model.int8.onnx`, `model.gci` and
/// `summary.json`. Setting `stop` ends it cleanly during training.
///
/// # Errors
/// When a stage fails; the files of the stages before it stay.
pub fn run(options: &DemoOptions, stop: &AtomicBool, screen: &mut Screen) -> anyhow::Result<Summary> {
    let mut seconds = BTreeMap::new();
    runtime::load(&runtime::Choice::default())?;

    let started = Instant::now();
    screen.stage("data");
    let dataset = open(options.data.as_ref(), screen)?;
    screen.stage(&format!(
        "data: {}, {} training and {} test images of {}",
        dataset.name,
        dataset.train.len(),
        dataset.test.len(),
        dataset.shape
    ));
    seconds.insert("data", started.elapsed().as_secs_f64());

    let started = Instant::now();
    let asked = RecipeOptions { epochs: Some(options.epochs.unwrap_or(EPOCHS)), ..RecipeOptions::default() };
    let (suited, _) = asked.suited(&Origin::BuiltIn(NETWORK.into()), &dataset)?;
    let recipe = suited.resolve()?;
    screen.stage(&format!("train: LeNet-5, {} epochs", recipe.epochs));
    let network = architecture::load(NETWORK)?.build(dataset.shape, dataset.classes.len(), recipe.seed)?;
    let folder = Run::open(&options.out, Existing::Replace)?;
    let trained = training::train(
        &network,
        &dataset,
        &recipe,
        &folder,
        &training::Setup { threads: super::train::cores(), ..training::Setup::default() },
        stop,
        &mut |progress| screen.training(progress),
    )?;
    ensure!(!trained.stopped, "stopped during training; {} holds what was done", options.out.display());
    seconds.insert("train", started.elapsed().as_secs_f64());

    let started = Instant::now();
    let float = Model::read(&trained.model)?;
    let float_accuracy = accuracy(&float, &dataset, "eval: the float model", screen)?;
    seconds.insert("eval", started.elapsed().as_secs_f64());

    let started = Instant::now();
    let calibration = dataset.train.sample(CALIBRATION_IMAGES, recipe.seed);
    screen.stage(&format!("quantize: int8, {} calibration images", calibration.len()));
    let done = screen.images(calibration.len());
    let quantized = quantize_model(&float, &calibration, &Default::default(), &done)?;
    drop(done);
    let file = options.out.join("model.int8.onnx");
    let onnx = quantized.onnx.encode();
    write_atomically(&file, &onnx).with_context(|| file.display().to_string())?;
    let int8_accuracy = accuracy(&quantized.onnx, &dataset, "eval: the int8 model", screen)?;
    seconds.insert("quantize", started.elapsed().as_secs_f64());

    let started = Instant::now();
    screen.stage(&format!(
        "verify: every layer in tract, ONNX Runtime and the engine, and on {} for {} images",
        options.board.name,
        options.board_images.min(dataset.test.len())
    ));
    let board = Some((options.board, options.board_images));
    let scope =
        Scope { onnxruntime: ONNX_RUNTIME_IMAGES, board, packing: PackOptions::default(), image: None };
    let done = screen.images(dataset.test.len());
    let comparison = Int8File::decode(onnx)?.verify(&dataset.test, &scope, &done)?;
    drop(done);
    if let Some(first) = &comparison.first {
        screen.stage(&format!("verify: DIFFERENT, first at {first}"));
    }
    seconds.insert("verify", started.elapsed().as_secs_f64());

    let started = Instant::now();
    screen.stage("pack: the device image");
    let images = dataset.test.head(options.board_images);
    let golden = (0..images.len().min(GOLDEN_VECTORS)).map(|index| images.image(index).to_vec()).collect();
    let packing = PackOptions { family: options.board.family, golden, ..PackOptions::default() };
    let payload = Payload::pack(&quantized.model, &packing)?;
    let file = options.out.join("model.gci");
    write_atomically(&file, payload.image.bytes()).with_context(|| file.display().to_string())?;
    seconds.insert("pack", started.elapsed().as_secs_f64());

    let started = Instant::now();
    screen.stage(&format!("emulate: {} images on {}", images.len(), options.board.name));
    let firmware = firmware::build(options.board)?;
    let mut emulator =
        Emulator::boot(options.board, firmware, payload.image.bytes(), emulator::Options::default())?;
    let done = screen.images(images.len());
    let emulated = evaluate(&mut emulator, &payload, &images, false, &mut || done(1))?;
    drop(done);
    seconds.insert("emulate", started.elapsed().as_secs_f64());

    let summary = Summary {
        dataset: dataset.name,
        train_images: dataset.train.len(),
        epochs: trained.epochs.len(),
        float_accuracy,
        int8_accuracy,
        verified_images: comparison.images,
        verified_values: comparison.values(),
        mismatches: comparison.mismatches(),
        emulated_board: emulated.board,
        emulated_images: emulated.images,
        emulated_mismatches: emulated.mismatches + emulated.self_test_failures as u64,
        instructions_per_inference: emulated.instructions_per_inference,
        arena_bytes: emulated.arena_bytes,
        firmware_flash_bytes: emulated.firmware_bytes,
        image_bytes: emulated.image_bytes,
        seconds,
    };
    let file = options.out.join("summary.json");
    let mut json = serde_json::to_vec_pretty(&summary)?;
    json.push(b'\n');
    write_atomically(&file, &json).with_context(|| file.display().to_string())?;
    Ok(summary)
}

/// The data asked for; else CIFAR-10 when it is cached or arrives soon; else the built-in signs.
fn open(data: Option<&Spec>, screen: &mut Screen) -> anyhow::Result<Dataset> {
    let options = DatasetOptions { progress: crate::progress::data, ..DatasetOptions::default() };
    if let Some(spec) = data {
        return Ok(Dataset::open(spec, &options)?);
    }
    match Dataset::open(&Spec::Cifar10, &DatasetOptions { patience: Some(PATIENCE), ..options.clone() }) {
        Ok(dataset) => Ok(dataset),
        Err(error) => {
            screen.stage(&format!("data: no CIFAR-10 ({error}), so the built-in signs"));
            Ok(Dataset::open(&"glyphs".parse()?, &options)?)
        }
    }
}

fn accuracy(model: &Model, dataset: &Dataset, what: &str, screen: &mut Screen) -> anyhow::Result<f64> {
    screen.stage(what);
    let images: &Split = &dataset.test;
    let done = screen.images(images.len());
    let logits = logits(&*load(model)?, images, &done)?;
    Ok(Evaluation::of(&logits, images.labels(), dataset.classes.len()).accuracy)
}
