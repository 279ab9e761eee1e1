//! The options of a run as they are given: a TOML file's keys or the command line's flags, each under the
//! same name.

use std::path::{Path, PathBuf};

use goldcrest_data::{Asked, Normalization};
use goldcrest_models::RECIPES;
use goldcrest_onnx::import::image_input;
use goldcrest_onnx::{Dimension, Model, info};
use serde::{Deserialize, Serialize};

use super::key::{Key, Value};
use super::recipe::{Distillation, Optimizer, Recipe, RecipeError};
use super::schedule::Shape;
use crate::sweep::Space;

/// Declares the options once: name, type, default and what help says. From it come the struct, its merging,
/// its defaults, and [`KEYS`] for a command line.
macro_rules! options {
    ($($(#[doc = $help:literal])+ $name:ident: $type:ty = $default:expr, $value:literal;)+) => {
        /// The options of a run; what is `None` was not given.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct RecipeOptions {
            $($(#[doc = $help])+ pub $name: Option<$type>,)+
            /// Rows and columns of the images, as in `32x32`.
            pub resize: Option<String>,
            /// Which part of a picture becomes the image: `whole`, `middle` or `letterbox`.
            pub fit: Option<String>,
            /// `rgb` or `gray`.
            pub channels: Option<String>,
            /// The colour below transparent pixels, as `#ffffff`.
            pub background: Option<String>,
            /// What a sweep varies.
            #[serde(skip_serializing)]
            pub search: Option<Space>,
        }

        impl RecipeOptions {
            /// These options, completed by `others` where they are silent.
            pub fn or(self, others: Self) -> Self {
                Self {
                    $($name: self.$name.or(others.$name),)+
                    resize: self.resize.or(others.resize),
                    fit: self.fit.or(others.fit),
                    channels: self.channels.or(others.channels),
                    background: self.background.or(others.background),
                    search: self.search.or(others.search),
                }
            }

            /// These options, completed by the defaults.
            fn values(self) -> Values {
                Values { $($name: self.$name.unwrap_or_else(|| $default),)+ }
            }
        }

        /// A value for every option.
        struct Values {
            $($name: $type,)+
        }

        /// Every option that is both a key of recipe files and a flag of the same name.
        pub static KEYS: &[Key] = &[$(Key {
            field: stringify!($name),
            help: &[$($help),+],
            value: $value,
            default: || <$type as Value>::show(&$default),
            parse: <$type as Value>::parse,
            choices: <$type as Value>::CHOICES,
        }),+];
    };
}

options! {
    /// Passes over the training images
    epochs: usize = 50, "N";
    /// Images per step
    batch: usize = 64, "N";
    /// Peak learning rate
    learning_rate: f32 = 0.02, "RATE";
    /// How gradients become steps
    optimizer: Optimizer = Optimizer::Sgd, "NAME";
    /// Momentum of the stochastic gradient descent
    momentum: f32 = 0.9, "SHARE";
    /// Look one step ahead with the momentum (Nesterov)
    nesterov: bool = true, "BOOL";
    /// Pull of the weights towards 0, biases and normalizations left out
    weight_decay: f32 = 5e-4, "RATE";
    /// The pull of `sgd` does not enter its momentum (`adamw`'s never does)
    decoupled_decay: bool = false, "BOOL";
    /// Parameters whose names begin with one of these keep their values
    freeze: Vec<String> = Vec::new(), "PREFIX,...";
    /// Part of each label that is spread evenly over all classes
    label_smoothing: f32 = 0.0, "SHARE";
    /// Largest norm of a step's gradients, over all parameters; 0 clips nothing
    clip_norm: f32 = 0.0, "NORM";
    /// Shape of the learning rate after the warm-up
    schedule: Shape = Shape::OneCycle, "NAME";
    /// Epochs over which the learning rate rises at the start; one-cycle rises over 30 % of all without it
    warmup: f32 = 0.0, "EPOCHS";
    /// Epochs between two drops of the `step` schedule
    step_every: usize = 10, "EPOCHS";
    /// Factor of a drop of the `step` schedule
    step_factor: f32 = 0.1, "FACTOR";
    /// Random changes of the training images, as `flip,rotate=15,crop=4,cutout=8,jitter=0.2`,
    /// then of whole batches, as `mixup=0.2,cutmix=1`, or `none`
    augment: String = "none".to_owned(), "STEPS";
    /// Mean that is subtracted per channel, of pixels in 0..1; one value stands for all channels
    mean: Vec<f32> = vec![0.5], "MEAN,...";
    /// Standard deviation that is divided by per channel
    std: Vec<f32> = vec![0.5], "STD,...";
    /// Share of each class's training images set aside to choose best.onnx by, in place of the test images
    validate: f32 = 0.0, "SHARE";
    /// Chooses other images to set aside; --seed does not, so training on from a model keeps them
    split_seed: u64 = 0, "N";
    /// Keep a running mean of the weights, of which a step keeps this share, and evaluate and export that; 0
    /// keeps none
    ema: f32 = 0.0, "SHARE";
    /// A trained ONNX model of the same classes whose logits are learned too
    teacher: PathBuf = PathBuf::new(), "MODEL";
    /// Share of the teacher in the loss; the labels have the rest
    distill_weight: f32 = 0.5, "SHARE";
    /// Softens the probabilities of teacher and student before they are compared
    temperature: f32 = 4.0, "T";
    /// Compute what the int8 model will; fine-tunes a trained ONNX model
    qat: bool = false, "BOOL";
    /// Seed of the weights, the order of the images and their augmentation
    seed: u64 = 0, "N";
}

impl RecipeOptions {
    /// Reads a recipe file, or a built-in recipe by its name. Unknown keys are errors that show their line.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let built_in = RECIPES.iter().find(|(name, _)| Path::new(name) == path);
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
    /// A text that is not a value of its key.
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
        let distills = self.teacher.is_some();
        let pictures = self.pictures()?;
        let values = self.values();
        let distillation = distills.then_some(Distillation {
            teacher: values.teacher,
            weight: values.distill_weight,
            temperature: values.temperature,
        });
        let recipe = Recipe {
            epochs: values.epochs,
            batch: values.batch,
            learning_rate: values.learning_rate,
            optimizer: values.optimizer,
            momentum: values.momentum,
            nesterov: values.nesterov,
            weight_decay: values.weight_decay,
            decoupled_decay: values.decoupled_decay,
            freeze: values.freeze,
            label_smoothing: values.label_smoothing,
            clip_norm: values.clip_norm,
            schedule: values.schedule,
            warmup: values.warmup,
            step_every: values.step_every,
            step_factor: values.step_factor,
            augment: values.augment.parse()?,
            mean: values.mean,
            std: values.std,
            validate: values.validate,
            split_seed: values.split_seed,
            ema: values.ema,
            distillation,
            qat: values.qat,
            pictures,
            seed: values.seed,
        };
        recipe.check()?;
        Ok(recipe)
    }
}
