//! A float ONNX model and calibration images in, an int8 model with its layers' noise out.

use goldcrest_data::Split;
use goldcrest_onnx::import::{ImportError, float_model, given_model};
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::given::{Given, Moved, moved};
use goldcrest_quantize::graph::{ModelInfo, QuantizedModel};
use goldcrest_quantize::statistics::Statistics;
use goldcrest_quantize::{FloatGraph, Options, QuantizeError, QuantizeReport, quantize_given};

use super::source::{Outcome, Source};
use super::{Settings, calibrate, signal_to_noise};
use crate::evaluate::EvaluateError;
use crate::misfit::Misfit;
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
    /// A quantized model cannot be judged.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A layer named by the user that has no weights, or does not exist.
    #[error("there is no layer `{name}` with weights; there are: {layers}")]
    NoSuchLayer { name: String, layers: String },
    /// Images of another size than the model takes.
    #[error("{0}")]
    Images(Misfit),
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
    settings: &Settings,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Quantized, PipelineError> {
    let (graph, info) = float_model(model)?;
    quantize_judged(graph, info, images, &images.head(NOISE_IMAGES), settings, done)
}

/// Quantizes an imported model as [`quantize_model`] does and measures the noise on other images than
/// calibration sees.
///
/// # Errors
/// As [`quantize_model`].
pub fn quantize_judged(
    graph: FloatGraph,
    info: ModelInfo,
    images: &Split,
    judges: &Split,
    settings: &Settings,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Quantized, PipelineError> {
    check_images(&graph, images)?;
    check_images(&graph, judges)?;
    let source = Source::calibrate(graph, info, images.clone(), done)?;
    finish(source.quantize(settings)?, judges)
}

/// Takes over a model that another tool quantized (QDQ or QOperator), with its scales where they fit. Images
/// are needed to measure the noise against the float model that the file's integers stand for, and for
/// ranges that the file does not give.
///
/// # Errors
/// As [`quantize_model`].
pub fn take_over_model(
    model: &Model,
    images: &Split,
    done: &(dyn Fn(usize) + Sync),
) -> Result<(Quantized, Vec<Moved>), PipelineError> {
    let (float, info, given) = given_model(model)?;
    check_images(&float, images)?;
    let (model, report) = match as_given(&float, &info, &given, &Statistics::new(&float)) {
        // A tensor without a grid of its own.
        Err(QuantizeError::Activation { .. }) => {
            as_given(&float, &info, &given, &calibrate(&float, &info, images, done)?)?
        }
        result => result?,
    };
    let moved = moved(&given, &float, &model, &report);
    Ok((finish(Outcome { float, model, report }, &images.head(NOISE_IMAGES))?, moved))
}

/// The int8 form of a model of which every tensor has a grid, and what the model gives.
///
/// # Errors
/// As [`quantize_model`]; also where a grid is missing.
pub fn given_outcome(model: &Model) -> Result<(Outcome, Given), PipelineError> {
    let (float, info, given) = given_model(model)?;
    let (model, report) = as_given(&float, &info, &given, &Statistics::new(&float))?;
    Ok((Outcome { float, model, report }, given))
}

/// Quantizes with given grids; integers and biases stay as they are.
fn as_given(
    float: &FloatGraph,
    info: &ModelInfo,
    given: &Given,
    statistics: &Statistics,
) -> Result<(QuantizedModel, QuantizeReport), QuantizeError> {
    let options = Options { bias_correction: false, ..Options::default() };
    quantize_given(float, info, statistics, &options, given)
}

/// Whether images are what the network takes.
pub(super) fn check_images(graph: &FloatGraph, images: &Split) -> Result<(), PipelineError> {
    let expected = graph.tensor(graph.input).shape;
    if images.is_empty() {
        return Err(PipelineError::NoImages);
    }
    if images.shape() != expected {
        return Err(PipelineError::Images(Misfit { found: images.shape(), expected }));
    }
    Ok(())
}

/// Measures the noise of every layer and writes the ONNX.
fn finish(outcome: Outcome, images: &Split) -> Result<Quantized, PipelineError> {
    let Outcome { float, model, report } = outcome;
    let engine = HostEngine::pack(&model)?;
    let noise = signal_to_noise(&float, &model, &report, &engine, images)?;
    let layers = model.graph.nodes.iter().zip(noise).map(|(node, sqnr_db)| Layer {
        name: node.name.clone(),
        sqnr_db,
        multipliers: node.op.multipliers(),
    });
    let layers = layers.collect();
    let onnx = int8::write(&model);
    Ok(Quantized { model, onnx, layers })
}
