//! `goldcrest import`: states what another tool's model leaves out.

use std::path::PathBuf;
use std::process::ExitCode;

use goldcrest_onnx::{Model, info};
use serde_json::json;

use super::data::PictureArgs;
use super::model_side::{ModelSide, StatedArgs, complete};
use super::{Output, refuse_same};

/// Write into another tool's ONNX model how pictures become its input and what its classes are called
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest import resnet.onnx --normalization imagenet --labels names.txt --out model.onnx
  goldcrest import net.onnx --mean 0.5 --std 0.5 --fit middle --out model.onnx

The graph stays as it is; docs/model-file.md describes what is written. Later commands take it from there.")]
pub struct Args {
    /// Float or int8 ONNX model
    pub model: PathBuf,
    /// Where to write the model
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub stated: StatedArgs,
}

/// Exit code 0 when the model was written.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    refuse_same(&args.model, &args.out)?;
    let (mut model, assumed) =
        complete(&args.model, Model::read(&args.model)?, &args.stated, &args.pictures)?;
    let side = ModelSide::of_onnx(&args.model, &model)?;
    let asked = args.pictures.against(&side.place, &side.asked())?;
    if let Some(channels) = info::channels_name(side.input.channels) {
        info::write_preprocessing(asked.preprocessing(), channels, &mut model.metadata);
    }
    model.write(&args.out)?;
    let keys = [info::LABELS, info::NORMALIZATION, info::PREPROCESSING];
    let written = keys.map(|key| (key, model.metadata.get(key)));
    let metadata: serde_json::Map<_, _> =
        written.iter().filter_map(|(key, text)| Some(((*key).to_owned(), json!(text.as_ref()?)))).collect();
    output.print(&json!({ "model": args.out, "metadata": metadata, "assumed": assumed }), || {
        let lines = written.iter().filter_map(|(key, text)| Some(format!("{key}: {}\n", text.as_ref()?)));
        format!("{}{}\n", lines.collect::<String>(), args.out.display())
    });
    Ok(ExitCode::SUCCESS)
}
