//! Calibration: the float network on training images, in ONNX Runtime, watched at every layer.

mod auto;
mod float;
mod learn;
mod npy;
mod parts;
mod pipeline;
mod representative;
mod search;
mod settings;
mod source;
mod sqnr;
mod variants;

use goldcrest_data::Split;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::ModelInfo;
use goldcrest_quantize::statistics::Statistics;
use rayon::prelude::*;

use crate::verify::RunnerError;

pub use auto::{Budget, FourBits, Trial};
pub use float::{FloatNetwork, normalize};
pub use npy::npy;
pub use parts::Parts;
pub use pipeline::{
    Layer, PipelineError, Quantized, given_outcome, quantize_judged, quantize_model, take_over_model,
};
pub use representative::{Shortcoming, shortcomings};
pub use search::{Found, Search};
pub use settings::Settings;
pub use source::{Outcome, Source};
pub use sqnr::signal_to_noise;

/// Images that a thread runs at once.
const CHUNK: usize = 10;

/// Runs images through the float network and gathers the statistics of every tensor.
///
/// # Errors
/// When ONNX Runtime is missing or fails.
pub fn calibrate(
    graph: &FloatGraph,
    info: &ModelInfo,
    images: &Split,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Statistics, RunnerError> {
    let network = FloatNetwork::load(graph, info)?;
    let starts: Vec<usize> = (0..images.len()).step_by(CHUNK).collect();
    starts
        .into_par_iter()
        .try_fold(
            || Statistics::new(graph),
            |mut statistics, start| -> Result<Statistics, RunnerError> {
                let count = CHUNK.min(images.len() - start);
                let pixels: Vec<&[u8]> = (start..start + count).map(|index| images.image(index)).collect();
                let layers = network.layers(&pixels)?;
                for (node, values) in graph.nodes.iter().zip(&layers) {
                    observe(&mut statistics, graph, node.output.0, values);
                }
                observe(&mut statistics, graph, graph.input.0, &network.input(&pixels));
                done(count);
                Ok(statistics)
            },
        )
        .try_reduce(
            || Statistics::new(graph),
            |mut a, b| {
                a.merge(&b);
                Ok(a)
            },
        )
}

/// Adds the values of one tensor, NCHW.
fn observe(statistics: &mut Statistics, graph: &FloatGraph, tensor: usize, values: &[f32]) {
    let shape = graph.tensors[tensor].shape;
    for (index, plane) in values.chunks_exact(shape.height * shape.width).enumerate() {
        statistics.tensors[tensor].observe(index % shape.channels, plane);
    }
}

#[cfg(test)]
mod tests;
