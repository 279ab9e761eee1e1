//! How to train: a complete recipe with values in range.
//!
//! It comes from [`RecipeOptions`], each of which is a TOML key and a flag of the same name. Flags win over
//! the file, the file over what suits the network and the data. The effective recipe is saved in the run and
//! in the model's metadata.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::defaults::RECIPE;
pub use super::defaults::{Origin, SUITED};
pub use super::key::Key;
pub use super::options::{KEYS, RecipeOptions};
use super::schedule::{Schedule, Shape};
use crate::autodiff;
use goldcrest_data::{Asked, AugmentRecipe, Normalization};
use goldcrest_models::RECIPES;

/// How gradients become steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum
    #[default]
    Sgd,
    /// AdamW with betas 0.9 and 0.999
    #[serde(rename = "adamw")]
    AdamW,
}

/// What a teacher says, and how much of the loss that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Distillation {
    /// The teacher's ONNX file.
    pub teacher: PathBuf,
    /// Share of the teacher in the loss, in `0..=1`.
    pub weight: f32,
    /// Divides the logits of both before their softmax.
    pub temperature: f32,
}

/// A complete recipe with values in range.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub epochs: usize,
    pub batch: usize,
    pub learning_rate: f32,
    pub optimizer: Optimizer,
    pub momentum: f32,
    pub nesterov: bool,
    pub weight_decay: f32,
    pub decoupled_decay: bool,
    pub freeze: Vec<String>,
    pub label_smoothing: f32,
    /// 0: no clipping.
    pub clip_norm: f32,
    pub schedule: Shape,
    /// Epochs.
    pub warmup: f32,
    /// Epochs.
    pub step_every: usize,
    pub step_factor: f32,
    pub augment: AugmentRecipe,
    /// One value, or one per channel.
    pub mean: Vec<f32>,
    /// One value, or one per channel.
    pub std: Vec<f32>,
    /// Share of each class's training images that are not trained on.
    pub validate: f32,
    /// Chooses those.
    pub split_seed: u64,
    /// Share of the mean weights that a step keeps; 0: no mean is kept.
    pub ema: f32,
    pub distillation: Option<Distillation>,
    /// Computes what the int8 model will.
    pub qat: bool,
    /// What becomes of the pictures.
    pub pictures: Asked,
    pub seed: u64,
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error(
        "{path}: cannot read the recipe: {source}; built in are {}",
        RECIPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    )]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not a TOML of a recipe; the message shows the line.
    #[error("{path}: {source}")]
    Parse { path: PathBuf, source: toml::de::Error },
    /// Values that are none of a recipe.
    #[error("{source}")]
    Table { source: toml::de::Error },
    /// The recipe in a model's metadata is not one.
    #[error("the model's metadata `{RECIPE}`: {source}")]
    Metadata { source: toml::de::Error },
    /// A recipe that is yet to be found.
    #[error("the recipe has a [search] table: `goldcrest sweep` reads it and writes a recipe to train with")]
    Search,
    /// The augmentation is none.
    #[error("`augment`: {0}")]
    Augment(#[from] goldcrest_data::RecipeError),
    /// A value makes no sense.
    #[error("`{key}` is {found}; expected {expected}")]
    Range { key: &'static str, found: String, expected: &'static str },
}

impl Recipe {
    /// Whether a training image can be of several classes.
    pub fn mixes(&self) -> bool {
        !self.augment.mix().is_none()
    }

    /// Checks the range of every value.
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        fn within<T: std::fmt::Debug>(
            key: &'static str,
            value: &T,
            expected: &'static str,
            fits: bool,
        ) -> Result<(), RecipeError> {
            if fits { Ok(()) } else { Err(RecipeError::Range { key, found: format!("{value:?}"), expected }) }
        }
        within("epochs", &self.epochs, "1 to 1000000", (1..=1_000_000).contains(&self.epochs))?;
        within("batch", &self.batch, "1 to 65536", (1..=65536).contains(&self.batch))?;
        let rate = self.learning_rate;
        within("learning-rate", &rate, "a number above 0", rate > 0.0 && rate.is_finite())?;
        for (key, share) in [
            ("momentum", &self.momentum),
            ("weight-decay", &self.weight_decay),
            ("label-smoothing", &self.label_smoothing),
            ("validate", &self.validate),
            ("ema", &self.ema),
        ] {
            within(key, share, "at least 0 and below 1", (0.0..1.0).contains(share))?;
        }
        if let Some(Distillation { weight, temperature, .. }) = &self.distillation {
            within("distill-weight", weight, "0 to 1", (0.0..=1.0).contains(weight))?;
            let fits = *temperature > 0.0 && temperature.is_finite();
            within("temperature", temperature, "a number above 0", fits)?;
        }
        let clip = self.clip_norm;
        within(
            "clip-norm",
            &clip,
            "a number above 0, or 0 for no clipping",
            clip >= 0.0 && clip.is_finite(),
        )?;
        let warmup = self.warmup;
        within("warmup", &warmup, "0 or more epochs", warmup >= 0.0 && warmup.is_finite())?;
        within("step-every", &self.step_every, "1 or more epochs", self.step_every > 0)?;
        let factor = self.step_factor;
        within("step-factor", &factor, "above 0 and at most 1", factor > 0.0 && factor <= 1.0)?;
        let finite = self.mean.iter().all(|mean| mean.is_finite());
        within("mean", &self.mean, "one number, or one per channel", finite && !self.mean.is_empty())?;
        let positive = self.std.iter().all(|&std| std > 0.0 && std.is_finite());
        within("std", &self.std, "one number above 0, or one per channel", positive && !self.std.is_empty())
    }

    /// What the recipe asks of the training graph.
    pub fn graph_options(&self) -> autodiff::GraphOptions {
        autodiff::GraphOptions {
            targets: if self.mixes() { autodiff::Targets::Shares } else { autodiff::Targets::Labels },
            label_smoothing: self.label_smoothing,
            distillation: self.distillation.as_ref().map(|distillation| autodiff::Distillation {
                weight: distillation.weight,
                temperature: distillation.temperature,
            }),
            average: (self.ema > 0.0).then_some(self.ema),
            clip_norm: (self.clip_norm > 0.0).then_some(self.clip_norm),
            frozen: self.freeze.clone(),
            seed: self.seed as i64,
            update: match self.optimizer {
                Optimizer::Sgd => autodiff::Update::Momentum(autodiff::Momentum {
                    momentum: self.momentum,
                    nesterov: self.nesterov,
                    weight_decay: self.weight_decay,
                    decoupled: self.decoupled_decay,
                    ..autodiff::Momentum::default()
                }),
                Optimizer::AdamW => autodiff::Update::AdamW(autodiff::AdamW {
                    weight_decay: self.weight_decay,
                    ..autodiff::AdamW::default()
                }),
            },
            ..autodiff::GraphOptions::default()
        }
    }

    /// The recipe as options, all given: what is saved in the run.
    pub fn options(&self) -> RecipeOptions {
        let options = RecipeOptions {
            epochs: Some(self.epochs),
            batch: Some(self.batch),
            learning_rate: Some(self.learning_rate),
            optimizer: Some(self.optimizer),
            momentum: Some(self.momentum),
            nesterov: Some(self.nesterov),
            weight_decay: Some(self.weight_decay),
            decoupled_decay: Some(self.decoupled_decay),
            freeze: Some(self.freeze.clone()),
            label_smoothing: Some(self.label_smoothing),
            clip_norm: Some(self.clip_norm),
            schedule: Some(self.schedule),
            warmup: Some(self.warmup),
            step_every: Some(self.step_every),
            step_factor: Some(self.step_factor),
            augment: Some(self.augment.to_string()),
            mean: Some(self.mean.clone()),
            std: Some(self.std.clone()),
            validate: Some(self.validate),
            split_seed: Some(self.split_seed),
            ema: Some(self.ema),
            teacher: self.distillation.as_ref().map(|distillation| distillation.teacher.clone()),
            distill_weight: self.distillation.as_ref().map(|distillation| distillation.weight),
            temperature: self.distillation.as_ref().map(|distillation| distillation.temperature),
            qat: Some(self.qat),
            seed: Some(self.seed),
            ..RecipeOptions::default()
        };
        let rule = self.pictures.preprocessing();
        let (fit, background) = (Some(rule.fit), Some(rule.background));
        options.with_pictures(&Asked { fit, background, ..self.pictures })
    }

    /// The recipe as TOML.
    pub fn to_toml(&self) -> String {
        // Shortest decimals: an f32 widened to TOML's f64 would read 0.009999999776482582.
        let mut text = String::new();
        for line in toml::to_string(&self.options()).unwrap_or_default().lines() {
            text += line;
            text.push('\n');
        }
        text
    }

    /// The learning rates of a run with that many steps per epoch.
    pub fn learning_rates(&self, steps_per_epoch: usize) -> Schedule {
        Schedule {
            shape: self.schedule,
            learning_rate: self.learning_rate,
            warmup_steps: (f64::from(self.warmup) * steps_per_epoch as f64).round() as usize,
            total_steps: self.epochs * steps_per_epoch,
            drop_every: self.step_every * steps_per_epoch,
            drop_factor: self.step_factor,
        }
    }

    /// Mean and standard deviation, one per channel.
    pub fn normalization(&self, channels: usize) -> Result<Normalization, RecipeError> {
        let spread = |key, values: &[f32]| match values {
            [one] => Ok(vec![*one; channels]),
            _ if values.len() == channels => Ok(values.to_vec()),
            _ => Err(RecipeError::Range {
                key,
                found: format!("{values:?}"),
                expected: "one number, or one per channel of the images",
            }),
        };
        Ok(Normalization { mean: spread("mean", &self.mean)?, std: spread("std", &self.std)? })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<RecipeOptions, RecipeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        std::fs::write(&path, text).unwrap();
        RecipeOptions::read(&path)
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line() {
        let error = read("epochs = 3\nlearnig-rate = 0.1\n").unwrap_err().to_string();
        assert!(error.contains("recipe.toml") && error.contains("line 2"), "{error}");
        assert!(error.contains("learnig-rate") && error.contains("learning-rate"), "{error}");
        let error = read("epochs = 3\nbatch = \"many\"\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn built_in_recipes_are_whole() {
        for (name, _) in RECIPES {
            RecipeOptions::read(Path::new(name)).unwrap().resolve().unwrap();
        }
        let missing = RecipeOptions::read(Path::new("resnet9")).unwrap_err().to_string();
        assert!(missing.contains("built in are lenet5, resnet8"), "{missing}");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let flags =
            RecipeOptions { epochs: Some(8), augment: Some("none".into()), ..RecipeOptions::default() };
        let file = read("epochs = 3\nschedule = \"one-cycle\"\nmean = [0.4, 0.5, 0.6]\n").unwrap();
        let recipe = flags.or(file).resolve().unwrap();
        assert_eq!((recipe.epochs, recipe.schedule), (8, Shape::OneCycle));
        assert_eq!(recipe.augment.to_string(), "none");
        assert_eq!((recipe.batch, recipe.mean.len()), (64, 3));
    }

    #[test]
    fn the_saved_recipe_reads_back_the_same() {
        let recipe =
            RecipeOptions { learning_rate: Some(0.01), ..RecipeOptions::default() }.resolve().unwrap();
        let text = recipe.to_toml();
        assert_eq!(read(&text).unwrap(), recipe.options());
        assert!(text.contains("learning-rate = 0.01\n"), "{text}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (text, key) in [
            ("epochs = 0", "epochs"),
            ("batch = 0", "batch"),
            ("learning-rate = -1.0", "learning-rate"),
            ("learning-rate = nan", "learning-rate"),
            ("momentum = 1.0", "momentum"),
            ("weight-decay = -0.1", "weight-decay"),
            ("label-smoothing = 1.0", "label-smoothing"),
            ("clip-norm = inf", "clip-norm"),
            ("validate = 1.0", "validate"),
            ("std = [0.0]", "std"),
            ("mean = []", "mean"),
            ("augment = \"explode\"", "explode"),
            ("ema = 1.0", "ema"),
            ("temperature = 2.0", "teacher"),
            ("teacher = \"t.onnx\"\ntemperature = 0.0", "temperature"),
            ("teacher = \"t.onnx\"\ndistill-weight = 1.5", "distill-weight"),
            ("fit = \"fisheye\"", "whole, middle or letterbox"),
            ("resize = \"big\"", "resize"),
        ] {
            let error = read(text).unwrap().resolve().unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
        let recipe = read("mean = [0.1, 0.2]").unwrap().resolve().unwrap();
        assert!(recipe.normalization(3).is_err());
        assert_eq!(recipe.normalization(2).unwrap().std, [0.5, 0.5]);
    }
}
