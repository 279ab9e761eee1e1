//! What a model says of its pictures and classes, and what the user says in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use goldcrest_data::Asked;
use goldcrest_engine::picture::{Fit, Preprocessing};
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::import::{classes, image_input, pixels};
use goldcrest_onnx::{Model, info, int8};
use goldcrest_prove::board_model::{BoardModel, Content};
use goldcrest_prove::evaluate::{Classifier, load};
use goldcrest_quantize::graph::{ModelInfo, Normalization, QuantizedModel};
use serde_json::{Value, json};

use super::Usage;
use super::data::PictureArgs;

/// What a model says of its pictures and classes.
#[derive(Clone, Debug)]
pub struct ModelSide {
    /// The file, for messages.
    pub place: String,
    /// Height, width, channels.
    pub input: Shape,
    /// The names of its classes, where it has some.
    pub labels: Option<Vec<String>>,
    /// How pictures become its input.
    pub preprocessing: Preprocessing,
    /// Whether the file says so.
    pub states_preprocessing: bool,
}

impl ModelSide {
    /// What an ONNX file says, float or int8.
    ///
    /// # Errors
    /// Where the input is not an image or the metadata is damaged.
    pub fn of_onnx(path: &Path, model: &Model) -> anyhow::Result<Self> {
        let place = || path.display().to_string();
        if model.metadata.contains_key(int8::QUANTIZATION) {
            let int8 = int8::read(model).with_context(place)?;
            return Ok(Self::of_int8(path, &int8, &model.metadata));
        }
        let input = image_input(model).with_context(place)?.shape;
        let read = |classes| info::read(&model.metadata, input.channels, classes);
        let info = classes(model).map(read).transpose().with_context(place)?;
        Ok(Self::of_info(path, input, info.as_ref(), &model.metadata))
    }

    /// What a loaded model says, whose file has this metadata.
    pub fn of_info(
        path: &Path,
        input: Shape,
        info: Option<&ModelInfo>,
        metadata: &BTreeMap<String, String>,
    ) -> Self {
        let has = |key| metadata.contains_key(key);
        Self {
            place: path.display().to_string(),
            input,
            labels: info.map(|info| info.labels.clone()).filter(|_| has(info::LABELS)),
            preprocessing: info.map_or_else(Preprocessing::default, |info| info.preprocessing),
            states_preprocessing: has(info::PREPROCESSING),
        }
    }

    /// What an int8 model says, whose file has this metadata.
    pub fn of_int8(path: &Path, model: &QuantizedModel, metadata: &BTreeMap<String, String>) -> Self {
        let input = model.graph.tensor(model.graph.input).shape;
        Self::of_info(path, input, Some(&model.info), metadata)
    }

    /// What a model for a board says; a device image knows its input and its classes.
    pub fn of_board_model(file: &BoardModel) -> Self {
        let image = match &file.content {
            Content::Int8 { metadata, model } => return Self::of_int8(&file.path, model, metadata),
            Content::Image(image) => image.image(),
        };
        let labels: Vec<String> = image.labels().map(str::to_string).collect();
        Self {
            place: file.path.display().to_string(),
            input: image.input_shape(),
            labels: labels.iter().any(|label| !label.is_empty()).then_some(labels),
            preprocessing: image.preprocessing(),
            states_preprocessing: true,
        }
    }

    /// What the model on a board says, at a place.
    ///
    /// # Errors
    /// Where it fits pictures in a way that this program does not know.
    pub fn of_board(place: String, model: &goldcrest_link::ModelInfo) -> anyhow::Result<Self> {
        let [height, width, channels] = model.input.map(usize::from);
        let fit = Fit::from_code(model.fit).with_context(|| {
            format!("{place}: the board's model fits pictures in way {}, which is unknown here", model.fit)
        })?;
        Ok(Self {
            place,
            input: Shape::new(height, width, channels),
            labels: None,
            preprocessing: Preprocessing { fit, background: model.background },
            states_preprocessing: true,
        })
    }

    /// What the model asks of images.
    pub fn asked(&self) -> Asked {
        let Shape { height, width, channels } = self.input;
        let stated = self.states_preprocessing.then_some(self.preprocessing);
        Asked {
            resize: Some([height, width]),
            channels: matches!(channels, 1 | 3).then_some(channels),
            fit: stated.map(|rule| rule.fit),
            background: stated.map(|rule| rule.background),
        }
    }
}

/// Loads a model and takes from it what it says of its pictures and classes.
///
/// # Errors
/// When it is not an image classifier, or ONNX Runtime is needed and missing.
pub fn load_with_side(path: &Path, model: &Model) -> anyhow::Result<(Box<dyn Classifier>, ModelSide)> {
    let classifier = load(model).with_context(|| path.display().to_string())?;
    let side = ModelSide::of_info(path, classifier.input(), Some(classifier.info()), &model.metadata);
    Ok((classifier, side))
}

/// What another tool's model leaves out.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "For a model that does not say")]
pub struct StatedArgs {
    /// Mean that is subtracted per channel, of pixels in 0..1; one value stands for all channels
    #[arg(long, value_delimiter = ',', requires = "std", conflicts_with = "normalization")]
    pub mean: Vec<f32>,
    /// Standard deviation that is divided by per channel
    #[arg(long, value_delimiter = ',', requires = "mean")]
    pub std: Vec<f32>,
    /// Mean and standard deviation by name
    #[arg(long, value_enum, value_name = "NAME")]
    pub normalization: Option<Preset>,
    /// Names of the classes in the order of the outputs: a text file with one a line
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

impl StatedArgs {
    /// Only what a model does not say itself.
    pub fn left_out_by(&self, model: &Model) -> Self {
        let mut stated = self.clone();
        if model.metadata.contains_key(info::NORMALIZATION) {
            stated = Self { labels: stated.labels, ..Self::default() };
        }
        if model.metadata.contains_key(info::LABELS) {
            stated.labels = None;
        }
        stated
    }
}

/// Normalizations by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Preset {
    /// Mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225, as torchvision's models
    Imagenet,
    /// Pixels from -1 to 1: mean and deviation 0.5
    Half,
    /// Pixels from 0 to 1: mean 0, deviation 1
    Unit,
    /// Pixels from 0 to 255, as Keras models that scale them themselves: mean 0, deviation 1/255
    Keras,
}

impl Preset {
    fn values(self) -> [Vec<f32>; 2] {
        match self {
            Self::Imagenet => [vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]],
            Self::Half => [vec![0.5], vec![0.5]],
            Self::Unit => [vec![0.0], vec![1.0]],
            Self::Keras => [vec![0.0], vec![1.0 / 255.0]],
        }
    }
}

/// What a command had to assume of a model, as JSON: empty where the file or the flags say all.
pub type Assumed = serde_json::Map<String, Value>;

/// Completes what a model says by what the user states; what neither says is assumed, aloud.
///
/// # Errors
/// Where flags contradict the model.
pub fn complete(
    path: &Path,
    mut model: Model,
    stated: &StatedArgs,
    pictures: &PictureArgs,
) -> anyhow::Result<(Model, Assumed)> {
    let place = path.display().to_string();
    let mut assumed = Assumed::new();
    // The reader of the graph explains what is wrong with another input.
    let Ok(input) = image_input(&model).map(|input| input.shape) else { return Ok((model, assumed)) };
    let spread = |flag: &str, values: Vec<f32>| match values.len() {
        1 => Ok(vec![values[0]; input.channels]),
        count if count == input.channels => Ok(values),
        count => Err(Usage(format!(
            "{flag} has {count} values, but {place} takes images of {} channel(s); give one value, or one \
             per channel",
            input.channels
        ))),
    };
    let values = match stated.normalization {
        Some(preset) => Some(preset.values()),
        None if !stated.mean.is_empty() => Some([stated.mean.clone(), stated.std.clone()]),
        None => None,
    };
    let has_own = |key: &str| model.metadata.contains_key(key);
    let (says_normalization, says_labels) = (has_own(info::NORMALIZATION), has_own(info::LABELS));
    let own = classes(&model).map(|classes| info::read(&model.metadata, input.channels, classes));
    let own = own.transpose().with_context(|| place.clone())?;
    // What the graph tells; a file that says it, or the flags, come first where the graph leaves a choice.
    let told = match model.metadata.contains_key(int8::QUANTIZATION) {
        // The int8 values are the quantizer's, not pixels.
        true => None,
        false => pixels(&model).with_context(|| place.clone())?,
    };
    if let Some([mean, std]) = values {
        let (mean, std) = (spread("--mean", mean)?, spread("--std", std)?);
        if std.iter().chain(&mean).any(|value| !value.is_finite()) || std.iter().any(|&std| std <= 0.0) {
            return Err(Usage("--std must be above 0, and both must be finite".into()).into());
        }
        let stated = Normalization { mean, std };
        if let Some(own) = own.as_ref().filter(|own| says_normalization && own.normalization != stated) {
            let Normalization { mean, std } = &own.normalization;
            return Err(Usage(format!(
                "{place} says mean {mean:?} and std {std:?}, the flags mean {:?} and std {:?}; leave the \
                 flags out",
                stated.mean, stated.std
            ))
            .into());
        }
        if let Some(told) = told.as_ref().filter(|told| told.certain && !told.agrees(&stated)) {
            let Normalization { mean, std } = &told.normalization;
            return Err(Usage(format!(
                "{place}: {}, whose bytes stand for mean {mean:?} and std {std:?}; the flags say mean {:?} \
                 and std {:?}; leave the flags out",
                told.reason, stated.mean, stated.std
            ))
            .into());
        }
        write_normalization(&mut model, &stated);
    } else if let Some(told) = told.filter(|_| !says_normalization) {
        let Normalization { mean, std } = &told.normalization;
        if !told.certain {
            say!(
                "{place}: {}, so its pixels are taken with mean {mean:?} and std {std:?}; if that is \
                 wrong, state it with --mean and --std, or --normalization",
                told.reason
            );
            assumed
                .insert("normalization".into(), json!({ "mean": mean, "std": std, "because": told.reason }));
        }
        write_normalization(&mut model, &told.normalization);
    } else if !says_normalization {
        say!(
            "warning: {place} does not say how its pixels are normalized; assumed: mean 0, std 1 (pixels \
             from 0 to 1). State it with --mean and --std, or --normalization"
        );
        assumed.insert("normalization".into(), json!({ "mean": [0.0], "std": [1.0] }));
    }
    if let Some(file) = &stated.labels {
        let labels = label_file(file)?;
        if let Some(own) = own.as_ref().filter(|own| says_labels && own.labels != labels) {
            return Err(Usage(format!(
                "{place} has the classes {}, {} has {}; leave --labels out",
                own.labels.join(", "),
                file.display(),
                labels.join(", ")
            ))
            .into());
        }
        if let Some(classes) = classes(&model).filter(|&classes| classes != labels.len()) {
            let found = labels.len();
            return Err(Usage(format!(
                "{} has {found} names, {place} has {classes} classes",
                file.display()
            ))
            .into());
        }
        model.metadata.insert(info::LABELS.into(), json!(labels).to_string());
    } else if !says_labels {
        say!(
            "warning: {place} does not name its classes; assumed: those of the data, in their order. State \
             them with --labels FILE"
        );
        assumed.insert("labels".into(), json!("by position"));
    }
    if let Some(channels) = info::channels_name(input.channels)
        && !model.metadata.contains_key(info::PREPROCESSING)
    {
        let asked = pictures.asked();
        if asked.fit.is_some() || asked.background.is_some() {
            info::write_preprocessing(asked.preprocessing(), channels, &mut model.metadata);
        }
    }
    Ok((model, assumed))
}

fn write_normalization(model: &mut Model, Normalization { mean, std }: &Normalization) {
    model.metadata.insert(info::NORMALIZATION.into(), json!({ "mean": mean, "std": std }).to_string());
}

/// One name a line; empty lines at the end do not count.
fn label_file(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read the names", path.display()))?;
    let labels: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    match labels.iter().any(String::is_empty) {
        true => Err(Usage(format!("{}: an empty line; write one name a line", path.display())).into()),
        false => Ok(labels),
    }
}
