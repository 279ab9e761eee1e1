//! Explicit padding with zeros, merged into the convolution or average pool behind it.

use super::super::graph::{FloatGraph, FloatOp};
use super::super::infer::Infer;
use super::links::Links;
use goldcrest_engine::shape::Padding;

/// Merges `Pad` into its only reader. A maximum keeps it: there zeros can win, padding cannot.
pub fn merge(graph: &mut FloatGraph, links: &mut Links) {
    for index in 0..graph.nodes.len() {
        let FloatOp::Pad(padding) = graph.nodes[index].op else { continue };
        let Some(reader) = links.only_reader(graph, graph.nodes[index].output) else { continue };
        let mut op = graph.nodes[reader].op.clone();
        let own = match &mut op {
            FloatOp::Conv(conv) => &mut conv.window.padding,
            FloatOp::AveragePool { window, count_include_pad }
                if *count_include_pad || window.padding == Padding::default() =>
            {
                *count_include_pad = true;
                &mut window.padding
            }
            _ => continue,
        };
        *own = Padding {
            top: own.top + padding.top,
            left: own.left + padding.left,
            bottom: own.bottom + padding.bottom,
            right: own.right + padding.right,
        };
        let input = graph.tensor(graph.nodes[index].inputs[0]).shape;
        if op.output_shape(&[input]).is_ok() {
            graph.nodes[reader].op = op;
            links.remove(graph, index);
        }
    }
}
