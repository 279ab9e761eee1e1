//! Our engine on the host, with the portable kernels: the packed device image, run as a board would.

use goldcrest_engine::{Engine, Image, ImageBuf, ImageError};
use goldcrest_quantize::graph::{QuantizedGraph, QuantizedModel};
use goldcrest_quantize::pack::{PackOptions, Packed, pack};

use super::runner::{Runner, RunnerError};

/// A device image in the engine.
pub struct HostEngine {
    packed: Packed,
    /// The node that each layer of the image completes.
    nodes: Vec<Option<usize>>,
    input: usize,
    count: usize,
}

impl HostEngine {
    /// Packs a model for the portable kernels.
    ///
    /// # Errors
    /// When the model cannot be packed.
    pub fn pack(model: &QuantizedModel) -> Result<Self, RunnerError> {
        Self::pack_as(model, &PackOptions::default())
    }

    /// Runs a device image of a model, packed as the options say for the family that the image names. Its
    /// layers must be those of the model; weights and constants may be any.
    ///
    /// # Errors
    /// When the bytes are no such image.
    pub fn load(model: &QuantizedModel, options: &PackOptions, bytes: &[u8]) -> Result<Self, ForeignImage> {
        let foreign = ImageBuf::new_checked(bytes)?;
        let image = foreign.image();
        let options = PackOptions { family: image.family(), ..options.clone() };
        let mut engine = Self::pack_as(model, &options)?;
        let own = engine.packed.image.image();
        let records = |image: &Image<'_>| image.layers().map(|layer| layer.record).collect::<Vec<_>>();
        let (found, expected) = (records(&image), records(&own));
        if found != expected {
            let same = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
            return Err(ForeignImage::Layer { layer: same });
        }
        engine.packed.image = foreign;
        Ok(engine)
    }

    /// Packs a model as the options say. Kernels of other cores run as their plain twins.
    ///
    /// # Errors
    /// When the model cannot be packed so.
    pub fn pack_as(model: &QuantizedModel, options: &PackOptions) -> Result<Self, RunnerError> {
        let packed = pack(model, options).map_err(failure)?;
        let graph = &model.graph;
        let nodes = nodes(&packed, graph);
        let input = graph.tensor(graph.input).shape.len();
        Ok(Self { packed, nodes, input, count: graph.nodes.len() })
    }
}

/// Why a device image is not one of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignImage {
    /// The bytes are not a device image.
    #[error("no device image: {0}")]
    Image(#[from] ImageError),
    /// Other layers than the packer makes.
    #[error(
        "layer {layer} is not what this model makes; give the options that the image was packed with \
         (--optimize, budgets, --winograd)"
    )]
    Layer { layer: usize },
    /// The model cannot be packed so.
    #[error(transparent)]
    Runner(#[from] RunnerError),
}

/// The node that each layer of a device image completes.
pub(super) fn nodes(packed: &Packed, graph: &QuantizedGraph) -> Vec<Option<usize>> {
    let node = |output| graph.nodes.iter().position(|node| node.output == output);
    packed.layers.iter().map(|layer| node(layer.output)).collect()
}

impl Runner for HostEngine {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError> {
        let image = self.packed.image.image();
        let mut arena = vec![0u32; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).map_err(failure)?;
        let mut layers = vec![Vec::new(); self.count];
        for picture in images.chunks_exact(self.input) {
            engine.input_i8().copy_from_slice(picture);
            engine.run_traced(&mut |index, values| {
                if let Some(node) = self.nodes[index] {
                    layers[node].extend_from_slice(values);
                }
            });
        }
        Ok(layers)
    }
}

fn failure(error: impl std::fmt::Display) -> RunnerError {
    RunnerError::Other { runner: "engine", message: error.to_string() }
}
