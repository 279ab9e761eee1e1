//! Activations that exporters of older operator sets spell out: `clip(x + 3, 0, 6) / 6` is HardSigmoid,
//! `x * hard_sigmoid(x)` HardSwish, `x * sigmoid(x)` Silu.

use super::super::graph::{Activation, FloatGraph, FloatOp, TensorId};
use super::affine::affine;
use super::links::Links;

/// Replaces them by single nodes.
pub fn activations(graph: &mut FloatGraph, links: &mut Links) {
    for index in 0..graph.nodes.len() {
        match &graph.nodes[index].op {
            FloatOp::Mul => product(graph, links, index),
            op if uniform(op).is_some() => sixth(graph, links, index),
            _ => {}
        }
    }
}

/// The one scale and shift of an affine node.
fn uniform(op: &FloatOp) -> Option<(f32, f32)> {
    let conv = affine(op)?;
    let (scale, shift) = (conv.weights[0], conv.bias[0]);
    let same = conv.weights.iter().all(|&s| s == scale) && conv.bias.iter().all(|&s| s == shift);
    same.then_some((scale, shift))
}

fn close(value: f32, wanted: f32) -> bool {
    (value - wanted).abs() <= 1e-6 * wanted
}

/// The tensor `x` behind `clip(x + 3, 0, 6)`, when nothing else reads what stands between.
fn clipped(graph: &FloatGraph, links: &Links, tensor: TensorId) -> Option<TensorId> {
    links.only_reader(graph, tensor)?;
    let clip = &graph.nodes[links.producer(tensor)?];
    let FloatOp::Activation(Activation::Clip { low: 0.0, high: 6.0 }) = clip.op else { return None };
    links.only_reader(graph, clip.inputs[0])?;
    let shift = &graph.nodes[links.producer(clip.inputs[0])?];
    (uniform(&shift.op)? == (1.0, 3.0)).then_some(shift.inputs[0])
}

/// `clip(x + 3, 0, 6) / 6` or `x * clip(x + 3, 0, 6) / 6`.
fn sixth(graph: &mut FloatGraph, links: &mut Links, index: usize) {
    let node = &graph.nodes[index];
    match uniform(&node.op) {
        Some((scale, 0.0)) if close(scale, 1.0 / 6.0) => {}
        _ => return,
    }
    let input = node.inputs[0];
    let (source, activation) = if let Some(x) = clipped(graph, links, input) {
        (x, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 })
    } else {
        let Some(before) = links.producer(input).filter(|_| links.only_reader(graph, input).is_some()) else {
            return;
        };
        let (FloatOp::Mul, &[a, b]) = (&graph.nodes[before].op, &*graph.nodes[before].inputs) else { return };
        match (clipped(graph, links, a), clipped(graph, links, b)) {
            (_, Some(x)) if x == a => (x, Activation::HardSwish),
            (Some(x), _) if x == b => (x, Activation::HardSwish),
            _ => return,
        }
    };
    links.read_only(graph, index, source);
    graph.nodes[index].op = FloatOp::Activation(activation);
}

/// `x * gate(x)`.
fn product(graph: &mut FloatGraph, links: &mut Links, index: usize) {
    let &[a, b] = &*graph.nodes[index].inputs else { return };
    let gate = |x: TensorId, gate: TensorId| {
        links.only_reader(graph, gate)?;
        let node = &graph.nodes[links.producer(gate)?];
        match &node.op {
            _ if node.inputs[0] != x => None,
            FloatOp::Activation(Activation::Sigmoid) => Some((x, Activation::Silu)),
            FloatOp::Activation(Activation::HardSigmoid { alpha, beta })
                if close(*alpha, 1.0 / 6.0) && close(*beta, 0.5) =>
            {
                Some((x, Activation::HardSwish))
            }
            _ => None,
        }
    };
    if let Some((source, activation)) = gate(a, b).or_else(|| gate(b, a)) {
        links.read_only(graph, index, source);
        graph.nodes[index].op = FloatOp::Activation(activation);
    }
}
