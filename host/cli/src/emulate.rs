//! `goldcrest emulate`: a test set on an emulated board.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::emulator::{Emulator, EmulatorError, Options};
use goldcrest_board::firmware::{Program, Recipe};
use goldcrest_board::log::Listener;
use goldcrest_board::table::DEFAULT;
use goldcrest_board::{BuildError, firmware, qemu, table};
use goldcrest_prove::board_model::BoardModel;
use goldcrest_prove::emulated::{Evaluation, evaluate};
use goldcrest_quantize::pack::PackOptions;

use super::data::DataArgs;
use super::model_side::ModelSide;
use super::packing::{PackingArgs, Prefer};
use super::table::Table;
use super::{Output, Usage, progress};

/// Run the firmware on an emulated board and compare every logit with the host
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  goldcrest emulate --board {DEFAULT} --model model-int8.onnx --data glyphs --count 50
  goldcrest emulate --board {DEFAULT} --model model.gci --data photos/ --profile --log
Exit code 0: every logit is the host's. 1: some differ, or the run failed. 2: wrong usage, or QEMU or the \
compiler is missing."))]
pub struct Args {
    /// The board; `goldcrest boards` lists them
    #[arg(long, value_name = "BOARD")]
    pub board: String,
    /// An int8 ONNX file, or a device image (.gci)
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Use only the first N test images
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Count the instructions of every layer
    #[arg(long)]
    pub profile: bool,
    #[command(flatten)]
    pub packing: PackingArgs,
    /// Show the firmware's logs on standard error
    #[arg(long)]
    pub log: bool,
}

/// Pictures in the device image for the board's self-test.
const GOLDEN: usize = 2;

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let board = table::find(&args.board).map_err(|error| Usage(error.to_string()))?;
    qemu::check(board).map_err(|error| usage(error.into()))?;
    let file = BoardModel::read(&args.model)?;
    let images = args.data.open_for(&ModelSide::of_board_model(&file))?.test;
    let images = images.head(args.count.unwrap_or(images.len()));
    let golden = (0..images.len().min(GOLDEN)).map(|index| images.image(index).to_vec()).collect();
    let options = PackOptions { golden, ..args.packing.options(board.family) };
    let payload = file.pack(&options).with_context(|| args.model.display().to_string())?;

    say!("building the firmware of {}", board.name);
    let recipe = match args.packing.optimize {
        Prefer::Flash => Recipe::for_model(Program::Application, &payload, true),
        _ => Recipe::default(),
    };
    let firmware = firmware::build_as(board, &recipe).map_err(|error| usage(error.into()))?;
    let log: Listener = if args.log { |line| say!("{line}") } else { |_| () };
    let options = Options { log, ..Options::default() };
    let mut emulator = Emulator::boot(board, firmware, payload.image.bytes(), options).map_err(usage)?;
    let bar = progress::images("emulate", images.len());
    let evaluation = evaluate(&mut emulator, &payload, &images, args.profile, &mut || bar.inc(1));
    bar.finish_and_clear();
    let evaluation = evaluation?;
    output.print(&serde_json::to_value(&evaluation)?, || text(&evaluation));
    Ok(if evaluation.is_exact() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A missing program is a missing part; everything else is a failed run.
fn usage(error: EmulatorError) -> anyhow::Error {
    match error {
        EmulatorError::Qemu(_)
        | EmulatorError::Build(
            BuildError::NoCargo(_) | BuildError::NoTarget { .. } | BuildError::Sources(_),
        ) => Usage(error.to_string()).into(),
        error => error.into(),
    }
}

fn text(evaluation: &Evaluation) -> String {
    let Evaluation { board, images, accuracy, values, mismatches, instructions_range: [least, most], .. } =
        evaluation;
    let mut text = format!(
        "{board}: {images} images, accuracy {:.2} %, {mismatches} of {values} logits differ from the host\n\
         instructions per inference: {} ({least} to {most})\n\
         RAM: arena {} bytes, stack {} bytes; flash: firmware {} bytes + model {} bytes\n",
        accuracy * 100.0,
        evaluation.instructions_per_inference,
        evaluation.arena_bytes,
        evaluation.stack_bytes,
        evaluation.firmware_bytes,
        evaluation.image_bytes,
    );
    if evaluation.self_test_failures > 0 {
        text +=
            &format!("the board's self-test failed on {} golden vectors\n", evaluation.self_test_failures);
    }
    if !evaluation.layers.is_empty() {
        let all: u64 = evaluation.layers.iter().map(|layer| layer.instructions).sum();
        let heading =
            ["layer", "kernel", "MACs", "instructions", "share", "per MAC", "output", "weights", "scratch"];
        let mut table = Table::new(&heading);
        for layer in &evaluation.layers {
            let macs = layer.macs.filter(|&macs| macs > 0);
            let rate = macs.map(|macs| format!("{:.2}", layer.instructions as f64 / macs as f64));
            table.row([
                layer.name.clone(),
                layer.kernel.clone(),
                macs.map(|macs| macs.to_string()).unwrap_or_default(),
                layer.instructions.to_string(),
                format!("{:.1} %", layer.instructions as f64 * 100.0 / all.max(1) as f64),
                rate.unwrap_or_default(),
                layer.output_bytes.to_string(),
                layer.weight_bytes.to_string(),
                layer.scratch_bytes.to_string(),
            ]);
        }
        text += &table.to_string();
    }
    text
}
