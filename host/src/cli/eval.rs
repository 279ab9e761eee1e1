//! `goldcrest eval`: how good is a model?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::Output;
use super::data::DataArgs;
use super::table::Table;
use crate::dataset::Split;
use crate::evaluate::{Agreement, Classifier, EvaluateError, Evaluation, load, logits};
use crate::onnx::Model;

/// Measure the accuracy of a float or int8 model
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  goldcrest eval model.onnx --data cifar10\n  goldcrest eval model.int8.onnx --against model.onnx --data cifar10 --json"
)]
pub struct Args {
    /// ONNX model, float or int8
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Test images to use; all when not given
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Compare answers and logits with another model, such as the float one
    #[arg(long, value_name = "MODEL")]
    pub against: Option<PathBuf>,
}

/// Exit code 0 when the model was evaluated.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let data = args.data.open()?;
    let images = data.test.head(args.count.unwrap_or(data.test.len()));
    let (own, classifier) = answers(&args.model, &images)?;
    let labels = classifier.info().labels.clone();
    if data.classes.len() != labels.len() {
        let (found, expected) = (data.classes.len(), labels.len());
        return Err(EvaluateError::Classes { found, expected }.into());
    }
    let evaluation = Evaluation::of(&own, images.labels(), labels.len());
    let agreement = match &args.against {
        Some(path) => Some(Agreement::of(&own, &answers(path, &images)?.0, images.labels(), labels.len())),
        None => None,
    };
    let result = to_json(&evaluation, agreement.as_ref(), &labels);
    output.print(&result, || to_text(&evaluation, agreement.as_ref(), &labels));
    Ok(ExitCode::SUCCESS)
}

fn answers(path: &Path, images: &Split) -> anyhow::Result<(Vec<f32>, Box<dyn Classifier>)> {
    let place = || path.display().to_string();
    let classifier = load(&Model::read(path)?).with_context(place)?;
    let bar = super::progress::images("eval", images.len());
    let logits = logits(&*classifier, images, &|count| bar.inc(count as u64)).with_context(place)?;
    bar.finish_and_clear();
    Ok((logits, classifier))
}

fn to_json(evaluation: &Evaluation, agreement: Option<&Agreement>, labels: &[String]) -> serde_json::Value {
    let per_class = evaluation.per_class.iter().zip(labels).map(|(class, name)| {
        json!({
            "name": name, "images": class.images, "accuracy": class.recall,
            "precision": class.precision, "recall": class.recall, "f1": class.f1,
        })
    });
    let mut result = json!({
        "images": evaluation.images,
        "accuracy": evaluation.accuracy,
        "top5": evaluation.top5,
        "calibration_error": evaluation.calibration_error,
        "per_class": per_class.collect::<Vec<_>>(),
        "confusion": evaluation.confusion,
    });
    if let Some(agreement) = agreement {
        result["agreement"] = json!(agreement.agreement);
        result["logit_mse"] = json!(agreement.logit_mse);
        result["lost"] = json!(agreement.lost);
        result["won"] = json!(agreement.won);
    }
    result
}

fn to_text(evaluation: &Evaluation, agreement: Option<&Agreement>, labels: &[String]) -> String {
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    let mut table = Table::new(&["class", "images", "accuracy %", "precision %", "F1 %"]);
    for (class, name) in evaluation.per_class.iter().zip(labels) {
        let shares = [class.recall, class.precision, class.f1].map(percent);
        table.row([name.clone(), class.images.to_string()].into_iter().chain(shares));
    }
    let heading: Vec<&str> = std::iter::once("is \\ said").chain(labels.iter().map(String::as_str)).collect();
    let mut confusion = Table::new(&heading);
    for (row, name) in evaluation.confusion.iter().zip(labels) {
        confusion.row(std::iter::once(name.clone()).chain(row.iter().map(u64::to_string)));
    }
    let mut text = format!(
        "{table}\n{confusion}\naccuracy {} %, top-5 {} %, calibration error {} %, {} images\n",
        percent(evaluation.accuracy),
        percent(evaluation.top5),
        percent(evaluation.calibration_error),
        evaluation.images
    );
    if let Some(Agreement { agreement, logit_mse, lost, won }) = agreement {
        text += &format!(
            "same answer on {} %, mean squared difference of the logits {logit_mse:.5}; {} images lost, {} won\n",
            percent(*agreement),
            lost.len(),
            won.len()
        );
    }
    text
}
