//! Learned weights in an int8 graph: [`rounding`](super::rounding) for every output channel of one
//! convolution.

use super::graph::{FloatConv, QuantizedGraph};
use super::moments::Moments;
use super::rounding::{Problem, WeightRange};
use goldcrest_engine::requantize::Multiplier;

/// Largest bias: leaves the weights as much of an accumulator again.
const BIAS_LIMIT: f64 = (1u64 << 30) as f64;

/// How the weights of one convolution are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// Whether the weights also make up for errors of the layers before, or only for their own rounding.
    pub compensate: bool,
    /// How strongly weights are held near the float ones, as a share of the mean square of their inputs.
    pub ridge: f64,
}

/// Learns weights, bias and multipliers of the convolution at `node` from what its inputs were and what its
/// outputs should have been. A node that is not a convolution stays, and so does one that was never observed.
pub fn learn(
    graph: &mut QuantizedGraph,
    node: usize,
    exact: &FloatConv,
    moments: &mut Moments,
    learning: Learning,
    range: WeightRange,
) {
    let [input, output] = [graph.nodes[node].inputs[0], graph.nodes[node].output]
        .map(|id| f64::from(graph.tensor(id).info.scale));
    let Some(conv) = graph.nodes[node].op.conv_mut() else { return };
    let unit = input / output * 65536.0;
    let outputs = conv.bias.len();
    let (each, in_group) = (conv.weights.len() / outputs, outputs / conv.groups);
    for group in 0..conv.groups {
        let Some(covariance) = moments.covariance(group) else { return };
        let problem = Problem::new(covariance, input, learning.ridge, range);
        for within in 0..in_group {
            let channel = group * in_group + within;
            let exact_row = &exact.weights[channel * each..][..each];
            let for_bias = f64::from(exact.bias[channel]).abs() / input / BIAS_LIMIT * unit;
            let found = problem.solve(within, exact_row, learning.compensate, unit, for_bias);
            let Some(multiplier) = Multiplier::new(found.k.min(f64::from(u32::MAX)) as u32) else { continue };
            conv.weights[channel * each..][..each].copy_from_slice(&found.weights);
            conv.bias[channel] = libm::rint(found.bias).clamp(-BIAS_LIMIT, BIAS_LIMIT) as i32;
            conv.multipliers[channel] = multiplier;
        }
    }
}
