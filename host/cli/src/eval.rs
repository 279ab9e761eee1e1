//! `goldcrest eval`: how good is a model, alone or beside another?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use goldcrest_data::Split;
use goldcrest_onnx::Model;
use goldcrest_prove::evaluate::{Agreement, Classifier, EvaluateError, Evaluation, logits, save};
use serde_json::{Value, json};

use super::data::{DataArgs, PictureArgs, agree};
use super::model_side::{ModelSide, StatedArgs, complete, load_with_side};
use super::table::Table;
use super::{Output, Usage};

/// Measure the accuracy of a float or int8 model
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  goldcrest eval model.onnx --data cifar10
  goldcrest eval model.int8.onnx --against model.onnx --data cifar10 --json
  goldcrest eval model.int8.onnx --against model.onnx --data images/ --list-lost --save-lost lost/

With --against, `lost` are the images that the other model gets right and this one wrong.")]
pub struct Args {
    /// ONNX model, float or int8
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub stated: StatedArgs,
    /// Test images to use; all when not given
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Put another model beside it, such as the float one, and compare answers and logits
    #[arg(long, value_name = "MODEL")]
    pub against: Option<PathBuf>,
    /// List the lost images
    #[arg(long, requires = "against")]
    pub list_lost: bool,
    /// Save the lost images as PNG files in this folder
    #[arg(long, value_name = "DIR", requires = "against")]
    pub save_lost: Option<PathBuf>,
    /// Write the results of every class, and which was taken for which how often, to this JSON file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Exit code 0 when the model was evaluated.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let model = Model::read(&args.model)?;
    // Beside another model, the flags say what either leaves out.
    let stated = match &args.against {
        Some(_) => args.stated.left_out_by(&model),
        None => args.stated.clone(),
    };
    let (model, assumed) = complete(&args.model, model, &stated, &args.data.pictures)?;
    let (classifier, side) = load_with_side(&args.model, &model)?;
    let data = args.data.open_for(&side)?;
    let images = data.test.head(args.count.unwrap_or(data.test.len()));
    let own = Evaluated::of(&args.model, &*classifier, &images, data.classes.len())?;
    let other = match &args.against {
        Some(path) => Some(Beside::of(&own, path, &args.stated, &side, &images)?),
        None => None,
    };
    if let (Some(folder), Some(other)) = (&args.save_lost, &other) {
        save(folder, &images, &other.agreement.lost, &own.evaluation.answers, &own.labels)?;
    }
    let mut result = to_json(&own, other.as_ref(), &images);
    result["assumed"] = assumed.into();
    if let Some(path) = &args.out {
        goldcrest_files::write(path, format!("{result:#}\n").as_bytes())
            .with_context(|| path.display().to_string())?;
    }
    for evaluated in std::iter::once(&own).chain(other.as_ref().map(|other| &other.other)) {
        if let Some(class) = evaluated.evaluation.only_answer() {
            let (model, class) = (&evaluated.model, &evaluated.labels[class]);
            say!("warning: {model} takes every image for {class}");
        }
    }
    output.print(&result, || match &other {
        None => to_text(&own),
        Some(other) => to_text_beside(&own, other, &images, args.list_lost),
    });
    Ok(ExitCode::SUCCESS)
}

/// A model with what it said.
struct Evaluated {
    model: String,
    logits: Vec<f32>,
    labels: Vec<String>,
    evaluation: Evaluation,
}

impl Evaluated {
    fn of(path: &Path, classifier: &dyn Classifier, images: &Split, classes: usize) -> anyhow::Result<Self> {
        let place = || path.display().to_string();
        let labels = classifier.info().labels.clone();
        if classes != labels.len() {
            let (found, expected) = (classes, labels.len());
            return Err(EvaluateError::Classes { found, expected }).with_context(place);
        }
        let bar = super::progress::images("eval", images.len());
        let logits = logits(classifier, images, &|count| bar.inc(count as u64)).with_context(place)?;
        bar.finish_and_clear();
        let evaluation = Evaluation::of(&logits, images.labels(), classes);
        let model = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { model, logits, labels, evaluation })
    }
}

/// Another model, and how closely the first follows it.
struct Beside {
    other: Evaluated,
    agreement: Agreement,
}

impl Beside {
    fn of(
        own: &Evaluated,
        path: &Path,
        stated: &StatedArgs,
        side: &ModelSide,
        images: &Split,
    ) -> anyhow::Result<Self> {
        let classes = own.labels.len();
        let model = Model::read(path)?;
        let stated = stated.left_out_by(&model);
        let (model, _) = complete(path, model, &stated, &PictureArgs::default())?;
        let (classifier, theirs) = load_with_side(path, &model)?;
        agree(&side.place, &side.asked(), &theirs.place, &theirs.asked())?;
        if let (Some(own), Some(their)) = (&side.labels, &theirs.labels)
            && own != their
        {
            let (own, their) = (own.join(", "), their.join(", "));
            return Err(Usage(format!(
                "{} has the classes {own}, {} has {their}; answers can be compared only where they are the \
                 same",
                side.place, theirs.place
            ))
            .into());
        }
        let other = Evaluated::of(path, &*classifier, images, classes)?;
        let agreement = Agreement::of(&own.logits, &other.logits, images.labels(), classes);
        Ok(Self { other, agreement })
    }
}

fn to_json(own: &Evaluated, beside: Option<&Beside>, images: &Split) -> Value {
    let mut result = evaluation_json(own);
    if let Some(Beside { other, agreement }) = beside {
        let name = |class: usize| own.labels.get(class).map_or("?", |name| name);
        let lost = agreement.lost.iter().map(|&index| {
            json!({
                "image": index, "class": name(images.label(index)),
                "answer": name(own.evaluation.answers[index]),
            })
        });
        result["agreement"] = json!(agreement.agreement);
        result["logit_mse"] = json!(agreement.logit_mse);
        result["lost"] = json!(agreement.lost);
        result["won"] = json!(agreement.won);
        result["lost_images"] = lost.collect();
        result["against"] = evaluation_json(other);
    }
    result
}

fn evaluation_json(evaluated: &Evaluated) -> Value {
    let Evaluated { model, labels, evaluation, .. } = evaluated;
    let per_class = evaluation.per_class.iter().zip(labels).map(|(class, name)| {
        json!({
            "name": name, "images": class.images, "accuracy": class.recall,
            "precision": class.precision, "recall": class.recall, "f1": class.f1,
        })
    });
    json!({
        "model": model,
        "images": evaluation.images,
        "accuracy": evaluation.accuracy,
        "balanced_accuracy": evaluation.balanced_accuracy(),
        "only_answer": evaluation.only_answer().map(|class| &labels[class]),
        "top5": evaluation.top5(),
        "top": evaluation.top,
        "macro_f1": evaluation.macro_f1(),
        "calibration_error": evaluation.calibration_error,
        "per_class": per_class.collect::<Vec<_>>(),
        "confusion": evaluation.confusion,
    })
}

/// Classes of which a terminal shows all; of more, the worst.
const SHOWN: usize = 20;

/// The classes to show, and a line on those that are left out.
fn shown(own: &Evaluated) -> (Vec<usize>, String) {
    let classes = &own.evaluation.per_class;
    let mut order: Vec<usize> = (0..classes.len()).collect();
    if order.len() <= SHOWN {
        return (order, String::new());
    }
    order.retain(|&class| classes[class].images > 0);
    order.sort_by(|&a, &b| classes[a].recall.total_cmp(&classes[b].recall));
    order.truncate(SHOWN);
    (order, format!("the worst {SHOWN} of {} classes; --out FILE writes all\n", classes.len()))
}

fn to_text(own: &Evaluated) -> String {
    let Evaluated { labels, evaluation, .. } = own;
    let mut table = Table::new(&["class", "images", "recall %", "precision %", "F1 %"]);
    let (order, note) = shown(own);
    for (class, name) in order.iter().map(|&class| (&evaluation.per_class[class], &labels[class])) {
        let shares = [class.recall, class.precision, class.f1].map(percent);
        table.row([name.clone(), class.images.to_string()].into_iter().chain(shares));
    }
    format!("{table}{note}\n{}\n{}", confusion(own), overall(&[own]))
}

/// Both models side by side: each number as `own / other`.
fn to_text_beside(own: &Evaluated, beside: &Beside, images: &Split, list_lost: bool) -> String {
    let Beside { other, agreement } = beside;
    let mut table = Table::new(&["class", "images", "recall %", "precision %", "F1 %"]);
    let (order, note) = shown(own);
    for class in order {
        let (name, against) = (&own.labels[class], &other.evaluation.per_class[class]);
        let class = &own.evaluation.per_class[class];
        let pair = |a: f64, b: f64| format!("{:>6} / {:>6}", percent(a), percent(b));
        table.row([
            name.clone(),
            class.images.to_string(),
            pair(class.recall, against.recall),
            pair(class.precision, against.precision),
            pair(class.f1, against.f1),
        ]);
    }
    let mut text =
        format!("{table}{note}\n{}\n{}\n{}", confusion(own), confusion(other), overall(&[own, other]));
    text += &format!(
        "same answer on {} %, mean squared difference of the logits {:.5}; {} images lost, {} won\n",
        percent(agreement.agreement),
        agreement.logit_mse,
        agreement.lost.len(),
        agreement.won.len()
    );
    if list_lost {
        let mut table = Table::new(&["lost image", "class", "answer"]);
        for &index in &agreement.lost {
            let name = |class: usize| own.labels.get(class).cloned().unwrap_or_default();
            let answer = own.evaluation.answers[index];
            table.row([index.to_string(), name(images.label(index)), name(answer)]);
        }
        text += &format!("\n{table}");
    }
    text
}

/// One row per model.
fn overall(models: &[&Evaluated]) -> Table {
    let mut table = Table::new(&[
        "model",
        "images",
        "accuracy %",
        "balanced %",
        "top-2 %",
        "top-5 %",
        "F1 %",
        "calibration error %",
    ]);
    for Evaluated { model, evaluation, .. } in models {
        let top2 = evaluation.top.get(1).copied().unwrap_or(1.0);
        let shares = [
            evaluation.accuracy,
            evaluation.balanced_accuracy(),
            top2,
            evaluation.top5(),
            evaluation.macro_f1(),
            evaluation.calibration_error,
        ];
        table.row([model.clone(), evaluation.images.to_string()].into_iter().chain(shares.map(percent)));
    }
    table
}

fn confusion(evaluated: &Evaluated) -> Table {
    let Evaluated { model, labels, evaluation, .. } = evaluated;
    if labels.len() > SHOWN {
        return mistakes(evaluated);
    }
    let corner = format!("{model}: is \\ said");
    let heading: Vec<&str> = std::iter::once(&*corner).chain(labels.iter().map(String::as_str)).collect();
    let mut table = Table::new(&heading);
    for (row, name) in evaluation.confusion.iter().zip(labels) {
        table.row(std::iter::once(name.clone()).chain(row.iter().map(u64::to_string)));
    }
    table
}

/// The most common mistakes, where a table of all classes against all would fill screens.
fn mistakes(evaluated: &Evaluated) -> Table {
    let Evaluated { model, labels, evaluation, .. } = evaluated;
    let rows = evaluation.confusion.iter().enumerate();
    let pairs =
        rows.flat_map(|(is, row)| row.iter().enumerate().map(move |(said, &count)| (count, is, said)));
    let mut pairs: Vec<(u64, usize, usize)> =
        pairs.filter(|&(count, is, said)| is != said && count > 0).collect();
    pairs.sort_by_key(|&(count, is, said)| (std::cmp::Reverse(count), is, said));
    let mut table = Table::new(&[&format!("{model}: is"), "said", "images"]);
    for (count, is, said) in pairs.into_iter().take(SHOWN) {
        table.row([labels[is].clone(), labels[said].clone(), count.to_string()]);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}
