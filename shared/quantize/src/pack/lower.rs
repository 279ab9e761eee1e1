//! From the nodes of an int8 graph to layers: the kernel, its numbers and its constants.

use alloc::{string::String, vec::Vec};

use super::{PackError, PackOptions, PackedLayer};
use crate::graph::{Node, QuantizedGraph, QuantizedOp, TensorId};
use goldcrest_engine::kernels::packing::{Constants, LayerSpec, Operator, Preferences};
use goldcrest_engine::kernels::{self, Kernel};
use goldcrest_engine::packer::{Channel, Record, Slot};
use goldcrest_engine::requantize::Multiplier;

/// A layer before it has its places in arena and image.
pub struct Step {
    /// Its position in the layer table.
    pub index: usize,
    /// The node it comes from.
    pub node: usize,
    /// What computes it.
    pub kernel: &'static Kernel,
    /// How many more kernels, each slower and smaller than the one before, could compute it.
    pub alternatives: usize,
    /// Name of the node.
    pub name: String,
    /// Tensors read.
    pub inputs: Vec<TensorId>,
    /// Tensor written.
    pub output: TensorId,
    /// Shapes, lengths and parameters; offsets are 0.
    pub record: Record,
    /// Weights in the kernel's order.
    pub weights: Vec<i8>,
    /// Channel constants.
    pub channels: Vec<Channel>,
    /// Multiply-accumulates.
    pub macs: u64,
}

impl Step {
    /// Bytes of weights and channel constants.
    pub fn constant_bytes(&self) -> usize {
        self.weights.len() + self.channels.len() * Channel::BYTES
    }

    /// What the packer tells of the layer.
    pub fn summary(self) -> PackedLayer {
        PackedLayer {
            weight_bytes: self.constant_bytes(),
            name: self.name,
            output: self.output,
            partial: self.record.partial,
            kernel: self.kernel.name(),
            macs: self.macs,
            outputs: self.record.output.shape.len(),
            scratch_bytes: self.record.scratch.1,
        }
    }
}

/// The layers of a graph that passed its check. `ranks` holds for each node which of the kernels that
/// could compute it does: 0 the fastest.
pub fn lower(graph: &QuantizedGraph, options: &PackOptions, ranks: &[usize]) -> Result<Vec<Step>, PackError> {
    let mut steps = Vec::new();
    for (index, (node, &rank)) in graph.nodes.iter().zip(ranks).enumerate() {
        for (layer, inputs) in layers(graph, node, options.preferences()) {
            let mut step = step(&layer, inputs, node, rank)?;
            (step.index, step.node) = (steps.len(), index);
            steps.push(step);
        }
    }
    Ok(steps)
}

/// A layer with the kernel of a rank among those that suit it, fastest first.
fn step(
    layer: &LayerSpec<'_>,
    inputs: Vec<TensorId>,
    node: &Node<QuantizedOp>,
    rank: usize,
) -> Result<Step, PackError> {
    let mut kernels: Vec<_> =
        kernels::ALL.iter().copied().filter(|kernel| (kernel.packing().suits)(layer)).collect();
    if layer.spares_flash() {
        // To save code, no other kernel stands in for the first.
        kernels.truncate(1);
    }
    let rank = rank.min(kernels.len().saturating_sub(1));
    let refused = || PackError::Kernel { layer: node.name.clone(), family: layer.preferences.family };
    let kernel = *kernels.get(rank).ok_or_else(refused)?;
    let needs = kernel.needs(&layer.record).ok_or_else(refused)?;
    let Constants { weights, channels } = (kernel.packing().order)(layer);
    let mut record = Record { kernel: kernel.id(), ..layer.record };
    record.scratch.1 = usize::try_from(needs.scratch)
        .map_err(|_| PackError::Field { layer: node.name.clone(), what: "scratch memory" })?;
    (record.weights.1, record.channels.1) = (weights.len(), channels.len());
    let pixels = record.output.shape.height * record.output.shape.width;
    let weights_of_pixel = if layer.operator == Operator::Convolution { layer.weights.len() } else { 0 };
    Ok(Step {
        index: 0,
        node: 0,
        kernel,
        alternatives: kernels.len() - 1 - rank,
        name: node.name.clone(),
        inputs,
        output: node.output,
        record,
        weights,
        channels,
        macs: (pixels * weights_of_pixel) as u64,
    })
}

/// The layers that compute a node, with the tensors that each reads.
fn layers<'a>(
    graph: &QuantizedGraph,
    node: &'a Node<QuantizedOp>,
    preferences: Preferences,
) -> Vec<(LayerSpec<'a>, Vec<TensorId>)> {
    let tensor = |at: usize| node.inputs.get(at).map(|&id| graph.tensor(id));
    let (input, output) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
    let at = |shape| Slot { offset: 0, shape };
    let record = Record {
        input_zero: input.info.zero_point,
        second_zero: tensor(1).map_or(0, |second| second.info.zero_point),
        output_zero: output.info.zero_point,
        input: at(input.shape),
        second: tensor(1).map_or(Slot::default(), |second| at(second.shape)),
        output: at(output.shape),
        ..Record::default()
    };
    let inputs: Vec<_> = node.inputs.iter().map(|&id| (id, graph.tensor(id).shape)).collect();
    node.op.rules().layers(Outline { record, preferences }, &inputs)
}

/// What is known of a layer before its operator says the rest.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// Shapes and zero points.
    pub record: Record,
    /// What the packer was asked for.
    pub preferences: Preferences,
}

impl Outline {
    /// A layer without weights.
    pub fn layer<'a>(self, operator: Operator, multipliers: &[Multiplier]) -> LayerSpec<'a> {
        LayerSpec {
            operator,
            record: self.record,
            weights: &[],
            bits: 8,
            channels: multipliers.iter().map(|&multiplier| channel(0, multiplier)).collect(),
            accumulators: (0, 0),
            preferences: self.preferences,
        }
    }
}

/// The constants of an output channel. A [`Multiplier`] is at most `i32::MAX`.
pub(crate) fn channel(bias: i32, multiplier: Multiplier) -> Channel {
    Channel { bias, multiplier: multiplier.k() as i32 }
}

/// Whether `accumulator * k`, rounded and with a zero point in its upper half, may leave 32 bits.
pub(crate) fn is_wide(accumulator: i64, multiplier: Multiplier) -> bool {
    accumulator.saturating_mul(i64::from(multiplier.k())) >= (1 << 31) - (1 << 24)
}
