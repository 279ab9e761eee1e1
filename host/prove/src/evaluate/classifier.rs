//! Models that turn pictures into logits: float files in ONNX Runtime, int8 files in our engine.

use goldcrest_data::Split;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::Model;
use goldcrest_onnx::import::{self, Element, ImageInput, ImportError, image_input};
use goldcrest_onnx::info::InfoError;
use goldcrest_onnx::int8::{self, Int8Error};
use goldcrest_onnx::native::{self, NativeError};
use goldcrest_quantize::graph::{ModelInfo, QuantizedModel};
use ort::session::builder::GraphOptimizationLevel;
use ort::value::PrimitiveTensorElementType;
use rayon::prelude::*;

use crate::calibrate::normalize;
use crate::misfit::Misfit;
use crate::verify::engine::HostEngine;
use crate::verify::layout::{to_hwc, to_nchw};
use crate::verify::onnxruntime::OnnxRuntime;
use crate::verify::{Pixels, Runner, RunnerError};

/// Images that a thread runs at once.
const CHUNK: usize = 32;

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The file says it is an int8 model, but is not one.
    #[error(transparent)]
    Int8(#[from] Int8Error),
    /// The model's input is not one image.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Labels or normalization are malformed.
    #[error(transparent)]
    Info(#[from] InfoError),
    /// The model is not given to native code.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// An answer that says nothing.
    #[error("the logits of image {image} are not numbers (NaN or infinite): the model's weights are no good")]
    NotNumbers {
        /// Index among the images.
        image: usize,
    },
    /// The model cannot be run.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The model's output is not a vector of a known number of classes.
    #[error("the output `{0}` is not [batch, classes] with a fixed number of classes")]
    Output(String),
    /// Images of another size than the model takes.
    #[error("{0}")]
    Images(Misfit),
    /// The data set has another number of classes than the model.
    #[error("the data set has {found} classes, the model {expected}; is it the data set it was trained on?")]
    Classes { found: usize, expected: usize },
    /// No images at all.
    #[error("there are no test images")]
    NoImages,
}

/// A model that turns pictures into logits. Shared between threads.
pub trait Classifier: Sync {
    /// The pictures it takes.
    fn input(&self) -> Shape;

    /// Labels and normalization of the file.
    fn info(&self) -> &ModelInfo;

    /// The logits of pictures (u8, HWC), one picture after the other.
    ///
    /// # Errors
    /// When the model cannot be run.
    fn logits(&self, pictures: &[&[u8]]) -> Result<Vec<f32>, RunnerError>;
}

/// Loads a model: an int8 file into our engine, any other into ONNX Runtime.
///
/// # Errors
/// When the file is not an image classifier, or ONNX Runtime is needed and missing.
pub fn load(model: &Model) -> Result<Box<dyn Classifier>, EvaluateError> {
    if model.metadata.contains_key(int8::QUANTIZATION) {
        let model = int8::read(model)?;
        let (engine, pixels) = (HostEngine::pack(&model)?, Pixels::of(&model));
        return Ok(Box::new(Int8Classifier { engine, pixels, model }));
    }
    Ok(Box::new(FloatClassifier::load(model)?))
}

/// The logits of every image of a split, one image after the other. `done` is told how many more are
/// finished.
///
/// # Errors
/// When images and model do not fit, or the model cannot be run.
pub fn logits(
    classifier: &dyn Classifier,
    images: &Split,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<f32>, EvaluateError> {
    if images.is_empty() {
        return Err(EvaluateError::NoImages);
    }
    if images.shape() != classifier.input() {
        return Err(EvaluateError::Images(Misfit { found: images.shape(), expected: classifier.input() }));
    }
    let starts: Vec<usize> = (0..images.len()).step_by(CHUNK).collect();
    let chunks = starts.into_par_iter().map(|start| {
        let end = images.len().min(start + CHUNK);
        let pictures: Vec<&[u8]> = (start..end).map(|index| images.image(index)).collect();
        let logits = classifier.logits(&pictures)?;
        if let Some(place) = logits.iter().position(|logit| !logit.is_finite()) {
            let image = start + place / (logits.len() / pictures.len()).max(1);
            return Err(EvaluateError::NotNumbers { image });
        }
        done(end - start);
        Ok(logits)
    });
    chunks.collect::<Result<Vec<Vec<f32>>, EvaluateError>>().map(|chunks| chunks.concat())
}

struct Int8Classifier {
    engine: HostEngine,
    pixels: Pixels,
    model: QuantizedModel,
}

impl Classifier for Int8Classifier {
    fn input(&self) -> Shape {
        self.model.graph.tensor(self.model.graph.input).shape
    }

    fn info(&self) -> &ModelInfo {
        &self.model.info
    }

    fn logits(&self, pictures: &[&[u8]]) -> Result<Vec<f32>, RunnerError> {
        let images =
            pictures.iter().map(|picture| self.pixels.quantize(picture)).collect::<Vec<_>>().concat();
        let layers = self.engine.layers(&images)?;
        let output = self.model.graph.output;
        let last = self.model.graph.nodes.iter().position(|node| node.output == output);
        let grid = self.model.graph.tensor(output).info;
        let real = |&value: &i8| grid.scale * (f32::from(value) - f32::from(grid.zero_point));
        Ok(last.map_or_else(Vec::new, |last| layers[last].iter().map(real).collect()))
    }
}

/// A float model in ONNX Runtime.
pub struct FloatClassifier {
    runtime: OnnxRuntime,
    input: ImageInput,
    info: ModelInfo,
    /// Values of its output for one image.
    values: usize,
}

impl FloatClassifier {
    /// Loads a model that takes one image and gives logits, or probabilities by a softmax, which is left out.
    ///
    /// # Errors
    /// When it is none, or ONNX Runtime is missing.
    pub fn load(model: &Model) -> Result<Self, EvaluateError> {
        native::admit(model)?;
        let input = image_input(model)?;
        let Some(output) = model.graph.outputs.first() else {
            return Err(EvaluateError::Output(String::new()));
        };
        let mut output = output.clone();
        let values = match import::values(model) {
            Some(values) => values,
            // Some exporters leave the shape of the output out; the imported graph has it.
            None => match import::float_model(model) {
                Ok((graph, _)) => graph.tensor(graph.output).shape.channels,
                Err(_) => return Err(EvaluateError::Output(output.name.clone())),
            },
        };
        let info = import::model_info(model, input.shape.channels, values.max(2))?;
        // Logits, not probabilities: what int8 models end with.
        if let Some(name) = import::logits(model) {
            output.name = name.to_owned();
        }
        let Shape { height, width, channels } = input.shape;
        let sizes = if input.channels_last { [height, width, channels] } else { [channels, height, width] };
        // What the output does not need may be operators that ONNX Runtime does not know.
        let model = import::for_inference(model, &output.name);
        let runtime = OnnxRuntime::load(&model, sizes, vec![output], GraphOptimizationLevel::All)?;
        Ok(Self { runtime, input, info, values })
    }

    /// Adds the logits of images (channels x height x width each), no more than the model's batch.
    fn run<T>(&self, mut values: Vec<T>, logits: &mut Vec<f32>) -> Result<(), RunnerError>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Clone + Copy + Default + 'static,
    {
        let size = self.input.shape.len();
        let images = values.len() / size;
        // A model exported with a fixed batch takes just that many images.
        values.resize(self.input.batch.unwrap_or(images) * size, T::default());
        if self.input.channels_last {
            values = to_hwc(&values, self.input.shape);
        }
        let outputs = self.runtime.run::<T, f32>(&values)?;
        let found: Vec<f32> = outputs.into_iter().flatten().take(images * self.values).collect();
        match self.values {
            1 => logits.extend(import::of_two_classes(&found)),
            _ => logits.extend(found),
        }
        Ok(())
    }

    /// The logits of normalized images (channels x height x width each), one image after the other.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub fn logits_of_values(&self, images: &[f32]) -> Result<Vec<f32>, RunnerError> {
        let size = self.input.shape.len();
        let mut logits = Vec::new();
        let batch = self.input.batch.unwrap_or((images.len() / size).max(1));
        for chunk in images.chunks(batch * size) {
            self.run(chunk.to_vec(), &mut logits)?;
        }
        Ok(logits)
    }

    /// The logits of pictures (u8, HWC) for a model that takes their bytes.
    fn logits_of_bytes<T>(&self, pictures: &[&[u8]], byte: fn(u8) -> T) -> Result<Vec<f32>, RunnerError>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Clone + Copy + Default + 'static,
    {
        let mut logits = Vec::new();
        for chunk in pictures.chunks(self.input.batch.unwrap_or(pictures.len()).max(1)) {
            let bytes: Vec<T> = chunk.concat().into_iter().map(byte).collect();
            self.run(to_nchw(&bytes, self.input.shape), &mut logits)?;
        }
        Ok(logits)
    }
}

impl Classifier for FloatClassifier {
    fn input(&self) -> Shape {
        self.input.shape
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, pictures: &[&[u8]]) -> Result<Vec<f32>, RunnerError> {
        match self.input.element {
            Element::Uint8 => self.logits_of_bytes(pictures, |pixel| pixel),
            Element::Int8 => self.logits_of_bytes(pictures, |pixel| (pixel ^ 0x80) as i8),
            Element::Float => {
                self.logits_of_values(&normalize(&self.info.normalization, self.input.shape, pictures))
            }
        }
    }
}
