//! [`FloatGraph`]s as plain ONNX (opset 17, NCHW): every tensor of the graph is a value of that name,
//! `[N, C, H, W]`, so each can be asked for as an output.

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::FloatOp;

pub use super::operators::{oihw, windowed};
use super::{Graph, Model, Node, Tensor, ValueInfo, operators};

/// Writes a graph as an ONNX model whose outputs are all its tensors but the input, in the order of
/// its nodes. The batch is dynamic.
pub fn write(graph: &FloatGraph) -> Model {
    let mut onnx = Graph { name: graph.name.clone(), ..Graph::default() };
    let value = |name: &str, Shape { height, width, channels }: Shape| {
        ValueInfo::float(name, &[-1, channels as i64, height as i64, width as i64])
    };
    let input = graph.tensor(graph.input);
    onnx.inputs.push(value(&input.name, input.shape));
    for node in &graph.nodes {
        let inputs: Vec<&str> = node.inputs.iter().map(|&id| &*graph.tensor(id).name).collect();
        let output = graph.tensor(node.output);
        let written = operator(&mut onnx, &node.op, &inputs, &output.name);
        onnx.nodes.push(written);
        onnx.outputs.push(value(&output.name, output.shape));
    }
    Model { graph: onnx, opset: 17, ..Model::default() }
}

/// Adds the constants of an operator, and what stands before it; returns its node.
pub fn operator(onnx: &mut Graph, op: &FloatOp, inputs: &[&str], output: &str) -> Node {
    operators::export(&mut Export { onnx, inputs, output }, op)
}

/// Where the nodes and constants of one operator go.
pub(crate) struct Export<'a> {
    /// The file.
    pub onnx: &'a mut Graph,
    /// Names of what the operator reads.
    pub inputs: &'a [&'a str],
    /// Name of what it writes.
    pub output: &'a str,
}

impl Export<'_> {
    /// Adds an initializer; returns its name, the output's with a suffix.
    pub fn constant(&mut self, suffix: &str, tensor: Tensor) -> String {
        let name = format!("{}{suffix}", self.output);
        self.onnx.initializers.insert(name.clone(), tensor);
        name
    }
}
