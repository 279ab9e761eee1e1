//! The firmware on an emulated board: its own kernels, layer by layer over the serial line.

use std::sync::Mutex;

use goldcrest_board::emulator::{Emulator, EmulatorError, Options};
use goldcrest_board::table::Board;
use goldcrest_quantize::graph::{QuantizedGraph, QuantizedModel};
use goldcrest_quantize::pack::{PackOptions, pack};

use super::Pixels;
use super::engine::nodes;
use super::runner::{Runner, RunnerError};

/// A model on an emulated board.
pub struct EmulatedBoard {
    /// The board answers one question at a time.
    emulator: Mutex<Emulator>,
    pixels: Pixels,
    /// The node that each layer of the image completes.
    nodes: Vec<Option<usize>>,
    input: usize,
    count: usize,
}

impl EmulatedBoard {
    /// Builds the board's firmware and starts it with the model.
    ///
    /// # Errors
    /// When the model cannot be packed or the board does not start.
    pub fn start(
        board: &'static Board,
        model: &QuantizedModel,
        options: &PackOptions,
    ) -> Result<Self, StartError> {
        let packed = pack(model, options).map_err(failure)?;
        let emulator = Emulator::start(board, packed.image.bytes(), Options::default())?;
        let graph: &QuantizedGraph = &model.graph;
        Ok(Self {
            emulator: Mutex::new(emulator),
            pixels: Pixels::of(model),
            nodes: nodes(&packed, graph),
            input: graph.tensor(graph.input).shape.len(),
            count: graph.nodes.len(),
        })
    }
}

/// Why a model does not run on an emulated board.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The board.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
}

impl Runner for EmulatedBoard {
    fn name(&self) -> &'static str {
        "emulator"
    }

    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError> {
        let mut layers = vec![Vec::new(); self.count];
        let mut emulator = self.emulator.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for input in images.chunks_exact(self.input) {
            let picture = self.pixels.picture(input).ok_or_else(|| failure("no picture has this input"))?;
            let outputs = emulator.trace(&picture).map_err(failure)?;
            for (values, node) in outputs.into_iter().zip(&self.nodes) {
                if let Some(node) = *node {
                    layers[node].extend(values);
                }
            }
        }
        Ok(layers)
    }
}

fn failure(error: impl std::fmt::Display) -> RunnerError {
    RunnerError::Other { runner: "emulator", message: error.to_string() }
}
