//! What a run does where nobody says it: by the network's own recipe and the size of the data.

use goldcrest_data::Dataset;
use goldcrest_models::RECIPES;
use goldcrest_onnx::Model;

use super::options::RecipeOptions;
use super::recipe::RecipeError;
use super::schedule::Shape;

/// Metadata key of a trained model's effective recipe, as TOML.
pub const RECIPE: &str = "goldcrest.recipe";

/// The options whose defaults depend on the network and the data.
pub const SUITED: &[&str] = &[
    "epochs",
    "batch",
    "learning-rate",
    "momentum",
    "nesterov",
    "weight-decay",
    "label-smoothing",
    "schedule",
    "augment",
];

/// Training images of all epochs together, and the least and the most epochs.
const IMAGES: usize = 600_000;
const EPOCHS: [usize; 2] = [12, 60];
/// Fewest steps of an epoch that a smaller batch is taken for, and the smallest batch.
const STEPS: usize = 100;
const BATCH: usize = 16;
/// Fine-tuning: parts of the learning rate and of the epochs that a training from fresh weights has.
const FINE_RATE: f32 = 0.1;
const FINE_EPOCHS: usize = 4;
/// The same for training that computes as int8 does, which needs less.
const QAT_RATE: f32 = 0.02;
const QAT_EPOCHS: usize = 8;

/// Where a run begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Fresh weights of a built-in architecture, which has a recipe.
    BuiltIn(String),
    /// Fresh weights of somebody's own architecture.
    Own,
    /// A trained model, with what is known of its recipe.
    Model(Box<RecipeOptions>),
}

impl Origin {
    /// A trained model with the recipe in its metadata; another tool's model has none.
    ///
    /// # Errors
    /// A recipe that is not one.
    pub fn model(model: &Model) -> Result<Self, RecipeError> {
        let recipe = match model.metadata.get(RECIPE) {
            Some(text) => toml::from_str(text).map_err(|source| RecipeError::Metadata { source })?,
            None => RecipeOptions::default(),
        };
        Ok(Self::Model(Box::new(recipe)))
    }

    /// The recipe that a run takes over: of a model not what belongs to that one run.
    fn recipe(&self) -> Result<RecipeOptions, RecipeError> {
        match self {
            Self::BuiltIn(name) if RECIPES.iter().any(|(known, _)| known == name) => {
                Ok(RecipeOptions { epochs: None, ..RecipeOptions::read(name.as_ref())? })
            }
            Self::BuiltIn(_) | Self::Own => Ok(RecipeOptions::default()),
            Self::Model(recipe) => Ok(RecipeOptions {
                epochs: None,
                schedule: None,
                warmup: None,
                step_every: None,
                step_factor: None,
                freeze: None,
                ema: None,
                teacher: None,
                distill_weight: None,
                temperature: None,
                qat: None,
                seed: None,
                resize: None,
                fit: None,
                channels: None,
                background: None,
                search: None,
                ..(**recipe).clone()
            }),
        }
    }
}

impl RecipeOptions {
    /// These options, completed by what suits the network and the data, and what there is to say about it, a
    /// sentence each.
    ///
    /// # Errors
    /// A built-in or inherited recipe that cannot be read.
    pub fn suited(self, origin: &Origin, dataset: &Dataset) -> Result<(Self, Vec<String>), RecipeError> {
        let mut said = Vec::new();
        let own = origin.recipe()?;
        let mut suited = Self { epochs: None, ..own.clone() };
        let images = dataset.train.len();
        let fresh = (IMAGES / images.max(1)).clamp(EPOCHS[0], EPOCHS[1]);
        let is_model = matches!(origin, Origin::Model(_));
        let qat = self.qat == Some(true);
        let (rate, epochs) = match (is_model, qat) {
            (true, true) => (QAT_RATE, (fresh / QAT_EPOCHS).max(3)),
            (true, false) => (FINE_RATE, (fresh / FINE_EPOCHS).max(3)),
            (false, _) => (1.0, fresh),
        };
        suited.epochs = Some(epochs);

        let usual = Self::default().resolve()?;
        let batch = own.batch.unwrap_or(usual.batch);
        let wanted = self.batch.unwrap_or_else(|| {
            let most = (images / STEPS).max(BATCH);
            std::iter::successors(Some(batch), |batch| Some(batch / 2)).find(|&b| b <= most).unwrap_or(BATCH)
        });
        // A model says the batch that its own run had.
        let wanted = if is_model { self.batch.unwrap_or(batch) } else { wanted };
        suited.batch = Some(wanted);
        let learning_rate = own.learning_rate.unwrap_or(usual.learning_rate);
        // The rate goes with the root of the batch (Krizhevsky, 2014): in proportion to it, short trainings
        // on few images end before they have learned.
        suited.learning_rate = Some(round(rate * learning_rate * (wanted as f32 / batch as f32).sqrt()));
        if is_model {
            suited.schedule = Some(Shape::Cosine);
        }
        if !is_model {
            suited.augment = Some(augmentation(own.augment.as_deref(), dataset));
        }
        if !is_model && !has_mirror_images(dataset) {
            // Those of another data set.
            (suited.mean, suited.std) = (None, None);
        }

        let all = self.or(suited);
        let whose = match origin {
            Origin::BuiltIn(name) => format!("the recipe of {name}"),
            Origin::Own => "a usual recipe".to_owned(),
            Origin::Model(recipe) if **recipe == Self::default() => {
                "a usual recipe: the model does not hold its own".to_owned()
            }
            Origin::Model(_) => "the model's own recipe".to_owned(),
        };
        let shown = all.clone().resolve()?;
        said.push(format!(
            "{whose}: batches of {}, learning rate {} ({}), weight decay {}",
            shown.batch,
            shown.learning_rate,
            shape(shown.schedule),
            shown.weight_decay
        ));
        said.push(format!("{} epochs of {images} training images; --epochs N takes others", shown.epochs));
        let mirror = match shown.augment.steps().iter().any(|step| step.to_string().starts_with("flip")) {
            true => "",
            false => "; no mirror images, which would change signs and digits: add flip where they do not",
        };
        said.push(format!("augmentation {}{mirror}", shown.augment));
        Ok((all, said))
    }

    /// Where these options set other images aside than the run that a model comes from: images that it was
    /// trained on would judge it.
    pub fn leaks(&self, origin: &Origin) -> Option<String> {
        let Origin::Model(recipe) = origin else { return None };
        let split = |of: &Self| (of.validate.unwrap_or(0.0), of.split_seed.unwrap_or(0));
        let (now, before) = (split(self), split(recipe));
        let differs = now.0 > 0.0 && now != before && **recipe != Self::default();
        differs.then(|| {
            format!(
                "the model was trained with --validate {} --split-seed {}, so some of the images now set \
                 aside \
                 were trained on, if the data are the same, and the validation accuracy is too high",
                before.0, before.1
            )
        })
    }
}

/// Whether mirror images are known to be of the same class: for the classes of CIFAR-10.
fn has_mirror_images(dataset: &Dataset) -> bool {
    dataset.classes == goldcrest_data::CIFAR10_CLASSES
}

/// The steps of a recipe that do no harm to the data; crops where there are none, by a sixteenth of a side.
fn augmentation(own: Option<&str>, dataset: &Dataset) -> String {
    let side = dataset.shape.height.min(dataset.shape.width);
    let crop = format!("crop={}", (side / 16).max(1));
    match own {
        Some(own) if has_mirror_images(dataset) => own.to_owned(),
        Some(own) => {
            let kept: Vec<&str> = own
                .split(',')
                .filter(|step| !step.starts_with("flip") && !step.starts_with("crop") && *step != "none")
                .collect();
            [kept, vec![&crop]].concat().join(",")
        }
        None => crop,
    }
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Constant => "constant",
        Shape::Step => "in steps",
        Shape::Cosine => "falling",
        Shape::OneCycle => "up and down once",
    }
}

/// Two significant digits: a rate that a person would type.
fn round(rate: f32) -> f32 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldcrest_data::Spec;

    fn glyphs(train: usize) -> Dataset {
        let spec: Spec = format!("glyphs:{train},20").parse().unwrap();
        Dataset::open(&spec, &goldcrest_data::Options::default()).unwrap()
    }

    #[test]
    fn small_data_get_small_batches_and_more_epochs() {
        let origin = Origin::BuiltIn("resnet8".into());
        let (options, said) = RecipeOptions::default().suited(&origin, &glyphs(1600)).unwrap();
        let recipe = options.resolve().unwrap();
        assert_eq!((recipe.batch, recipe.epochs, recipe.learning_rate), (16, 60, 0.071));
        assert_eq!((recipe.augment.to_string().as_str(), recipe.mean.as_slice()), ("crop=2", &[0.5][..]));
        assert_eq!(said.len(), 3);
        assert!(said[2].contains("no mirror images"), "{said:?}");
        // What is asked for wins.
        let asked = RecipeOptions {
            batch: Some(64),
            epochs: Some(7),
            augment: Some("flip".into()),
            ..RecipeOptions::default()
        };
        let (options, said) = asked.suited(&origin, &glyphs(1600)).unwrap();
        let recipe = options.resolve().unwrap();
        assert_eq!((recipe.batch, recipe.epochs, recipe.learning_rate), (64, 7, 0.14));
        assert!(said[2] == "augmentation flip", "{said:?}");
    }

    #[test]
    fn mirror_images_only_where_they_are_known_to_be_right() {
        let mut dataset = glyphs(40);
        let origin = Origin::BuiltIn("resnet8".into());
        dataset.classes = goldcrest_data::CIFAR10_CLASSES.map(String::from).to_vec();
        let (options, _) = RecipeOptions::default().suited(&origin, &dataset).unwrap();
        assert_eq!(options.augment.as_deref(), Some("flip,crop=4"));
        assert_eq!(options.mean.map(|mean| mean.len()), Some(3));
        let (options, _) = RecipeOptions::default().suited(&Origin::Own, &glyphs(40)).unwrap();
        assert_eq!(options.augment.as_deref(), Some("crop=2"));
    }

    #[test]
    fn a_model_hands_its_recipe_on_but_not_its_run() {
        let mut model = crate::architecture::load("lenet5").unwrap().build(glyphs(40).shape, 4, 0).unwrap();
        let first = RecipeOptions {
            epochs: Some(100),
            batch: Some(32),
            learning_rate: Some(0.1),
            weight_decay: Some(0.001),
            validate: Some(0.2),
            split_seed: Some(3),
            freeze: Some(vec!["conv1".into()]),
            ema: Some(0.99),
            augment: Some("crop=2".into()),
            ..RecipeOptions::default()
        }
        .resolve()
        .unwrap();
        model.metadata.insert(RECIPE.into(), first.to_toml());
        let origin = Origin::model(&model).unwrap();
        let qat = RecipeOptions { qat: Some(true), ..RecipeOptions::default() };
        let (options, said) = qat.suited(&origin, &glyphs(400)).unwrap();
        let recipe = options.clone().resolve().unwrap();
        assert_eq!(
            (recipe.batch, recipe.weight_decay, recipe.validate, recipe.split_seed),
            (32, 0.001, 0.2, 3)
        );
        assert_eq!((recipe.learning_rate, recipe.epochs, recipe.schedule), (0.002, 7, Shape::Cosine));
        assert!(recipe.freeze.is_empty() && recipe.ema == 0.0);
        assert!(said[0].contains("the model's own recipe"), "{said:?}");
        assert_eq!(options.leaks(&origin), None);
        let other = RecipeOptions { validate: Some(0.2), split_seed: Some(4), ..RecipeOptions::default() };
        assert!(other.leaks(&origin).unwrap().contains("--split-seed 3"));
        model.metadata.insert(RECIPE.into(), "epochs = \"many\"".into());
        assert!(Origin::model(&model).unwrap_err().to_string().contains(RECIPE));
    }
}
