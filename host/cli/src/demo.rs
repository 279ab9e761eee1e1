//! `goldcrest demo`: the whole way at once.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use goldcrest_board::{qemu, table};
use goldcrest_data::Spec;
use goldcrest_train::training::Progress;

use super::table::Table;
use super::train::{Watcher, stop_on_signals};
use super::{Output, Usage, progress};
use crate::whole_way::{self, Observer, Options, Summary};

/// Train, quantize, prove and run on an emulated board, with a summary
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest demo
  goldcrest demo --data images.tar.gz --out runs/images --epochs 20

Exit code 0: every value was equal everywhere. 1: some differ, or a stage failed. 2: a part is missing.")]
pub struct Args {
    /// Data set; without it CIFAR-10 where it is at hand, else `glyphs`
    #[arg(long, value_name = "SPEC")]
    pub data: Option<Spec>,
    /// Folder of the run; a run that it holds is replaced
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub out: PathBuf,
    /// Passes over the training images [default: 12]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// The board to emulate
    #[arg(long, value_name = "BOARD", default_value = "mps2-an386")]
    pub board: String,
    /// Test images that the board computes
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub board_images: usize,
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let board = table::find(&args.board).map_err(|error| Usage(error.to_string()))?;
    qemu::check(board).map_err(|error| Usage(error.to_string()))?;
    let options = Options {
        data: args.data.clone(),
        out: args.out.clone(),
        epochs: args.epochs,
        board,
        board_images: args.board_images,
    };
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let summary = whole_way::run(&options, &stop, &mut Screen { watcher: Watcher::new() })?;
    output.print(&serde_json::to_value(&summary)?, || text(&summary));
    Ok(ExitCode::from(u8::from(summary.mismatches + summary.emulated_mismatches > 0)))
}

struct Screen {
    watcher: Watcher,
}

impl Observer for Screen {
    fn stage(&mut self, what: &str) {
        self.watcher.bar.finish_and_clear();
        say!("{what}");
    }

    fn training(&mut self, progress: Progress) {
        self.watcher.see(progress);
    }

    fn images(&mut self, count: usize) -> Box<dyn Fn(usize) + Sync> {
        let bar = progress::images("", count);
        Box::new(move |done| {
            bar.inc(done as u64);
            if bar.position() >= count as u64 {
                bar.finish_and_clear();
            }
        })
    }
}

fn text(summary: &Summary) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut table = Table::new(&["", summary.dataset.as_str()]);
    let seconds: f64 = summary.seconds.values().sum();
    for (what, value) in [
        ("training images", summary.train_images.to_string()),
        ("epochs", summary.epochs.to_string()),
        ("test accuracy, float", percent(summary.float_accuracy)),
        ("test accuracy, int8", percent(summary.int8_accuracy)),
        ("images verified", summary.verified_images.to_string()),
        ("values compared", summary.verified_values.to_string()),
        ("values that differ", summary.mismatches.to_string()),
        ("emulated board", summary.emulated_board.clone()),
        ("images on the board", summary.emulated_images.to_string()),
        ("logits that differ", summary.emulated_mismatches.to_string()),
        ("instructions per inference", summary.instructions_per_inference.to_string()),
        ("RAM for activations", format!("{} bytes", summary.arena_bytes)),
        ("flash, firmware", format!("{} bytes", summary.firmware_flash_bytes)),
        ("flash, model", format!("{} bytes", summary.image_bytes)),
        ("time", format!("{seconds:.0} s")),
    ] {
        table.row([what.to_owned(), value]);
    }
    table.to_string()
}
