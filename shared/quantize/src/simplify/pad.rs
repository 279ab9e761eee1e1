//! Explicit padding with zeros, merged into the operator behind it where that pads itself.

use super::super::graph::FloatGraph;
use super::super::infer::Infer;
use super::links::Links;

/// Merges padding into its only reader. A maximum keeps it: there zeros can win, padding cannot.
pub fn merge(graph: &mut FloatGraph, links: &mut Links) {
    for index in 0..graph.nodes.len() {
        let Some(padding) = graph.nodes[index].op.rules().padding() else { continue };
        let Some(reader) = links.only_reader(graph, graph.nodes[index].output) else { continue };
        let Some(op) = graph.nodes[reader].op.rules().padded(padding) else { continue };
        let input = graph.tensor(graph.nodes[index].inputs[0]).shape;
        if op.output_shape(&[input]).is_ok() {
            graph.nodes[reader].op = op;
            links.remove(graph, index);
        }
    }
}
