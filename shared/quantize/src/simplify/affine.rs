//! `scale * x + shift` per channel, merged into the convolution before or behind it.

use super::super::graph::{FloatConv, FloatGraph, FloatOp};
use super::links::Links;
use goldcrest_engine::shape::Padding;

/// The convolution of a node when it is [affine](FloatConv::is_affine).
pub fn affine(op: &FloatOp) -> Option<&FloatConv> {
    op.conv().filter(|conv| conv.is_affine())
}

/// Drops nodes that change nothing.
pub fn identities(graph: &mut FloatGraph, links: &mut Links) {
    for index in 0..graph.nodes.len() {
        let identity = graph.nodes[index].op.rules().is_identity();
        // The graph's input cannot be its output.
        if identity && graph.nodes[index].output != graph.output {
            links.remove(graph, index);
        }
    }
}

/// Into the convolution that writes its input.
pub fn backward(graph: &mut FloatGraph, links: &mut Links) {
    for index in 0..graph.nodes.len() {
        let Some(conv) = affine(&graph.nodes[index].op) else { continue };
        let input = graph.nodes[index].inputs[0];
        let Some(before) = links.producer(input).filter(|_| links.only_reader(graph, input).is_some()) else {
            continue;
        };
        let (scale, shift) = (conv.weights.clone(), conv.bias.clone());
        let Some(target) = graph.nodes[before].op.conv_mut() else { continue };
        let each = target.weights.len() / target.bias.len();
        for (channel, (&scale, &shift)) in scale.iter().zip(&shift).enumerate() {
            target.weights[channel * each..][..each].iter_mut().for_each(|weight| *weight *= scale);
            target.bias[channel] = target.bias[channel] * scale + shift;
        }
        links.absorb(graph, before, index);
    }
}

/// Into the convolution that reads its output, unless that pads: padding is zero behind the shift, not
/// before it.
pub fn forward(graph: &mut FloatGraph, links: &mut Links) {
    for index in 0..graph.nodes.len() {
        let Some(conv) = affine(&graph.nodes[index].op) else { continue };
        let Some(reader) = links.only_reader(graph, graph.nodes[index].output) else { continue };
        let (scale, shift) = (conv.weights.clone(), conv.bias.clone());
        let Some(target) = graph.nodes[reader].op.conv_mut() else { continue };
        if target.window.padding != Padding::default() && shift.iter().any(|&shift| shift != 0.0) {
            continue;
        }
        let depth = scale.len() / target.groups;
        let outputs = target.bias.len() / target.groups;
        let each = target.weights.len() / target.bias.len();
        for (channel, bias) in target.bias.iter_mut().enumerate() {
            let first = channel / outputs * depth;
            let mut moved = f64::from(*bias);
            for (position, weight) in target.weights[channel * each..][..each].iter_mut().enumerate() {
                let input = first + position % depth;
                moved += f64::from(*weight) * f64::from(shift[input]);
                *weight *= scale[input];
            }
            *bias = moved as f32;
        }
        links.remove(graph, index);
    }
}
