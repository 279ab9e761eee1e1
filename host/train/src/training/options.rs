//! The options of a run as they are given: a TOML file's keys or the command line's flags, each under the same
//! name.

use std::path::{Path, PathBuf};

use goldcrest_data::{Asked, Normalization};
use goldcrest_onnx::import::image_input;
use goldcrest_onnx::{Dimension, Model, info};
use serde::{Deserialize, Serialize};

use super::recipe::{Distillation, Optimizer, Recipe, RecipeError};
use super::schedule::Shape;
use crate::sweep::Space;

/// The options of a run; what is `None` was not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[command(next_help_heading = "Recipe")]
pub struct Options {
    /// Passes over the training images [default: 50]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images per step [default: 64]
    #[arg(long)]
    pub batch: Option<usize>,
    /// Peak learning rate [default: 0.01]
    #[arg(long)]
    pub learning_rate: Option<f32>,
    /// How gradients become steps [default: sgd]
    #[arg(long)]
    pub optimizer: Option<Optimizer>,
    /// Momentum of the stochastic gradient descent [default: 0.5]
    #[arg(long)]
    pub momentum: Option<f32>,
    /// Look one step ahead with the momentum (Nesterov) [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub nesterov: Option<bool>,
    /// Pull of the weights towards 0, biases and normalizations left out [default: 0]
    #[arg(long)]
    pub weight_decay: Option<f32>,
    /// The pull of `sgd` does not enter its momentum (`adamw`'s never does) [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub decoupled_decay: Option<bool>,
    /// Parameters whose names begin with one of these keep their values [default: none]
    #[arg(long, value_delimiter = ',', value_name = "PREFIX")]
    pub freeze: Option<Vec<String>>,
    /// Part of each label that is spread evenly over all classes [default: 0]
    #[arg(long)]
    pub label_smoothing: Option<f32>,
    /// Largest norm of a step's gradients, over all parameters; 0 clips nothing [default: 0]
    #[arg(long)]
    pub clip_norm: Option<f32>,
    /// Shape of the learning rate after the warm-up [default: constant]
    #[arg(long)]
    pub schedule: Option<Shape>,
    /// Epochs over which the learning rate rises at the start [default: 0]
    #[arg(long)]
    pub warmup: Option<f32>,
    /// Epochs between two drops of the `step` schedule [default: 10]
    #[arg(long)]
    pub step_every: Option<usize>,
    /// Factor of a drop of the `step` schedule [default: 0.1]
    #[arg(long)]
    pub step_factor: Option<f32>,
    /// Random changes of the training images, as `flip,rotate=15,crop=4,cutout=8,jitter=0.2`,
    /// then of whole batches, as `mixup=0.2,cutmix=1`, or `none` [default: flip,rotate=15]
    #[arg(long, value_name = "STEPS")]
    pub augment: Option<String>,
    /// Mean that is subtracted per channel, of pixels in 0..1; one value stands for all channels [default: 0.5]
    #[arg(long, value_delimiter = ',')]
    pub mean: Option<Vec<f32>>,
    /// Standard deviation that is divided by per channel [default: 0.5]
    #[arg(long, value_delimiter = ',')]
    pub std: Option<Vec<f32>>,
    /// Share of the training images set aside to choose best.onnx by, in place of the test images [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub validate: Option<f32>,
    /// Keep a running mean of the weights, of which a step keeps this share, and evaluate and export that; 0 keeps
    /// none [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub ema: Option<f32>,
    /// A trained ONNX model of the same classes whose logits are learned too [default: none]
    #[arg(long, value_name = "MODEL")]
    pub teacher: Option<PathBuf>,
    /// Share of the teacher in the loss; the labels have the rest [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    pub distill_weight: Option<f32>,
    /// Softens the probabilities of teacher and student before they are compared [default: 4]
    #[arg(long)]
    pub temperature: Option<f32>,
    /// Compute what the int8 model will; fine-tunes a trained ONNX model [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub qat: Option<bool>,
    /// Rows and columns of the images, as in `32x32`.
    #[arg(skip)]
    pub resize: Option<String>,
    /// What of a picture becomes the image: `whole`, `middle` or `letterbox`.
    #[arg(skip)]
    pub fit: Option<String>,
    /// `rgb` or `gray`.
    #[arg(skip)]
    pub channels: Option<String>,
    /// The colour below transparent pixels, as `#ffffff`.
    #[arg(skip)]
    pub background: Option<String>,
    /// What `goldcrest sweep` varies.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub search: Option<Space>,
    /// Seed of the weights, the order of the images and their augmentation [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Recipes that come with Goldcrest, by name.
pub const BUILT_IN: [(&str, &str); 1] =
    [("resnet8", include_str!("../../../../models/recipes/resnet8.toml"))];

impl Options {
    /// Reads a recipe file, or a built-in recipe by its name. Unknown keys are errors that show their line.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let built_in = BUILT_IN.iter().find(|(name, _)| Path::new(name) == path);
        let text = match built_in {
            Some((_, text)) => Ok((*text).to_owned()),
            None => std::fs::read_to_string(path),
        };
        let text = text.map_err(|source| RecipeError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| RecipeError::Parse { path: path.to_owned(), source })
    }

    /// What the options ask of the images.
    ///
    /// # Errors
    /// A text that is no value of its key.
    pub fn pictures(&self) -> Result<Asked, RecipeError> {
        let mut asked = Asked::default();
        let texts = [&self.resize, &self.fit, &self.channels, &self.background];
        for (key, text) in Asked::KEYS.into_iter().zip(texts) {
            if let Some(text) = text {
                let range = |expected| RecipeError::Range { key, found: format!("`{text}`"), expected };
                asked.set(key, text).map_err(range)?;
            }
        }
        Ok(asked)
    }

    /// The options with these wishes for the images in place of their own.
    #[must_use]
    pub fn with_pictures(self, asked: &Asked) -> Self {
        let [resize, fit, channels, background] = Asked::KEYS.map(|key| asked.get(key));
        Self { resize, fit, channels, background, ..self }
    }

    /// What a trained model says of itself: the normalization of its images.
    pub fn of_model(model: &Model) -> Self {
        let Ok(input) = image_input(model) else { return Self::default() };
        let classes = model.graph.outputs.first().and_then(|output| output.shape.as_deref()?.last());
        let classes = classes.and_then(|classes| match classes {
            Dimension::Fixed(classes) => usize::try_from(*classes).ok(),
            Dimension::Named(_) => None,
        });
        match info::read(&model.metadata, input.shape.channels, classes.unwrap_or(0)) {
            Ok(info) if model.metadata.contains_key(info::NORMALIZATION) => {
                let Normalization { mean, std } = info.normalization;
                Self { mean: Some(mean), std: Some(std), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// The options of a table of keys and values.
    pub fn of_table(table: &toml::Table) -> Result<Self, RecipeError> {
        table.clone().try_into().map_err(|source| RecipeError::Table { source })
    }

    /// The keys of all options.
    pub fn keys() -> Vec<String> {
        let command = <Self as clap::Args>::augment_args(clap::Command::new(""));
        command.get_arguments().filter_map(|option| option.get_long().map(str::to_owned)).collect()
    }

    /// These options, completed by `others` where they are silent.
    pub fn or(self, others: Self) -> Self {
        Self {
            epochs: self.epochs.or(others.epochs),
            batch: self.batch.or(others.batch),
            learning_rate: self.learning_rate.or(others.learning_rate),
            optimizer: self.optimizer.or(others.optimizer),
            momentum: self.momentum.or(others.momentum),
            nesterov: self.nesterov.or(others.nesterov),
            weight_decay: self.weight_decay.or(others.weight_decay),
            decoupled_decay: self.decoupled_decay.or(others.decoupled_decay),
            freeze: self.freeze.or(others.freeze),
            label_smoothing: self.label_smoothing.or(others.label_smoothing),
            clip_norm: self.clip_norm.or(others.clip_norm),
            schedule: self.schedule.or(others.schedule),
            warmup: self.warmup.or(others.warmup),
            step_every: self.step_every.or(others.step_every),
            step_factor: self.step_factor.or(others.step_factor),
            augment: self.augment.or(others.augment),
            mean: self.mean.or(others.mean),
            std: self.std.or(others.std),
            validate: self.validate.or(others.validate),
            ema: self.ema.or(others.ema),
            teacher: self.teacher.or(others.teacher),
            distill_weight: self.distill_weight.or(others.distill_weight),
            temperature: self.temperature.or(others.temperature),
            qat: self.qat.or(others.qat),
            resize: self.resize.or(others.resize),
            fit: self.fit.or(others.fit),
            channels: self.channels.or(others.channels),
            background: self.background.or(others.background),
            search: self.search.or(others.search),
            seed: self.seed.or(others.seed),
        }
    }

    /// The complete recipe: the defaults where nothing is given, all values checked.
    pub fn resolve(self) -> Result<Recipe, RecipeError> {
        if self.search.is_some() {
            return Err(RecipeError::Search);
        }
        if self.teacher.is_none()
            && let Some((key, found)) =
                [("distill-weight", self.distill_weight), ("temperature", self.temperature)]
                    .into_iter()
                    .find_map(|(key, value)| Some((key, value?)))
        {
            return Err(RecipeError::Range {
                key,
                found: found.to_string(),
                expected: "a `teacher` beside it",
            });
        }
        let pictures = self.pictures()?;
        let distillation = self.teacher.map(|teacher| Distillation {
            teacher,
            weight: self.distill_weight.unwrap_or(0.5),
            temperature: self.temperature.unwrap_or(4.0),
        });
        let recipe = Recipe {
            epochs: self.epochs.unwrap_or(50),
            batch: self.batch.unwrap_or(64),
            learning_rate: self.learning_rate.unwrap_or(0.01),
            optimizer: self.optimizer.unwrap_or_default(),
            momentum: self.momentum.unwrap_or(0.5),
            nesterov: self.nesterov.unwrap_or(false),
            weight_decay: self.weight_decay.unwrap_or(0.0),
            decoupled_decay: self.decoupled_decay.unwrap_or(false),
            freeze: self.freeze.unwrap_or_default(),
            label_smoothing: self.label_smoothing.unwrap_or(0.0),
            clip_norm: self.clip_norm.unwrap_or(0.0),
            schedule: self.schedule.unwrap_or_default(),
            warmup: self.warmup.unwrap_or(0.0),
            step_every: self.step_every.unwrap_or(10),
            step_factor: self.step_factor.unwrap_or(0.1),
            augment: self.augment.as_deref().unwrap_or("flip,rotate=15").parse()?,
            mean: self.mean.unwrap_or_else(|| vec![0.5]),
            std: self.std.unwrap_or_else(|| vec![0.5]),
            validate: self.validate.unwrap_or(0.0),
            ema: self.ema.unwrap_or(0.0),
            distillation,
            qat: self.qat.unwrap_or(false),
            pictures,
            seed: self.seed.unwrap_or(0),
        };
        recipe.check()?;
        Ok(recipe)
    }
}
