//! A test set on an emulated board: how often the class is right, whether every logit is the
//! host's, and what it costs.

use std::time::Instant;

use goldcrest_board::emulator::{Emulator, EmulatorError};
use goldcrest_board::payload::Payload;
use goldcrest_data::Split;
use goldcrest_engine::{Engine, WrongPixelCount};
use serde::Serialize;

use crate::on_board::differences;

/// What came out. Serialized, it is the object that `goldcrest emulate --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the board.
    pub board: String,
    /// Images classified.
    pub images: usize,
    /// Fraction of them whose class is the label.
    pub accuracy: f64,
    /// Logits compared with the host's engine.
    pub values: u64,
    /// Logits that differ.
    pub mismatches: u64,
    /// Golden vectors in the image that the board did not reproduce by itself.
    pub self_test_failures: usize,
    /// Instructions of one inference, averaged over the images.
    pub instructions_per_inference: u64,
    /// Fewest and most instructions of any inference.
    pub instructions_range: [u64; 2],
    /// Bytes of RAM for activations.
    pub arena_bytes: u32,
    /// Peak use of the stack, in bytes.
    pub stack_bytes: u32,
    /// Bytes of flash for firmware and device image.
    pub flash_bytes: u64,
    /// Bytes of flash for the firmware alone.
    pub firmware_bytes: u64,
    /// Bytes of flash for the device image alone.
    pub image_bytes: u64,
    /// Time of the whole, building excluded.
    pub seconds: f64,
    /// Every layer's share; only when asked for.
    pub layers: Vec<LayerProfile>,
}

/// What one layer costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerProfile {
    /// Its name.
    pub name: String,
    /// Multiply-accumulates, where they are known.
    pub macs: Option<u64>,
    /// Name of its kernel.
    pub kernel: String,
    /// Instructions for the first image.
    pub instructions: u64,
    /// Bytes it writes.
    pub output_bytes: usize,
    /// Bytes of weights and channel constants.
    pub weight_bytes: usize,
    /// Bytes of scratch memory.
    pub scratch_bytes: usize,
}

/// Why an evaluation stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The board.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    /// Images of another size than the model's input.
    #[error("{0}; pass --resize")]
    Pixels(#[from] WrongPixelCount),
    /// No image at all.
    #[error("no image to classify; the test set, or --count, is empty")]
    NoImages,
}

impl Evaluation {
    /// Whether the board computed exactly what the host did.
    pub fn is_exact(&self) -> bool {
        self.mismatches == 0 && self.self_test_failures == 0
    }
}

/// Classifies images on a board and on the host. `progress` hears of each image.
pub fn evaluate(
    emulator: &mut Emulator,
    payload: &Payload,
    images: &Split,
    profile: bool,
    progress: &mut dyn FnMut(),
) -> Result<Evaluation, EvaluateError> {
    if images.is_empty() {
        return Err(EvaluateError::NoImages);
    }
    let start = Instant::now();
    let image = payload.image.image();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).expect("an arena of the words it asked for");
    let (_, self_test_failures) = emulator.self_test()?;
    let (mut right, mut values, mut mismatches) = (0, 0, 0);
    let mut instructions = Vec::with_capacity(images.len());
    for index in 0..images.len() {
        engine.load_pixels(images.image(index))?;
        let expected = engine.run();
        let answer = emulator.infer(images.image(index))?;
        values += expected.len() as u64;
        mismatches += differences(&answer.logits, expected);
        right += usize::from(answer.class == images.label(index));
        instructions.push(answer.instructions);
        progress();
    }
    let layers = if profile { profiled(emulator, payload, images.image(0))? } else { Vec::new() };
    let info = emulator.fresh_info()?;
    let (firmware_bytes, image_bytes) = (emulator.firmware().flash_bytes, payload.image.bytes().len() as u64);
    let count = images.len() as u64;
    Ok(Evaluation {
        board: info.board,
        images: images.len(),
        accuracy: right as f64 / images.len() as f64,
        values,
        mismatches,
        self_test_failures,
        instructions_per_inference: (instructions.iter().sum::<u64>() + count / 2) / count,
        instructions_range: [
            instructions.iter().copied().min().unwrap_or(0),
            instructions.iter().copied().max().unwrap_or(0),
        ],
        arena_bytes: image.arena_bytes() as u32,
        stack_bytes: info.stack_bytes,
        flash_bytes: firmware_bytes + image_bytes,
        firmware_bytes,
        image_bytes,
        seconds: start.elapsed().as_secs_f64(),
        layers,
    })
}

/// What every layer costs for one image.
pub fn profiled(
    emulator: &mut Emulator,
    payload: &Payload,
    pixels: &[u8],
) -> Result<Vec<LayerProfile>, EmulatorError> {
    let instructions = emulator.profile(pixels)?;
    let layers = payload.layers.iter().zip(instructions);
    Ok(layers
        .map(|(layer, instructions)| LayerProfile {
            name: layer.name.clone(),
            macs: layer.macs,
            kernel: layer.kernel.to_owned(),
            instructions,
            output_bytes: layer.output_bytes,
            weight_bytes: layer.weight_bytes,
            scratch_bytes: layer.scratch_bytes,
        })
        .collect())
}
