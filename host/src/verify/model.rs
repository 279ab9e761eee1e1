//! The proof of one int8 file on test images.

use goldcrest_shared::quantize::graph::QuantizedModel;
use goldcrest_shared::shape::Shape;

use super::engine::HostEngine;
use super::onnxruntime::Int8OnnxRuntime;
use super::tract::Tract;
use super::{Comparison, Participant, RunnerError, VerifyError, compare};
use crate::dataset::Split;
use crate::onnx::int8::{self, Int8Error};
use crate::onnx::{Model, OnnxError};

/// Why a file could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyModelError {
    /// The file is no ONNX model.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The file is no int8 model.
    #[error(transparent)]
    Int8(#[from] Int8Error),
    /// A runner cannot be loaded.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The comparison broke down.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Images of another size than the model takes.
    #[error("the images are {found}, but the model takes {expected}; pass --resize")]
    Images { found: Shape, expected: Shape },
    /// No images at all.
    #[error("there are no images to compare on")]
    NoImages,
}

/// Compares the bytes of an int8 file in tract with our engine on all images, and with ONNX Runtime on the first
/// `onnxruntime` of them. `done` is told how many images more are finished.
///
/// # Errors
/// When the file is no int8 model, or a runner is missing or breaks down; differences are no error.
pub fn verify_model(
    bytes: &[u8],
    images: &Split,
    onnxruntime: usize,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Comparison, VerifyModelError> {
    let onnx = Model::decode(bytes)?;
    let model = int8::read(&onnx)?;
    let expected = model.graph.tensor(model.graph.input).shape;
    if images.is_empty() {
        return Err(VerifyModelError::NoImages);
    }
    if images.shape() != expected {
        return Err(VerifyModelError::Images { found: images.shape(), expected });
    }
    let engine = HostEngine::pack(&model)?;
    let tract = Tract::load(bytes, &model.graph)?;
    let runtime = match onnxruntime {
        0 => None,
        _ => Some(Int8OnnxRuntime::load(&onnx, &model.graph)?),
    };
    let mut participants = vec![Participant::all(&engine), Participant::all(&tract)];
    participants.extend(runtime.as_ref().map(|runner| Participant { runner, images: onnxruntime }));
    let input = Pixels::of(&model);
    Ok(compare(&model, &participants, images.len(), &|index| input.quantize(images.image(index)), done)?)
}

/// The tables that turn pictures into int8 inputs.
pub struct Pixels {
    tables: Vec<[i8; 256]>,
}

impl Pixels {
    /// The tables of a model.
    pub fn of(model: &QuantizedModel) -> Self {
        let channels = model.graph.tensor(model.graph.input).shape.channels;
        Self { tables: (0..channels).map(|channel| model.pixel_table(channel)).collect() }
    }

    /// A picture (u8, HWC) as int8 input.
    pub fn quantize(&self, picture: &[u8]) -> Vec<i8> {
        let channels = self.tables.len();
        picture
            .iter()
            .enumerate()
            .map(|(index, &pixel)| self.tables[index % channels][usize::from(pixel)])
            .collect()
    }
}
