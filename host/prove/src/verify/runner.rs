//! The one shape of everything that computes an int8 network.

use goldcrest_quantize::graph::QuantizedGraph;

use crate::runtime::RuntimeError;

/// Computes an int8 network, every layer of it, for several images at once. Runners are shared
/// between threads.
pub trait Runner: Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// The output of every node of the graph, in their order: for each the values of all images one after the
    /// other, HWC.
    ///
    /// `images` are int8 inputs one after the other, HWC.
    ///
    /// # Errors
    /// When the runner breaks down; what it computes is never an error.
    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError>;
}

/// Why a runner gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// tract cannot load or run the model.
    #[error("tract cannot {action}: {message}")]
    Tract { action: &'static str, message: String },
    /// ONNX Runtime cannot load or run the model.
    #[error("ONNX Runtime cannot {action}: {message}")]
    OnnxRuntime { action: &'static str, message: String },
    /// There is no ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A runner wrote a layer of another size than the graph says.
    #[error("{runner}: layer `{layer}` has {found} values for {images} images, the graph says {expected}")]
    Size { runner: &'static str, layer: String, found: usize, images: usize, expected: usize },
    /// Another runner's failure.
    #[error("{runner}: {message}")]
    Other { runner: &'static str, message: String },
}

/// The layers of some images, checked against the sizes that the graph says.
pub fn checked_layers(
    runner: &dyn Runner,
    graph: &QuantizedGraph,
    images: &[i8],
) -> Result<Vec<Vec<i8>>, RunnerError> {
    let count = images.len() / graph.tensor(graph.input).shape.len();
    let layers = runner.layers(images)?;
    for (index, node) in graph.nodes.iter().enumerate() {
        let found = layers.get(index).map_or(0, Vec::len);
        let expected = count * graph.tensor(node.output).shape.len();
        if found != expected {
            let (runner, layer) = (runner.name(), node.name.clone());
            return Err(RunnerError::Size { runner, layer, found, images: count, expected });
        }
    }
    Ok(layers)
}
