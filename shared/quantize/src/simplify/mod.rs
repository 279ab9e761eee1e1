//! Simplification of float graphs: merges what exporters spread over several nodes.
//!
//! Every pass has one shape, `Pass`, and stands in `PASSES` in the order they run.

mod affine;
mod links;
mod pad;
mod swish;

use alloc::{vec, vec::Vec};

use self::links::Links;
use super::graph::{FloatGraph, TensorId};

/// Rewrites a graph. A pass takes nodes away with [`Links::remove`] and keeps tensors; [`compact`] collects
/// what is left.
type Pass = fn(&mut FloatGraph, &mut Links);

const PASSES: &[Pass] =
    &[swish::activations, affine::identities, affine::backward, affine::forward, pad::merge];

/// The same function in fewer nodes: 1x1 depthwise convolutions (BatchNorm, arithmetic with constants) and
/// padding merged into their neighbours, hand-written HardSwish and Silu recognized, dead nodes dropped.
pub fn simplify(mut graph: FloatGraph) -> FloatGraph {
    for pass in PASSES {
        let mut links = Links::of(&graph);
        pass(&mut graph, &mut links);
        let mut index = 0;
        graph.nodes.retain(|_| {
            index += 1;
            !links.removed[index - 1]
        });
    }
    compact(graph)
}

/// Drops nodes that the output does not depend on, and tensors that no node mentions.
fn compact(mut graph: FloatGraph) -> FloatGraph {
    let mut needed = vec![false; graph.tensors.len()];
    needed[graph.output.0] = true;
    let mut kept: Vec<_> = Vec::new();
    while let Some(node) = graph.nodes.pop() {
        if needed[node.output.0] {
            node.inputs.iter().for_each(|id| needed[id.0] = true);
            kept.push(node);
        }
    }
    kept.reverse();
    needed[graph.input.0] = true;
    // Tensors in the order of the nodes that write them.
    let mut place = vec![TensorId(0); graph.tensors.len()];
    let mut tensors = vec![graph.tensors[graph.input.0].clone()];
    place[graph.input.0] = TensorId(0);
    for node in &kept {
        place[node.output.0] = TensorId(tensors.len());
        tensors.push(graph.tensors[node.output.0].clone());
    }
    for node in &mut kept {
        node.inputs.iter_mut().for_each(|id| *id = place[id.0]);
        node.output = place[node.output.0];
        node.name = tensors[node.output.0].name.clone();
    }
    let (input, output) = (place[graph.input.0], place[graph.output.0]);
    FloatGraph { name: graph.name, tensors, nodes: kept, input, output }
}

#[cfg(test)]
mod tests;
