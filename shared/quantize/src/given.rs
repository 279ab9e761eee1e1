//! Grids that a model brings with it, because another tool quantized it, and what had to move to fit ours.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use super::graph::{FloatGraph, Quantization, QuantizedModel, TensorId};
use super::quantizer::QuantizeReport;
use goldcrest_engine::requantize::Multiplier;

/// Grids of activations and weights, by tensor of the float graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Grids of activations.
    pub grids: BTreeMap<TensorId, Quantization>,
    /// Scales of weights by the tensor that their convolution writes: one, or one per output channel.
    pub weights: BTreeMap<TensorId, Vec<f32>>,
}

impl Given {
    /// The weight scale of an output channel.
    pub fn weight_scale(&self, written: TensorId, channel: usize) -> Option<f64> {
        let scales = self.weights.get(&written)?;
        let scale = if scales.len() == 1 { scales.first() } else { scales.get(channel) };
        scale.map(|&scale| f64::from(scale)).filter(|scale| scale.is_finite() && *scale > 0.0)
    }
}

/// Something of the given grids that the int8 model has otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Moved {
    /// The grid of an activation.
    Grid {
        /// The tensor.
        tensor: String,
        /// As given.
        from: Quantization,
        /// As it is now.
        to: Quantization,
    },
    /// The weights of a layer: their scales went to multiples of what the grid of multipliers allows.
    Weights {
        /// The layer.
        layer: String,
        /// Largest relative change of a scale.
        largest: f64,
        /// Integers that changed with it.
        changed: usize,
        /// All integers of the layer.
        weights: usize,
    },
    /// The ratio of scales in an addition, product or average pool, rounded to the grid of multipliers.
    Ratio {
        /// The layer.
        layer: String,
        /// Relative change.
        change: f64,
    },
}

/// What moved, in the order of the layers.
pub fn moved(
    given: &Given,
    float: &FloatGraph,
    model: &QuantizedModel,
    report: &QuantizeReport,
) -> Vec<Moved> {
    let graph = &model.graph;
    let mut all = Vec::new();
    let mut grid = |float: TensorId, now: TensorId| {
        let (from, tensor) = (given.grids.get(&float), graph.tensor(now));
        if let Some(&from) = from.filter(|from| **from != tensor.info) {
            all.push(Moved::Grid { tensor: tensor.name.clone(), from, to: tensor.info });
        }
    };
    grid(float.input, graph.input);
    for (node, layer) in graph.nodes.iter().zip(&report.layers) {
        grid(layer.float, node.output);
    }
    for (node, layer) in graph.nodes.iter().zip(&report.layers) {
        let scale = |id: TensorId| f64::from(graph.tensor(id).info.scale);
        let (input, output) = (scale(node.inputs[0]), scale(node.output));
        let change = match node.op.conv() {
            Some(conv) => {
                let written = float.nodes.iter().find(|float| float.output == layer.unbounded);
                let Some(exact) = written.and_then(|node| node.op.conv()) else { continue };
                let each = conv.weights.len() / conv.bias.len();
                let (mut largest, mut changed) = (0f64, 0);
                for (channel, multiplier) in conv.multipliers.iter().enumerate() {
                    let Some(from) = given.weight_scale(layer.unbounded, channel) else { continue };
                    let to = multiplier.to_f64() * output / input;
                    largest = largest.max((to / from - 1.0).abs());
                    let rows = channel * each..(channel + 1) * each;
                    let pairs = exact.weights[rows.clone()].iter().zip(&conv.weights[rows]);
                    changed += pairs
                        .filter(|&(&real, &now)| libm::rint(f64::from(real) / from) != f64::from(now))
                        .count();
                }
                // Below what a float can tell, nothing moved.
                if largest > 1e-6 || changed > 0 {
                    let (layer, weights) = (node.name.clone(), conv.weights.len());
                    all.push(Moved::Weights { layer, largest, changed, weights });
                }
                continue;
            }
            None => {
                let op = node.op.rules();
                let inputs: Vec<f64> = node.inputs.iter().map(|&id| scale(id)).collect();
                let (wanted, found) = (op.ratios(&inputs, output), op.multipliers());
                let change = |(wanted, found): (f64, &Multiplier)| found.to_f64() / wanted - 1.0;
                let changes = wanted.into_iter().zip(found).map(change);
                changes.fold(0.0, |most: f64, change| if change.abs() > most.abs() { change } else { most })
            }
        };
        if change.abs() > 1e-6 {
            all.push(Moved::Ratio { layer: node.name.clone(), change });
        }
    }
    all
}
