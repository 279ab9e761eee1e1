//! `goldcrest sweep`: many short trainings find a recipe.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use goldcrest_train::sweep::{self, Event, Report, Sweep, Trial, median};
use goldcrest_train::training;
use goldcrest_train::training::recipe::RecipeOptions;

use super::data::{DataArgs, agree};
use super::table::Table;
use super::train::{Machine, Watcher, existing, network, stop_on_signals, usage};
use super::{Output, Usage};

/// Find a recipe: train many times with values drawn from the recipe's `[search]` table
#[derive(Debug, clap::Args)]
#[command(after_help = "The recipe says what is fixed and what is searched:

  epochs = 10
  validate = 0.1

  [search]
  learning-rate = { low = 0.005, high = 0.5, log = true }
  weight-decay = { low = 1e-5, high = 1e-2, log = true }
  batch = { choices = [32, 64, 128] }

Examples:
  goldcrest sweep recipe.toml --network lenet5 --data photos/ --out sweeps/photos --trials 30
  goldcrest sweep recipe.toml --network lenet5 --data photos/ --out sweeps/photos --trials 50 --resume
  goldcrest train lenet5 --recipe sweeps/photos/best.toml --data photos/ --out runs/photos")]
pub struct Args {
    /// A recipe's TOML file with a `[search]` table: { low, high, log } or { choices } per key
    pub recipe: PathBuf,
    /// A built-in architecture (lenet5, resnet8, ...), the path of your own .toml file, or an ONNX model to
    /// go on from
    #[arg(long, value_name = "ARCH|MODEL")]
    pub network: String,
    #[command(flatten)]
    pub data: DataArgs,
    /// Folder of the sweep: sweep.jsonl, best.toml, and a run per trial in trials/
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of trainings, those before a resume included
    #[arg(long, value_name = "N", default_value = "20")]
    pub trials: NonZeroUsize,
    /// Use only the first N training images; a share of them (`validate` in the recipe, else 0.1) compares
    /// the trials
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Give an ONNX model a fresh last layer for N classes
    #[arg(long, value_name = "N")]
    pub head: Option<NonZeroUsize>,
    /// Go on after the sweep's last trial, and within one that was cut off
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Replace the sweep that the folder holds
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub machine: Machine,
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let options = RecipeOptions::read(&args.recipe).map_err(usage)?;
    let text = std::fs::read_to_string(&args.recipe)
        .map_err(|error| Usage(format!("{}: cannot read the recipe: {error}", args.recipe.display())))?;
    let found = network(&args.network)?;
    let own = options.pictures().map_err(usage)?;
    let asked = agree("the flags", &args.data.pictures.asked(), &args.recipe.display().to_string(), &own)?;
    let asked = found.agree(&asked)?;
    let options = options.or(found.options()).with_pictures(&asked);
    let setup = args.machine.setup()?;
    let mut dataset = found.named(args.data.open(&asked)?, args.head, args.data.by_position)?;
    if let Some(count) = args.images {
        dataset.train = dataset.train.head(count);
    }
    let (options, said) = options.suited(&found.origin()?, &dataset).map_err(usage)?;
    said.iter().for_each(|sentence| say!("{sentence}"));
    // Once for a clear error; other seeds make networks of the same form.
    let first = found.build(args.head, &dataset, 0)?;
    training::check(&first, &dataset)?;
    let model = |seed| found.build(args.head, &dataset, seed).unwrap_or_else(|_| first.clone());

    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut watcher = Watcher::new("validation");
    let task = Sweep {
        options,
        text,
        network: args.network.clone(),
        model: &model,
        dataset: &dataset,
        out: &args.out,
        existing: existing(args.resume, args.overwrite),
        trials: args.trials.get(),
    };
    let report = sweep::sweep(task, &setup, &stop, &mut |event| match event {
        Event::Begin { trial, parameters } => {
            say!("trial {trial} of {}: {}", args.trials, values(parameters));
        }
        Event::Training(progress) => watcher.see(progress),
        Event::End(trial) => {
            watcher.bar.finish_and_clear();
            let problem = trial.problem.as_deref().unwrap_or_default();
            say!("trial {}: {} {} {problem}", trial.trial, accuracy(trial), outcome(trial));
        }
    });
    watcher.bar.finish_and_clear();
    let report = match report {
        Err(error @ (sweep::SweepError::NoSpace | sweep::SweepError::Recipe(_))) => {
            return Err(Usage(format!("{}: {error}", args.recipe.display())).into());
        }
        other => other?,
    };
    print(&report, output);
    Ok(if report.stopped { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn values(parameters: &toml::Table) -> String {
    parameters.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

fn accuracy(trial: &Trial) -> String {
    format!("{:.2} %", 100.0 * median::best(&trial.accuracies))
}

fn outcome(trial: &Trial) -> String {
    match trial.outcome {
        sweep::Outcome::Done => "done".into(),
        sweep::Outcome::Stopped => format!("stopped after {} epochs", trial.accuracies.len()),
        sweep::Outcome::Failed => "failed".into(),
    }
}

fn print(report: &Report, output: Output) {
    let best = report.best();
    let json = serde_json::json!({
        "trials": report.trials,
        "best": best.map(|trial| serde_json::json!({
            "trial": trial.trial,
            "validation_accuracy": median::best(&trial.accuracies),
            "parameters": trial.parameters,
        })),
        "recipe": report.recipe,
        "stopped": report.stopped,
    });
    output.print(&json, || {
        let keys: Vec<String> =
            report.trials.first().map(|trial| trial.parameters.keys().cloned().collect()).unwrap_or_default();
        let mut heading = vec!["trial", "validation", "outcome"];
        heading.extend(keys.iter().map(String::as_str));
        let mut table = Table::new(&heading);
        let mut trials: Vec<&Trial> = report.trials.iter().collect();
        trials.sort_by(|a, b| median::best(&b.accuracies).total_cmp(&median::best(&a.accuracies)));
        for trial in trials {
            let cells = [trial.trial.to_string(), accuracy(trial), outcome(trial)];
            let parameters = trial.parameters.values().map(ToString::to_string);
            table.row(cells.into_iter().chain(parameters));
        }
        let mut text = table.to_string();
        if let Some(recipe) = &report.recipe {
            text += &format!("best recipe: {}\n", recipe.display());
        }
        if report.stopped {
            text += "stopped early; --resume goes on\n";
        }
        text
    });
}
