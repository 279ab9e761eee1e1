//! Training for int8: a trained model becomes one that computes what its int8 form does.
//!
//! The model is quantized once, with calibration images, which fixes the grid of every activation and the
//! scale of every channel of weights. [`file`] is that as an ordinary QDQ file; `network` is the int8
//! arithmetic that `goldcrest quantize` makes of the file, in float32 and with float parameters, for
//! training.

mod file;
mod network;

use goldcrest_data::Split;
use goldcrest_onnx::import::{float_model, is_quantized};
use goldcrest_onnx::{Model, float_export};
use goldcrest_prove::calibrate::{PipelineError, Settings, Source};
use goldcrest_quantize::graph::ModelInfo;

/// Training images that fix the grids.
const CALIBRATION_IMAGES: usize = 500;

/// Why a model cannot be trained for int8.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QatError {
    /// The model has its scales already.
    #[error(
        "--qat: the model is quantized already; fine-tune the float model that it came from, or go on with \
         its run by --resume"
    )]
    Quantized,
    /// The model has no int8 form, or it cannot be calibrated.
    #[error("--qat: {0}")]
    Quantize(#[from] PipelineError),
}

/// What a run for int8 begins with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The quantized model (QDQ). Its metadata say how pixels are normalized, which is not always as the
    /// float model's.
    pub file: Model,
    /// The same for training, with float parameters.
    pub network: Model,
}

impl Prepared {
    /// Quantizes a model, calibrated with some of `images`. The network has the float model's weights,
    /// unrounded.
    ///
    /// # Errors
    /// See [`QatError`].
    pub fn new(model: &Model, images: &Split, info: &ModelInfo, seed: u64) -> Result<Self, QatError> {
        if is_quantized(model) {
            return Err(QatError::Quantized);
        }
        let (graph, _) = float_model(model).map_err(PipelineError::from)?;
        let images = images.sample(CALIBRATION_IMAGES, seed);
        let settings = Settings { learn: false, ..Settings::default() };
        let outcome = Source::calibrate(graph, info.clone(), images, &|_| ())?.quantize(&settings)?;
        let mut prepared = Self::of(file::write(&outcome))?;
        let mut float = float_export::write(&outcome.float).graph.initializers;
        for (name, weights) in
            prepared.network.graph.initializers.iter_mut().filter(|(name, _)| name.ends_with(WEIGHTS))
        {
            if let Some(exact) = float.remove(name).filter(|exact| exact.shape == weights.shape) {
                *weights = exact;
            }
        }
        Ok(prepared)
    }

    /// From the quantized model of a run; the network's weights are those of its integers.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn of(file: Model) -> Result<Self, QatError> {
        let network = network::write(&file)?;
        Ok(Self { file, network })
    }

    /// The quantized model with the integers that trained parameters round to, and their metadata.
    pub fn settled(&self, trained: &Model) -> Model {
        let mut file = self.file.clone();
        file::settle(&mut file.graph.initializers, &trained.graph.initializers);
        file.metadata.clone_from(&trained.metadata);
        file
    }
}

/// Ends the names of weights.
const WEIGHTS: &str = "/weights";
/// Ends the names of biases.
const BIAS: &str = "/bias";

/// The step of a bias, and of the sum that it is added to.
fn bias_scale(input: f32, weights: f32) -> f32 {
    (f64::from(input) * f64::from(weights)) as f32
}
