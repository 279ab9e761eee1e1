//! `goldcrest train`: a network and a data set become a run with a trained model.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use goldcrest_data::{Asked, Dataset};
use goldcrest_onnx::Model;
use goldcrest_prove::runtime::{self, WantedDevice};
use goldcrest_train::architecture;
use goldcrest_train::training::metrics::Epoch;
use goldcrest_train::training::recipe::{Origin, RecipeOptions};
use goldcrest_train::training::run::Existing;
use goldcrest_train::training::{self, Backend, Progress, Run, Setup, Summary};
use indicatif::{ProgressBar, ProgressStyle};

use super::data::{DataArgs, agree};
use super::model_side::ModelSide;
use super::recipe::RecipeArgs;
use super::{Output, Usage};

/// Train a network on labelled images
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:
  goldcrest train lenet5 --data glyphs --out runs/signs --epochs 5
  goldcrest train lenet5 --data photos/ --resize 32x32 --out runs/photos --recipe recipe.toml
  goldcrest train runs/photos/model.onnx --data photos/ --out runs/more --learning-rate 0.001
  goldcrest train models/resnet8.onnx --data birds/ --resize 32x32 --out runs/birds --head 7 --freeze \
  conv1,basic1
  goldcrest train dscnn --data photos/ --out runs/small --teacher runs/photos/best.onnx --temperature 4
  goldcrest train runs/photos/best.onnx --data photos/ --out runs/int8 --qat --epochs 5 --learning-rate 0.001
  goldcrest train resnet8 --recipe resnet8 --data cifar10 --out runs/mixed --augment flip,crop=4,cutmix=1 \
  --ema 0.999
  goldcrest train lenet5 --data photos/ --out runs/photos --resume --epochs 80",
    after_help = "Examples:
  goldcrest train lenet5 --data photos/ --resize 32x32 --out runs/photos
  goldcrest train lenet5 --data photos/ --out runs/photos --resume --epochs 80
--help shows all options and more examples."
)]
pub struct Args {
    /// A built-in architecture (lenet5, resnet8, ...), the path of your own .toml file, or an ONNX model to
    /// go on from
    #[arg(value_name = "ARCH|MODEL")]
    pub network: String,
    #[command(flatten)]
    pub data: DataArgs,
    /// Folder of the run: recipe.toml, metrics.jsonl, confusion.jsonl, checkpoint, best.onnx, model.onnx
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Give an ONNX model a fresh last layer for N classes; --freeze keeps the layers before it as they are
    #[arg(long, value_name = "N")]
    pub head: Option<NonZeroUsize>,
    /// Use only the first N training images
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Go on after the run's last checkpoint; its recipe is kept where no flag says otherwise
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Replace the run that the folder holds
    #[arg(long)]
    pub overwrite: bool,
    /// A TOML file with the options below, or a built-in recipe (resnet8); flags win over it
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    #[command(flatten)]
    pub recipe_args: RecipeArgs,
    #[command(flatten)]
    pub machine: Machine,
}

/// How a run uses the machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Threads of each operator, as many as there are cores where not given; the input pipeline has its own
    #[arg(
        long, value_name = "N", default_value_t = cores(), hide_default_value = true, hide_short_help = true
    )]
    pub threads: usize,
    /// Longest time between two checkpoints; one is written after each epoch anyway
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0, hide_short_help = true)]
    pub save_every: f64,
    /// What makes the steps: ONNX Runtime's training API, on the processor; or plain sessions over standard
    /// operators, on any device. `auto` takes the training API if this ONNX Runtime has it and the steps run
    /// on the processor
    #[arg(long, default_value = "auto", value_parser = named(&Backend::ALL), hide_short_help = true)]
    pub backend: Backend,
    /// Where steps are made; auto takes a GPU where there are a driver, a GPU and an ONNX Runtime for it
    #[arg(long, default_value = "auto", value_parser = named(&WantedDevice::ALL))]
    pub device: WantedDevice,
    /// The ONNX Runtime library to use instead of the installed one
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub runtime: Option<PathBuf>,
}

/// Cores at hand.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Machine {
    /// Loads the runtime and finds the device; an error says what is missing.
    pub(super) fn setup(&self) -> Result<Setup, Usage> {
        let save_every = std::time::Duration::try_from_secs_f64(60.0 * self.save_every).map_err(|_| {
            Usage(format!("--save-every is {}; expected a number of minutes, 0 or more", self.save_every))
        })?;
        // The API computes on the processor: no need to look for a GPU.
        let wanted = match (self.backend, self.device) {
            (Backend::TrainingApi, WantedDevice::Auto) => WantedDevice::Cpu,
            (_, device) => device,
        };
        let device = runtime::load_for(wanted, self.runtime.clone()).map_err(usage)?;
        Ok(Setup { backend: self.backend, device, threads: self.threads, save_every })
    }
}

/// A parser of names that stand for values.
pub(super) fn named<T: Copy + Send + Sync + 'static>(
    values: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    let find = |name: String| values.iter().find(|(known, _)| *known == name).map(|&(_, value)| value);
    PossibleValuesParser::new(values.iter().map(|(name, _)| *name))
        .try_map(move |name| find(name).ok_or("not among the possible values"))
}

/// What to do with a folder that may hold a run.
pub(super) fn existing(resume: bool, overwrite: bool) -> Existing {
    match (resume, overwrite) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Replace,
        _ => Existing::Refuse,
    }
}

/// Runs the subcommand.
pub fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    // Cheap checks first: nobody waits for the images to be decoded to hear of a typing error.
    let network = network(&args.network)?;
    let options = options(args, &network)?;
    let recipe = options.clone().resolve().map_err(usage)?;
    if recipe.qat && !matches!(network, Network::Model { .. }) {
        let advice = "train it first, then fine-tune its model.onnx";
        return Err(Usage(format!(
            "--qat fine-tunes an ONNX model, {} is an architecture; {advice}",
            args.network
        ))
        .into());
    }
    let setup = args.machine.setup()?;
    let dataset = network.named(args.data.open(&recipe.pictures)?, args.head, args.data.by_position)?;
    let mut dataset = of_run(args, dataset)?;
    if let Some(count) = args.images {
        dataset.train = dataset.train.head(count);
    }
    tell_classes(&dataset);
    let origin = network.origin()?;
    let (options, said) = options.suited(&origin, &dataset).map_err(usage)?;
    if !args.resume {
        said.iter().for_each(|sentence| say!("{sentence}"));
    }
    if let Some(warning) = options.leaks(&origin) {
        say!("warning: {warning}");
    }
    let recipe = options.resolve().map_err(usage)?;
    let model = network.build(args.head, &dataset, recipe.seed)?;
    training::check(&model, &dataset)?;
    let run = Run::open(&args.out, existing(args.resume, args.overwrite))?;

    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut watcher = Watcher::new("test");
    let summary = training::train(&model, &dataset, &recipe, &run, &setup, &stop, &mut |progress| {
        watcher.see(progress);
    });
    watcher.bar.finish_and_clear();
    let summary = summary?;
    let only =
        summary.epochs.last().and_then(Epoch::only_answer).and_then(|class| dataset.classes.get(class));
    if let Some(class) = only {
        say!(
            "warning: every test image is taken for {class}: the network has learned which class is common, \
             not what it looks like; try more images of the other classes, or another learning rate"
        );
    }
    print(&summary, &run, output);
    Ok(if summary.stopped { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Classes that are listed with their images; of more, the extremes say enough.
const LISTED_CLASSES: usize = 20;
/// A class is rare where another has so many times its images.
const RARE: usize = 5;

/// Says how many training images each class has, and what that does to accuracy.
fn tell_classes(dataset: &Dataset) {
    let mut counts = vec![0usize; dataset.classes.len()];
    dataset.train.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
    let pairs = || dataset.classes.iter().zip(counts.iter().copied());
    let (Some((rare, least)), Some((common, most))) =
        (pairs().min_by_key(|one| one.1), pairs().max_by_key(|one| one.1))
    else {
        return;
    };
    if counts.len() <= LISTED_CLASSES {
        let all: Vec<String> = pairs().map(|(name, count)| format!("{name} {count}")).collect();
        say!("training images of each class: {}", all.join(", "));
    } else {
        say!("training images of each class: {least} ({rare}) to {most} ({common})");
    }
    if most >= RARE * least.max(1) {
        say!(
            "warning: {common} has {most} training images, {rare} {least}; accuracy is high for always \
             saying {common}, so look at the balanced accuracy, the mean over classes"
        );
    }
}

pub(super) fn usage(error: impl std::error::Error) -> Usage {
    Usage(error.to_string())
}

/// What was asked for: by flags, the recipe's file, a run that goes on, and the model.
fn options(args: &Args, network: &Network) -> anyhow::Result<RecipeOptions> {
    let mut options = args.recipe_args.options.clone();
    let mut asked = args.data.pictures.asked();
    if let Some(path) = &args.recipe {
        let file = RecipeOptions::read(path).map_err(usage)?;
        // A flag wins over a file that the user gives too.
        asked = asked.or(file.pictures().map_err(usage)?);
        options = options.or(file);
    }
    if args.resume {
        let run = training::manifest::recipe(&args.out).map_err(usage)?;
        let place = format!("the run in {}", args.out.display());
        asked = agree("the flags", &asked, &place, &run.pictures().map_err(usage)?)?;
        options = options.or(run);
    }
    let states_normalization = options.mean.is_some() || network.options().mean.is_some();
    if let (Network::Model { name, .. }, false) = (network, states_normalization) {
        say!(
            "warning: {name} does not say how its pixels are normalized; assumed: mean 0.5, std 0.5 (pixels \
             from -1 to 1). State it with --mean and --std"
        );
    }
    let asked = network.agree(&asked)?;
    Ok(options.or(network.options()).with_pictures(&asked))
}

/// A run that goes on has its classes; data of others would make it another run under its name.
fn of_run(args: &Args, dataset: Dataset) -> anyhow::Result<Dataset> {
    let files = [training::run::BEST, training::run::MODEL].map(|name| args.out.join(name));
    let Some(path) = files.iter().find(|path| args.resume && path.is_file()) else { return Ok(dataset) };
    let side = ModelSide::of_onnx(path, &Model::read(path)?)?;
    let Some(names) = side.labels.filter(|_| !args.data.by_position) else { return Ok(dataset) };
    let matched = dataset.in_order_of(&names);
    Ok(matched.map_err(|error| {
        Usage(format!("the run in {}: {error}; take its data, or another --out", args.out.display()))
    })?)
}

/// What is to be trained.
pub(super) enum Network {
    Architecture { name: String, architecture: architecture::Architecture },
    Model { name: String, model: Box<Model> },
}

impl Network {
    /// What the network says of itself: a model knows the normalization of its images.
    pub(super) fn options(&self) -> RecipeOptions {
        match self {
            Self::Architecture { .. } => RecipeOptions::default(),
            Self::Model { model, .. } => RecipeOptions::of_model(model),
        }
    }

    /// Where its weights come from, for the defaults of a recipe.
    pub(super) fn origin(&self) -> Result<Origin, Usage> {
        match self {
            Self::Architecture { name, .. } if architecture::is_built_in(name) => {
                Ok(Origin::BuiltIn(name.clone()))
            }
            Self::Architecture { .. } => Ok(Origin::Own),
            Self::Model { name, model } => {
                Origin::model(model).map_err(|error| Usage(format!("{name}: {error}")))
            }
        }
    }

    /// What is asked of the images, together with what the model says; a contradiction is an error with both.
    pub(super) fn agree(&self, asked: &Asked) -> anyhow::Result<Asked> {
        match self {
            Self::Architecture { .. } => Ok(*asked),
            Self::Model { name, model } => {
                let side = ModelSide::of_onnx(Path::new(name), model)?;
                Ok(agree("the flags or the recipe", asked, name, &side.asked())?)
            }
        }
    }

    /// The data set with its classes in the order of a model that keeps its last layer.
    pub(super) fn named(
        &self,
        dataset: Dataset,
        head: Option<NonZeroUsize>,
        by_position: bool,
    ) -> anyhow::Result<Dataset> {
        let Self::Model { name, model } = self else { return Ok(dataset) };
        if head.is_some() || by_position {
            return Ok(dataset);
        }
        let side = ModelSide::of_onnx(Path::new(name), model)?;
        let is_numbered =
            |names: &[String]| names.iter().enumerate().all(|(index, name)| *name == index.to_string());
        let Some(names) = side.labels.filter(|names| !is_numbered(names)) else { return Ok(dataset) };
        let advice =
            "--head N gives it a fresh last layer for N classes, --by-position takes them in their order";
        Ok(dataset.in_order_of(&names).map_err(|error| Usage(format!("{name}: {error}; {advice}")))?)
    }

    /// The network for a data set, fresh weights drawn from `seed`; `head` gives an ONNX model that many
    /// classes.
    pub(super) fn build(
        &self,
        head: Option<NonZeroUsize>,
        dataset: &Dataset,
        seed: u64,
    ) -> anyhow::Result<Model> {
        match (self, head) {
            (Self::Model { model, .. }, None) => Ok((**model).clone()),
            (Self::Model { name, model }, Some(classes)) => {
                Ok(architecture::replace_head(model, classes.get(), seed)
                    .map_err(|error| Usage(format!("cannot train {name} with --head {classes}: {error}")))?)
            }
            (Self::Architecture { architecture, .. }, None) => {
                Ok(architecture.build(dataset.shape, dataset.classes.len(), seed)?)
            }
            (Self::Architecture { .. }, Some(_)) => {
                let advice = "an architecture ends with as many classes as the data set has";
                Err(Usage(format!("--head is for ONNX models: {advice}")).into())
            }
        }
    }
}

/// Finds an architecture or reads a model.
pub(super) fn network(name: &str) -> anyhow::Result<Network> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "onnx") {
        let model = Model::read(path).with_context(|| format!("cannot train {name}"))?;
        Ok(Network::Model { name: name.to_owned(), model: Box::new(model) })
    } else {
        if let Some(what) = goldcrest_onnx::foreign::what(path, &[]) {
            return Err(
                Usage(format!("{name}: expected an architecture or an ONNX model, found {what}")).into()
            );
        }
        let architecture = architecture::load(name).map_err(usage)?;
        Ok(Network::Architecture { name: name.to_owned(), architecture })
    }
}

/// The first signal asks to stop after the step at hand, the second ends the process at once.
pub(super) fn stop_on_signals(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let flag = Arc::clone(stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say!("\nstopping after this step; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")
}

/// Shows progress on standard error.
pub(super) struct Watcher {
    pub(super) bar: ProgressBar,
    epochs: usize,
    /// What the test images are called.
    test: &'static str,
}

impl Watcher {
    pub(super) fn new(test: &'static str) -> Self {
        Self { bar: ProgressBar::hidden(), epochs: 0, test }
    }

    pub(super) fn see(&mut self, progress: Progress) {
        match progress {
            Progress::Start { epoch, epochs, steps } => {
                self.epochs = epochs;
                self.bar = ProgressBar::new(steps as u64);
                let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {msg} {eta}");
                self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                self.begin(epoch);
            }
            Progress::Step { step, loss, accuracy, samples_per_second } => {
                // Drawing takes longer than a small network's step.
                if step % 16 == 0 {
                    self.bar.set_position(step as u64);
                    self.bar.set_message(format!(
                        "loss {loss:.4}  {:.1} %  {samples_per_second:.0} samples/s ",
                        100.0 * accuracy
                    ));
                }
            }
            Progress::Epoch(epoch) => {
                self.bar.suspend(|| say!("{}", epoch.line(self.test)));
                self.bar.reset();
                self.begin(epoch.epoch + 1);
            }
        }
    }

    fn begin(&self, epoch: usize) {
        self.bar.set_prefix(format!("epoch {epoch:>3}/{}", self.epochs));
    }
}

fn print(summary: &Summary, run: &Run, output: Output) {
    let last = summary.epochs.last();
    let number = |of: fn(&Epoch) -> f64| last.map(of);
    let json = serde_json::json!({
        "run": run.path(),
        "epochs": summary.epochs.len(),
        "train_loss": number(|epoch| epoch.train_loss),
        "train_accuracy": number(|epoch| epoch.train_accuracy),
        "test_accuracy": number(|epoch| epoch.test_accuracy),
        "balanced_accuracy": last.and_then(Epoch::balanced_accuracy),
        "validation_accuracy": last.and_then(|epoch| epoch.validation_accuracy),
        "samples_per_second": summary.samples_per_second(),
        "seconds": summary.seconds(),
        "model": summary.model,
        "best": summary.best().map(|epoch| serde_json::json!({
            "epoch": epoch.epoch,
            "model": summary.best_model,
            "test_accuracy": epoch.test_accuracy,
            "validation_accuracy": epoch.validation_accuracy,
        })),
        "stopped": summary.stopped,
    });
    output.print(&json, || {
        let mut text = format!(
            "{} epochs in {:.1} s, {:.0} samples/s\n",
            summary.epochs.len(),
            summary.seconds(),
            summary.samples_per_second()
        );
        if let Some(epoch) = last {
            text += &format!(
                "test accuracy {:.2} % (balanced {:.2} %), train accuracy {:.2} %\n",
                100.0 * epoch.test_accuracy,
                100.0 * epoch.balanced_accuracy().unwrap_or(epoch.test_accuracy),
                100.0 * epoch.train_accuracy
            );
        }
        text += &format!("last epoch: {}\n", summary.model.display());
        if let Some(epoch) = summary.best() {
            let (whose, accuracy) = match epoch.validation_accuracy {
                Some(accuracy) => ("validation", accuracy),
                None => ("test", epoch.test_accuracy),
            };
            text += &format!(
                "best epoch, {}, by its {whose} accuracy of {:.2} %: {}\n",
                epoch.epoch,
                100.0 * accuracy,
                summary.best_model.display()
            );
        }
        if summary.stopped {
            text += "stopped early; --resume goes on\n";
        }
        text
    });
}
