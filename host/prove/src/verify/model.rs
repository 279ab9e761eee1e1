//! The proof of one int8 file on test images.

use std::collections::BTreeMap;

use goldcrest_board::emulator::EmulatorError;
use goldcrest_board::table::Board;
use goldcrest_data::Split;
use goldcrest_engine::kernels::Family;
use goldcrest_onnx::int8::{self, Int8Error};
use goldcrest_onnx::{Model, OnnxError};
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::PackOptions;

use crate::misfit::Misfit;

use super::emulator::{EmulatedBoard, StartError};
use super::engine::{ForeignImage, HostEngine};
use super::onnxruntime::Int8OnnxRuntime;
use super::stress::{Stress, stress};
use super::tract::Tract;
use super::{Comparison, Participant, Runner, RunnerError, VerifyError, compare};

/// Why a file could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyModelError {
    /// The file is not an ONNX model.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The file is not an int8 model.
    #[error(transparent)]
    Int8(#[from] Int8Error),
    /// A runner cannot be loaded.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The device image given is not one of the model.
    #[error("the device image: {0}")]
    Image(#[from] ForeignImage),
    /// The emulated board does not start.
    #[error(transparent)]
    Board(#[from] EmulatorError),
    /// The comparison broke down.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Images of another size than the model takes.
    #[error("{0}")]
    Images(Misfit),
    /// No images at all.
    #[error("there are no images to compare on")]
    NoImages,
}

/// How many images the slower runners compute; tract and our engine compute all.
#[derive(Clone, Debug)]
pub struct Scope {
    /// How many of the first images ONNX Runtime computes; with 0 it is not needed.
    pub onnxruntime: usize,
    /// How many of the first images the firmware computes, on this emulated board.
    pub board: Option<(&'static Board, usize)>,
    /// How our engine's images are packed; each for the family of its core.
    pub packing: PackOptions,
    /// A device image that our engine runs instead of one made from the model.
    pub image: Option<Vec<u8>>,
}

/// A runner of a model, and how many images it computes.
pub struct Contestant {
    /// The runner.
    pub runner: Box<dyn Runner>,
    /// It computes the images before this one.
    pub images: usize,
}

/// An int8 file as it is shipped: tract reads its bytes, not what we make of them.
#[derive(Clone, Debug)]
pub struct Int8File {
    bytes: Vec<u8>,
    onnx: Model,
    model: QuantizedModel,
}

impl Int8File {
    /// Reads the bytes of an int8 ONNX file.
    ///
    /// # Errors
    /// When they are not an int8 model.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, VerifyModelError> {
        let onnx = Model::decode(&bytes)?;
        let model = int8::read(&onnx)?;
        Ok(Self { bytes, onnx, model })
    }

    /// The network.
    pub fn model(&self) -> &QuantizedModel {
        &self.model
    }

    /// The ONNX file's metadata, by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.onnx.metadata
    }

    /// Compares every layer of every image in tract and the other runners with our engine. `done` is told how
    /// many images more are finished.
    ///
    /// # Errors
    /// When a runner is missing or breaks down; differences are not an error.
    pub fn verify(
        &self,
        images: &Split,
        scope: &Scope,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Comparison, VerifyModelError> {
        let model = &self.model;
        let expected = model.graph.tensor(model.graph.input).shape;
        if images.is_empty() {
            return Err(VerifyModelError::NoImages);
        }
        if images.shape() != expected {
            return Err(VerifyModelError::Images(Misfit { found: images.shape(), expected }));
        }
        let contestants = start(model, &self.onnx, &self.bytes, scope)?;
        let participants: Vec<Participant<'_>> = contestants.iter().map(Contestant::participant).collect();
        let input = Pixels::of(model);
        Ok(compare(model, &participants, images.len(), &|index| input.quantize(images.image(index)), done)?)
    }

    /// Compares the same runners as [`Int8File::verify`] on accumulators next to rounding ties, see
    /// [`stress`].
    ///
    /// # Errors
    /// As [`Int8File::verify`].
    pub fn stress(&self, scope: &Scope) -> Result<Stress, VerifyModelError> {
        let all = |images: usize| if images > 0 { usize::MAX } else { 0 };
        // Budgets are about the model, not about the networks of the stress.
        let packing = PackOptions { ram_budget: None, flash_budget: None, ..scope.packing.clone() };
        let scope = Scope { onnxruntime: all(scope.onnxruntime), packing, image: None, board: scope.board };
        stress(&self.model, &|probe| {
            let onnx = int8::write(probe);
            start(probe, &onnx, &onnx.encode(), &scope)
        })
    }
}

/// The runners of a model, our engine first.
fn start(
    model: &QuantizedModel,
    onnx: &Model,
    bytes: &[u8],
    scope: &Scope,
) -> Result<Vec<Contestant>, VerifyModelError> {
    let packing = |family| PackOptions { family, ..scope.packing.clone() };
    let engine = match &scope.image {
        Some(bytes) => HostEngine::load(model, &scope.packing, bytes)?,
        None => HostEngine::pack_as(model, &packing(Family::Portable))?,
    };
    let mut contestants = vec![
        Contestant { runner: Box::new(engine), images: usize::MAX },
        Contestant { runner: Box::new(Tract::load(bytes, &model.graph)?), images: usize::MAX },
    ];
    if scope.onnxruntime > 0 {
        let runner = Box::new(Int8OnnxRuntime::load(onnx, &model.graph)?);
        contestants.push(Contestant { runner, images: scope.onnxruntime });
    }
    if let Some((board, images)) = scope.board {
        let runner = Box::new(EmulatedBoard::start(board, model, &packing(board.family))?);
        contestants.push(Contestant { runner, images });
    }
    Ok(contestants)
}

impl Contestant {
    fn participant(&self) -> Participant<'_> {
        Participant { runner: &*self.runner, images: self.images }
    }
}

impl From<StartError> for VerifyModelError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Runner(error) => Self::Runner(error),
            StartError::Emulator(error) => Self::Board(error),
        }
    }
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

    /// A picture with this int8 input, or `None` when there is none: [`Pixels::quantize`] backwards.
    pub fn picture(&self, input: &[i8]) -> Option<Vec<u8>> {
        let channels = self.tables.len();
        let inverse: Vec<[Option<u8>; 256]> = self
            .tables
            .iter()
            .map(|table| {
                let mut inverse = [None; 256];
                for (pixel, &value) in (0..=u8::MAX).zip(table) {
                    inverse[usize::from(value as u8)] = Some(pixel);
                }
                inverse
            })
            .collect();
        let pixels = input.iter().enumerate();
        pixels.map(|(index, &value)| inverse[index % channels][usize::from(value as u8)]).collect()
    }
}
