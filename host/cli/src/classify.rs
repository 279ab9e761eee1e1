//! `goldcrest classify`: pictures to classes on the host.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_data::picture::Picture;
use goldcrest_onnx::Model;
use goldcrest_prove::evaluate::softmax;
use serde_json::json;

use super::Output;
use super::data::PictureArgs;
use super::model_side::{StatedArgs, complete, load_with_side};
use super::table::Table;

/// Classify pictures on this computer with a float or int8 model
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest classify runs/photos/best.onnx photo.jpg
  goldcrest classify model.int8.onnx *.jpg --json
An int8 model gives the logits that a board gives, bit for bit; `goldcrest infer` asks a board.")]
pub struct Args {
    /// ONNX model, float or int8
    pub model: PathBuf,
    /// Pictures: JPEG, PNG, WebP, BMP, GIF or TIFF
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// Classes to show of each picture, the most probable first
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
    #[command(flatten)]
    pub form: PictureArgs,
    #[command(flatten)]
    pub stated: StatedArgs,
}

/// Exit code 0 when all pictures were classified.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let (model, assumed) = complete(&args.model, Model::read(&args.model)?, &args.stated, &args.form)?;
    let place = || args.model.display().to_string();
    let (classifier, side) = load_with_side(&args.model, &model)?;
    let rule = args.form.against(&side.place, &side.asked())?.preprocessing();
    let mut answers = Vec::with_capacity(args.pictures.len());
    for path in &args.pictures {
        let picture = Picture::open(path, rule.background)?;
        let input = picture.fit(side.input, &rule).with_context(|| path.display().to_string())?;
        let logits = classifier.logits(&[&input]).with_context(place)?;
        answers.push((path, logits));
    }
    let labels = &classifier.info().labels;
    let name = |class: usize| labels.get(class).map_or("", String::as_str);
    let ranked = |logits: &[f32]| {
        let mut classes: Vec<(usize, f64)> = softmax(logits).into_iter().enumerate().collect();
        // The first of equal ones first, as boards answer.
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        classes.truncate(args.top.max(1));
        classes
    };
    let pictures = answers.iter().map(|(path, logits)| {
        let top = ranked(logits);
        let top: Vec<_> = top
            .iter()
            .map(|&(class, probability)| {
                json!({ "class": class, "name": name(class), "probability": probability })
            })
            .collect();
        json!({ "image": path, "top": top, "logits": logits })
    });
    let result = json!({ "model": args.model, "assumed": assumed, "images": pictures.collect::<Vec<_>>() });
    output.print(&result, || {
        let mut table = Table::new(&["image", "class", "name", "probability"]);
        for (path, logits) in &answers {
            for (rank, (class, probability)) in ranked(logits).into_iter().enumerate() {
                let path = if rank == 0 { path.display().to_string() } else { String::new() };
                let probability = format!("{:.1} %", 100.0 * probability);
                table.row([path, class.to_string(), name(class).to_owned(), probability]);
            }
        }
        table
    });
    Ok(ExitCode::SUCCESS)
}
