//! Cross-layer equalization: every channel of an activation is scaled so that all channels reach equally
//! far, and the convolutions around it absorb the factors. The function stays the same, but one int8 grid
//! then serves all channels equally well.
//!
//! Nagel, van Baalen, Blankevoort, Welling: Data-Free Quantization Through Weight Equalization and Bias
//! Correction, 2019. That paper balances the weights of neighbours, which have one scale per layer there.
//! Here each output channel of the weights has a scale of its own, so the factors are free to serve the
//! activations alone; and they go through additions, pools and concatenations, not only from one
//! convolution to the next.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use super::fusion::steps;
use super::graph::{FloatGraph, TensorId};
use super::operators::Channels;
use super::statistics::Statistics;

/// Smallest factor: channels that hardly ever answer are not blown up further.
const LEAST: f64 = 1.0 / 32.0;

/// Smallest factor of all channels of a part of a concatenation.
const LEAST_PART: f64 = 1.0 / 4096.0;

/// Divides every channel of every activation by a factor of its own where the graph allows it, and returns
/// the graph that computes so. The factor is the channel's share of its tensor's range to the power of
/// `strength`: 0 changes nothing, 1 makes all channels reach equally far. Less than 1 leaves channels that
/// seldom answer some room beyond what calibration saw of them.
pub fn equalize(graph: &FloatGraph, statistics: &Statistics, strength: f64) -> FloatGraph {
    let mut classes = Classes::of(graph);
    let factors = classes.factors(graph, statistics, strength);
    let mut equalized = graph.clone();
    for node in &mut equalized.nodes {
        let Some(conv) = node.op.conv_mut() else { continue };
        let (input, output) = (&factors[node.inputs[0].0], &factors[node.output.0]);
        let outputs = conv.bias.len();
        let (each, depth) = (conv.weights.len() / outputs, input.len() / conv.groups);
        for (channel, (row, bias)) in conv.weights.chunks_exact_mut(each).zip(&mut conv.bias).enumerate() {
            let first = channel / (outputs / conv.groups) * depth;
            for (position, weight) in row.iter_mut().enumerate() {
                *weight = (f64::from(*weight) * input[first + position % depth] / output[channel]) as f32;
            }
            *bias = (f64::from(*bias) / output[channel]) as f32;
        }
    }
    equalized
}

/// Channels of tensors that must share one factor.
struct Classes {
    /// The first channel of each tensor among all channels.
    first: Vec<usize>,
    /// A channel nearer to the representative of its class; itself at the representative.
    parent: Vec<usize>,
    /// Whether a factor other than 1 is out of the question; valid at representatives.
    fixed: Vec<bool>,
}

impl Classes {
    fn of(graph: &FloatGraph) -> Self {
        let mut first = Vec::new();
        let mut count = 0;
        for tensor in &graph.tensors {
            first.push(count);
            count += tensor.shape.channels;
        }
        let mut classes = Self { first, parent: (0..count).collect(), fixed: vec![false; count] };
        classes.fix(graph, graph.input);
        classes.fix(graph, graph.output);
        for node in &graph.nodes {
            match node.op.rules().channels() {
                Channels::Absorbed => {}
                Channels::Shared => {
                    node.inputs.iter().for_each(|&input| classes.join(graph, input, node.output, 0));
                }
                Channels::Joined => {
                    let mut offset = 0;
                    for &input in &node.inputs {
                        classes.join(graph, input, node.output, offset);
                        offset += graph.tensor(input).shape.channels;
                    }
                }
                Channels::OfFirst => {
                    classes.join(graph, node.inputs[0], node.output, 0);
                    classes.fix(graph, node.inputs[1]);
                }
                Channels::Fixed => {
                    classes.fix(graph, node.inputs[0]);
                    classes.fix(graph, node.output);
                }
            }
        }
        classes
    }

    fn representative(&mut self, mut channel: usize) -> usize {
        while self.parent[channel] != channel {
            self.parent[channel] = self.parent[self.parent[channel]];
            channel = self.parent[channel];
        }
        channel
    }

    /// Joins the channels of `a` with those of `b` from `offset` on.
    fn join(&mut self, graph: &FloatGraph, a: TensorId, b: TensorId, offset: usize) {
        for channel in 0..graph.tensor(a).shape.channels {
            let a = self.representative(self.first[a.0] + channel);
            let b = self.representative(self.first[b.0] + offset + channel);
            self.parent[a] = b;
            self.fixed[b] |= self.fixed[a];
        }
    }

    fn fix(&mut self, graph: &FloatGraph, tensor: TensorId) {
        for channel in 0..graph.tensor(tensor).shape.channels {
            let representative = self.representative(self.first[tensor.0] + channel);
            self.fixed[representative] = true;
        }
    }

    /// The factor of every channel of every tensor: the largest share that the channel has of the range
    /// of a tensor of its class, times the share that a part of a concatenation has of the whole. Only
    /// tensors that int8 tensors stand for count.
    fn factors(&mut self, graph: &FloatGraph, statistics: &Statistics, strength: f64) -> Vec<Vec<f64>> {
        let mut share = vec![0f64; self.parent.len()];
        let mut part = vec![1f64; self.parent.len()];
        for step in steps(graph) {
            let (tensor, seen) = (step.output.0, &statistics.tensors[step.output.0]);
            let channels = graph.tensors[tensor].shape.channels;
            let widest = |range: Range<usize>| range.map(|channel| seen.reach(channel)).fold(0.0, f64::max);
            let all = widest(0..channels);
            let parts = match step.node.op.rules().channels() {
                Channels::Joined => {
                    step.node.inputs.iter().map(|&input| graph.tensor(input).shape.channels).collect()
                }
                _ => vec![channels],
            };
            let mut start = 0;
            for count in parts {
                let range = start..start + count;
                start += count;
                let own = widest(range.clone());
                for channel in range.filter(|_| own > 0.0) {
                    let representative = self.representative(self.first[tensor] + channel);
                    share[representative] = share[representative].max(seen.reach(channel) / own);
                    part[representative] = part[representative].min(own / all);
                }
            }
        }
        let first = self.first.clone();
        let mut factor = |channel| {
            let representative = self.representative(channel);
            match self.fixed[representative] || share[representative] == 0.0 {
                true => 1.0,
                false if strength == 0.0 => 1.0,
                // Unlike a channel that hardly ever answers, a part is wholly as small as it is.
                false => {
                    libm::pow(share[representative], strength).max(LEAST)
                        * part[representative].max(LEAST_PART)
                }
            }
        };
        let tensor = |(index, tensor): (usize, &super::graph::Tensor<()>)| {
            let first = first[index];
            (first..first + tensor.shape.channels).map(&mut factor).collect()
        };
        graph.tensors.iter().enumerate().map(tensor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Activation, FloatConv, FloatOp, Node, Tensor};
    use super::*;
    use goldcrest_engine::shape::{Shape, Window};

    /// Two convolutions of one value per channel, a Relu between them.
    fn graph(first: &[f32], second: &[f32]) -> FloatGraph {
        let tensor =
            |name: &str, channels| Tensor { name: name.into(), shape: Shape::new(1, 1, channels), info: () };
        let conv = |weights: &[f32], outputs| {
            let window = Window::new([1, 1], [1, 1]);
            FloatOp::from(FloatConv { window, groups: 1, weights: weights.into(), bias: vec![1.0; outputs] })
        };
        let node = |name: &str, op, input, output| Node {
            name: name.into(),
            op,
            inputs: vec![TensorId(input)],
            output: TensorId(output),
        };
        FloatGraph {
            name: "test".into(),
            tensors: vec![tensor("x", 1), tensor("a", 2), tensor("relu", 2), tensor("y", 1)],
            nodes: vec![
                node("a", conv(first, 2), 0, 1),
                node("relu", FloatOp::Activation(Activation::Relu), 1, 2),
                node("y", conv(second, 1), 2, 3),
            ],
            input: TensorId(0),
            output: TensorId(3),
        }
    }

    fn convs(graph: &FloatGraph) -> [&FloatConv; 2] {
        [0, 2].map(|index| graph.nodes[index].op.conv().unwrap())
    }

    #[test]
    fn factors_move_from_one_convolution_to_the_next() {
        let graph = graph(&[8.0, 1.0], &[3.0, 5.0]);
        let mut statistics = Statistics::new(&graph);
        for (channel, reach) in [8.0, 2.0].into_iter().enumerate() {
            statistics.tensors[2].observe(channel, &[0.0, reach]);
        }
        let whole = equalize(&graph, &statistics, 1.0);
        let [first, second] = convs(&whole);
        assert_eq!((&*first.weights, &*first.bias), (&[8.0, 4.0][..], &[1.0, 4.0][..]));
        assert_eq!((&*second.weights, &*second.bias), (&[3.0, 1.25][..], &[1.0][..]));
        let half = equalize(&graph, &statistics, 0.5);
        assert_eq!(convs(&half)[0].weights, [8.0, 2.0]);
        assert_eq!(equalize(&graph, &statistics, 0.0), graph);
    }
}
