//! `goldcrest verify`: does every runner compute what the int8 model says?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_board::table::{self, DEFAULT};
use goldcrest_engine::kernels::Family;
use goldcrest_onnx::foreign;
use goldcrest_prove::verify::answers::{Answers, Outcome};
use goldcrest_prove::verify::{Comparison, Difference, Int8File, Scope, Stress};
use serde_json::json;

use super::data::DataArgs;
use super::model_side::ModelSide;
use super::packing::PackingArgs;
use super::table::Table;
use super::{Output, Usage};

/// Compare every layer of an int8 model in tract, ONNX Runtime and our engine, on images and next to rounding
/// ties
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  goldcrest verify model.int8.onnx --data cifar10
  goldcrest verify model.int8.onnx --data glyphs --count 100 --json
  goldcrest verify model.int8.onnx --data images.tar.gz --board {DEFAULT}
  goldcrest verify model.int8.onnx --data cifar10 --image model.gci
  ./my-program | goldcrest verify model.int8.onnx --data cifar10 --count 20 --stdin

Exit code 0: equal, 1: a value differs, 2: could not run."))]
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
    /// Let our engine run this device image instead of one made from the model
    #[arg(long, value_name = "FILE.gci")]
    pub image: Option<PathBuf>,
    #[command(flatten)]
    pub packing: PackingArgs,
    /// How many of the images ONNX Runtime computes too
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub onnxruntime: usize,
    /// Compare what another program answers, say your own firmware: on standard input, a line `logits INDEX:
    /// L0 L1 ...` for each of the images, counted from 0; other lines are left out
    #[arg(long)]
    pub stdin: bool,
}

/// Exit code 0 when all values are equal, 1 when one differs, 2 when it could not be found out.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let Proof { comparison, stress, answers } = compare(args).map_err(|error| match error.is::<Usage>() {
        true => error,
        // No difference was found, and none was ruled out.
        false => Usage(super::one_line(&error)).into(),
    })?;
    let equal = differing(&comparison, &stress) == 0 && answers.as_ref().is_none_or(Outcome::is_equal);
    output.print(&to_json(&comparison, &stress, answers.as_ref()), || {
        to_text(&comparison, &stress, answers.as_ref())
    });
    Ok(ExitCode::from(u8::from(!equal)))
}

/// What was compared.
struct Proof {
    comparison: Comparison,
    stress: Stress,
    /// The answers of another program.
    answers: Option<Outcome>,
}

fn compare(args: &Args) -> anyhow::Result<Proof> {
    let place = || args.model.display().to_string();
    let bytes = std::fs::read(&args.model).with_context(place)?;
    let foreign = foreign::what(&args.model, &bytes);
    let file = Int8File::decode(bytes).with_context(|| match foreign {
        Some(what) => format!("{}: expected an ONNX model, found {what}", args.model.display()),
        None => place(),
    })?;
    let board = match &args.board {
        Some(name) => Some((table::find(name).map_err(|error| Usage(error.to_string()))?, args.board_images)),
        None => None,
    };
    let packing = args.packing.options(Family::Portable);
    let image = match &args.image {
        Some(path) => Some(std::fs::read(path).with_context(|| path.display().to_string())?),
        None => None,
    };
    let scope = Scope { onnxruntime: args.onnxruntime, board, packing, image };
    let side = ModelSide::of_int8(&args.model, file.model(), file.metadata());
    let images = args.data.open_pictures_for(&side)?.test;
    let images = images.head(args.count.unwrap_or(images.len()));
    let answers = match args.stdin {
        true => Some(Answers::read(std::io::stdin().lock())?.compare(file.model(), &images)?),
        false => None,
    };
    let bar = super::progress::images("verify", images.len());
    let comparison = file.verify(&images, &scope, &|count| bar.inc(count as u64)).with_context(place)?;
    bar.set_message("near ties");
    let stress = file.stress(&scope).with_context(place)?;
    bar.finish_and_clear();
    Ok(Proof { comparison, stress, answers })
}

/// Values that differ, on images and next to ties.
fn differing(comparison: &Comparison, stress: &Stress) -> u64 {
    comparison.mismatches() + stress.mismatches
}

fn to_json(comparison: &Comparison, stress: &Stress, answers: Option<&Outcome>) -> serde_json::Value {
    let layers = comparison
        .layers
        .iter()
        .map(|layer| json!({ "name": layer.name, "values": layer.values, "mismatches": layer.mismatches }));
    let references = comparison.references.iter().map(|&(name, _)| name);
    let counts = comparison.references.iter().map(|&(name, images)| (name.to_owned(), json!(images)));
    let first = comparison.first.as_ref().or(stress.first.as_ref());
    json!({
        "images": comparison.images,
        "values": comparison.values(),
        "mismatches": differing(comparison, stress),
        "references": references.collect::<Vec<_>>(),
        "reference_images": counts.collect::<serde_json::Map<_, _>>(),
        "first_difference": first.map(ToString::to_string),
        "layers": layers.collect::<Vec<_>>(),
        "near_ties": {
            "layers": stress.layers, "accumulators": stress.placed, "ties": stress.ties,
            "values": stress.values, "mismatches": stress.mismatches,
        },
        "answers": answers.map(|answers| json!({
            "images": answers.images, "values": answers.values, "mismatches": answers.mismatches,
            "missing": answers.missing,
        })),
    })
}

fn to_text(comparison: &Comparison, stress: &Stress, answers: Option<&Outcome>) -> String {
    let mut table = Table::new(&["layer", "values", "differ"]);
    for layer in &comparison.layers {
        table.row([layer.name.clone(), layer.values.to_string(), layer.mismatches.to_string()]);
    }
    let counts: Vec<String> =
        comparison.references.iter().map(|(name, images)| format!("{name} ({images} images)")).collect();
    let verdict = |mismatches: u64, first: &Option<Difference>| match first {
        None => "equal, every value".to_owned(),
        Some(first) => format!("DIFFERENT: {mismatches} values; the first is\n{first}"),
    };
    let answers = answers.map_or(String::new(), |answers| format!("{answers}\n"));
    format!(
        "{table}\n{}: {}\nnear ties: {} accumulators next to rounding boundaries of {} layers, {} of them \
         ties, {} values: {}\n{answers}",
        counts.join(", "),
        verdict(comparison.mismatches(), &comparison.first),
        stress.placed,
        stress.layers,
        stress.ties,
        stress.values,
        verdict(stress.mismatches, &stress.first)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a runner that rounds one value wrongly would leave behind.
    #[test]
    fn a_difference_next_to_a_tie_counts_as_one() {
        let comparison = Comparison { images: 1, references: vec![], layers: vec![], first: None };
        let difference = Difference {
            image: 0,
            layer: "conv1".into(),
            position: [0, 1, 2],
            found: [("engine", 3), ("tract", 4)],
            expected: 4,
            behind: Some((896, 256, 0)),
        };
        let stress = Stress { mismatches: 1, first: Some(difference), ..Stress::default() };
        let json = to_json(&comparison, &stress, None);
        assert_eq!(json["mismatches"], 1);
        let first = json["first_difference"].as_str().unwrap();
        assert!(
            first.contains("`conv1`, row 0, column 1, channel 2: engine says 3, tract says 4"),
            "{first}"
        );
        assert!(first.contains("round(896 * 256 / 65536 = 3.500000)"), "{first}");
        assert!(to_text(&comparison, &stress, None).contains("DIFFERENT: 1 values"));
    }
}
