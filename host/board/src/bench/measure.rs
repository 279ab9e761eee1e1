//! One model on one emulated board.

use std::path::PathBuf;

use goldcrest_engine::{Engine, WrongPixelCount};
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{Optimize, PackError, PackOptions};
use goldcrest_quantize::random::Random;
use serde::Serialize;

use crate::emulator::{Emulator, EmulatorError, Options};
use crate::inference::{self, InferenceError};
use crate::payload::Payload;
use crate::{Board, firmware};

/// A model to measure.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in tables.
    pub name: String,
    /// The model.
    pub model: QuantizedModel,
}

/// How to measure.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// How to pack; the family is the board's.
    pub packing: PackOptions,
    /// Also build the program of inference alone, for the size of its code.
    pub sizes: bool,
    /// The plugin that models cycles.
    pub plugin: Option<PathBuf>,
}

/// What one inference takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Name of the board.
    pub board: &'static str,
    /// Its core.
    pub core: &'static str,
    /// Name of the model.
    pub model: String,
    /// Family of the kernels.
    pub kernels: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Instructions of inference alone.
    pub instructions: u64,
    /// Cycles of a Cortex-M4 at zero wait states, as the plugin models them.
    pub cycles: Option<u64>,
    /// Bytes of RAM for activations and scratch memory.
    pub arena_bytes: u64,
    /// Bytes of RAM for activations and scratch memory with `--optimize ram`.
    pub least_arena_bytes: u64,
    /// Peak use of the stack, in bytes, by the application with its link, measured by painting.
    pub stack_bytes: u64,
    /// Peak use of the stack, in bytes, by the program of inference alone.
    pub inference_stack_bytes: Option<u64>,
    /// Bytes of the program of inference alone with this model's kernels.
    pub code_bytes: Option<u64>,
    /// The same with `--optimize flash`.
    pub least_code_bytes: Option<u64>,
    /// Bytes of the device image without its golden vectors.
    pub image_bytes: u64,
    /// Every layer.
    pub layers: Vec<LayerMeasurement>,
}

/// What one layer takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerMeasurement {
    /// Name of the node.
    pub name: String,
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Window and shapes.
    pub shape: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Instructions.
    pub instructions: u64,
    /// Modelled cycles.
    pub cycles: Option<u64>,
    /// Bytes it writes.
    pub output_bytes: usize,
    /// Bytes of weights and channel constants.
    pub weight_bytes: usize,
    /// Bytes of scratch memory.
    pub scratch_bytes: usize,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The model cannot be packed.
    #[error("{model}: {error}")]
    Pack {
        /// The model.
        model: String,
        /// Why.
        error: PackError,
    },
    /// The board.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    /// The program of inference alone.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The picture.
    #[error(transparent)]
    Pixels(#[from] WrongPixelCount),
    /// A number of something that computed wrongly means nothing.
    #[error("{model} on {board}: the logits are not the host's")]
    Wrong {
        /// The model.
        model: String,
        /// The board.
        board: &'static str,
    },
}

/// Measures a model on a board. Instructions do not depend on the picture, so it is a random one.
///
/// # Errors
/// When the model cannot be packed, the board does not start, or a logit is wrong.
pub fn measure(board: &'static Board, subject: &Subject, scope: &Scope) -> Result<Measurement, MeasureError> {
    let shape = subject.model.graph.tensor(subject.model.graph.input).shape;
    let pixels = Random::new(1).pixels(shape.len());
    let packed = |optimize, golden| {
        let options = PackOptions { family: board.family, optimize, golden, ..scope.packing.clone() };
        let failed = |error| MeasureError::Pack { model: subject.name.clone(), error };
        Payload::pack(&subject.model, &options).map_err(failed)
    };
    let payload = packed(scope.packing.optimize, vec![pixels.clone()])?;
    let image = payload.image.image();
    let firmware = firmware::build(board).map_err(EmulatorError::from)?;
    let mut emulator = Emulator::boot(board, firmware, payload.image.bytes(), Options::default())?;
    let answer = emulator.infer(&pixels)?;
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).expect("an arena of the words it asked for");
    engine.load_pixels(&pixels)?;
    if answer.logits != engine.run() {
        return Err(MeasureError::Wrong { model: subject.name.clone(), board: board.name });
    }
    let profile = emulator.profile(&pixels)?;
    let stack_bytes = u64::from(emulator.fresh_info()?.stack_bytes);
    drop(emulator);
    let plugin = scope.plugin.as_deref().filter(|_| board.core == MODELLED);
    let (alone, small) = match scope.sizes || plugin.is_some() {
        true => {
            let small = packed(Optimize::Flash, vec![pixels.clone()])?;
            let alone = inference::run(board, &payload, false, plugin)?;
            (Some(alone), Some(inference::run(board, &small, true, None)?))
        }
        false => (None, None),
    };
    let sections = alone.as_ref().map_or(&[][..], |alone| &alone.sections);
    let layers = payload.layers.iter().zip(profile).enumerate().map(|(index, (layer, instructions))| {
        LayerMeasurement {
            name: layer.name.clone(),
            kernel: layer.kernel,
            shape: layer.shape.clone(),
            macs: layer.macs.unwrap_or(0),
            instructions,
            cycles: sections.get(index).map(|section| section.cycles),
            output_bytes: layer.output_bytes,
            weight_bytes: layer.weight_bytes,
            scratch_bytes: layer.scratch_bytes,
        }
    });
    let arena_bytes = |payload: &Payload| payload.image.image().arena_bytes() as u64;
    Ok(Measurement {
        board: board.name,
        core: board.core,
        model: subject.name.clone(),
        kernels: board.family.to_string(),
        macs: payload.layers.iter().filter_map(|layer| layer.macs).sum(),
        instructions: answer.instructions,
        cycles: (!sections.is_empty()).then(|| sections.iter().map(|section| section.cycles).sum()),
        arena_bytes: arena_bytes(&payload),
        least_arena_bytes: arena_bytes(&packed(Optimize::Ram, Vec::new())?),
        stack_bytes,
        inference_stack_bytes: alone.as_ref().map(|alone| alone.stack_bytes.into()),
        code_bytes: alone.as_ref().map(|alone| alone.code_bytes),
        least_code_bytes: small.as_ref().map(|small| small.code_bytes),
        image_bytes: packed(scope.packing.optimize, Vec::new())?.image.bytes().len() as u64,
        layers: layers.collect(),
    })
}

/// The core whose cycles the plugin models.
const MODELLED: &str = "Cortex-M4F";
