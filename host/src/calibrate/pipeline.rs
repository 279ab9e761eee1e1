//! A float ONNX model and calibration images in, an int8 model with its layers' noise out.

use goldcrest_shared::quantize::graph::QuantizedModel;
use goldcrest_shared::quantize::{Options, QuantizeError, quantize};

use super::{calibrate, signal_to_noise};
use crate::dataset::Split;
use crate::onnx::import::{ImportError, float_model};
use crate::onnx::{Model, int8};
use crate::verify::RunnerError;
use crate::verify::engine::HostEngine;

/// Images of the calibration set that the signal-to-noise ratio is measured on.
const NOISE_IMAGES: usize = 64;

/// Why a model could not be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The float model cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The graph has no int8 form.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The float or the int8 network cannot be run.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Images of another size than the model takes.
    #[error("the images are {found}, but the model takes {expected}; pass --resize")]
    Images { found: String, expected: String },
    /// No images at all.
    #[error("there are no calibration images; give a data set with training images")]
    NoImages,
}

/// A quantized model and what is known of it.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The int8 model.
    pub model: QuantizedModel,
    /// The same as ONNX.
    pub onnx: Model,
    /// One per int8 layer, in their order.
    pub layers: Vec<Layer>,
}

/// What is known of one int8 layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Signal-to-quantization-noise ratio in decibels, on calibration images; noise of the layers
    /// before it included.
    pub sqnr_db: f64,
    /// Smallest and largest multiplier in units of `2^-16`, where it has any.
    pub multipliers: Option<[u32; 2]>,
}

/// Quantizes a float ONNX model with calibration images. `done` is told how many images more went through
/// the float network.
///
/// # Errors
/// When the model cannot be imported or quantized, or ONNX Runtime is missing.
pub fn quantize_model(
    model: &Model,
    images: &Split,
    options: &Options,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Quantized, PipelineError> {
    let (graph, info) = float_model(model)?;
    let expected = graph.tensor(graph.input).shape;
    if images.is_empty() {
        return Err(PipelineError::NoImages);
    }
    if images.shape() != expected {
        let (found, expected) = (images.shape().to_string(), expected.to_string());
        return Err(PipelineError::Images { found, expected });
    }
    let statistics = calibrate(&graph, &info, images, done)?;
    let (model, report) = quantize(&graph, &info, &statistics, options)?;
    let engine = HostEngine::pack(&model)?;
    let noise = signal_to_noise(&graph, &model, &report, &engine, &images.head(NOISE_IMAGES))?;
    let layers = report.layers.iter().zip(noise).map(|(layer, sqnr_db)| Layer {
        name: layer.name.clone(),
        sqnr_db,
        multipliers: layer.multipliers,
    });
    let layers = layers.collect();
    let onnx = int8::write(&model);
    Ok(Quantized { model, onnx, layers })
}
