//! The int8 semantics as plain loops, see [`goldcrest_quantize::reference`].

use goldcrest_quantize::graph::QuantizedGraph;
use goldcrest_quantize::reference;

use super::runner::{Runner, RunnerError};

/// The executable specification.
pub struct Specification<'a> {
    graph: &'a QuantizedGraph,
}

impl<'a> Specification<'a> {
    /// The specification of a checked graph.
    pub fn new(graph: &'a QuantizedGraph) -> Self {
        Self { graph }
    }
}

impl Runner for Specification<'_> {
    fn name(&self) -> &'static str {
        "specification"
    }

    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError> {
        let mut layers = vec![Vec::new(); self.graph.nodes.len()];
        for image in images.chunks_exact(self.graph.tensor(self.graph.input).shape.len()) {
            let tensors = reference::run(self.graph, image);
            for (node, layer) in self.graph.nodes.iter().zip(&mut layers) {
                layer.extend(&tensors[node.output.0]);
            }
        }
        Ok(layers)
    }
}
