//! Which float nodes become one int8 node: a Relu or Clip joins the convolution or addition before it when
//! nothing else reads what stands between, because saturation and clamping cost nothing there.

use alloc::{vec, vec::Vec};

use super::graph::{FloatGraph, FloatOp, Node, TensorId};

/// One int8 node to be.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The float node that computes.
    pub node: &'a Node<FloatOp>,
    /// Bounds on its result, from a Relu or Clip behind it.
    pub bounds: Option<(f64, f64)>,
    /// The float tensor it writes, behind the bounds.
    pub output: TensorId,
}

/// The steps of a graph, in its order.
pub fn steps(graph: &FloatGraph) -> Vec<Step<'_>> {
    let mut readers = vec![Vec::new(); graph.tensors.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|id| readers[id.0].push(index));
    }
    let mut absorbed = vec![false; graph.nodes.len()];
    let mut steps = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if absorbed[index] {
            continue;
        }
        let mut step = Step { node, bounds: None, output: node.output };
        if node.op.rules().takes_bounds() {
            while let (&[reader], true) = (&*readers[step.output.0], step.output != graph.output) {
                let Some((low, high)) = graph.nodes[reader].op.rules().bounds() else { break };
                let (lowest, highest) = step.bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
                step.bounds = Some((lowest.clamp(low, high), highest.clamp(low, high)));
                step.output = graph.nodes[reader].output;
                absorbed[reader] = true;
            }
        }
        steps.push(step);
    }
    steps
}
