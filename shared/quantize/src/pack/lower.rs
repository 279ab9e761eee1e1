//! From the nodes of an int8 graph to layers: the kernel, its numbers and its constants.

use alloc::{string::String, vec, vec::Vec};

use super::{PackError, PackOptions, PackedLayer};
use crate::check::accumulator_range;
use crate::graph::{Clamp, Node, QuantizedConv, QuantizedGraph, QuantizedOp, TensorId};
use goldcrest_engine::image::{Channel, Record, Slot};
use goldcrest_engine::kernels::packing::{Constants, LayerSpec, Operator, Preferences};
use goldcrest_engine::kernels::{self, Kernel};
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Window};

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
            kernel: self.kernel.name,
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
    let mut kernels: Vec<_> = kernels::TABLE.iter().filter(|kernel| (kernel.packing.suits)(layer)).collect();
    if layer.spares_flash() {
        // To save code, no other kernel stands in for the first.
        kernels.truncate(1);
    }
    let rank = rank.min(kernels.len().saturating_sub(1));
    let refused = || PackError::Kernel { layer: node.name.clone(), family: layer.preferences.family };
    let kernel = *kernels.get(rank).ok_or_else(refused)?;
    let needs = (kernel.needs)(&layer.record).ok_or_else(refused)?;
    let Constants { weights, channels } = (kernel.packing.order)(layer);
    let mut record = Record { kernel: kernel.id, ..layer.record };
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
    let mut record = Record {
        input_zero: input.info.zero_point,
        second_zero: tensor(1).map_or(0, |second| second.info.zero_point),
        output_zero: output.info.zero_point,
        input: at(input.shape),
        second: tensor(1).map_or(Slot::default(), |second| at(second.shape)),
        output: at(output.shape),
        ..Record::default()
    };
    let layer = |operator, record, multipliers: &[Multiplier]| LayerSpec {
        operator,
        record,
        weights: &[],
        bits: 8,
        channels: multipliers.iter().map(|&multiplier| channel(0, multiplier)).collect(),
        accumulators: (0, 0),
        preferences,
    };
    let layer = match &node.op {
        QuantizedOp::Conv(conv) => convolution(conv, record, preferences),
        QuantizedOp::MaxPool(window) => {
            record.window = *window;
            layer(Operator::MaxPool, record, &[])
        }
        QuantizedOp::AveragePool { window, multiplier } => {
            let taps = (window.kernel[0] * window.kernel[1]) as i64;
            record.window = *window;
            record.wide = is_wide(255 * taps, *multiplier);
            layer(Operator::AveragePool, record, &[*multiplier])
        }
        QuantizedOp::Add { multipliers, clamp } => {
            (record.low, record.high) = (clamp.low, clamp.high);
            layer(Operator::Add, record, multipliers)
        }
        QuantizedOp::Mul { multiplier } => {
            record.wide = is_wide(255 * 255, *multiplier);
            layer(Operator::Mul, record, &[*multiplier])
        }
        QuantizedOp::Lookup(table) => {
            LayerSpec { weights: &table[..], ..layer(Operator::Lookup, record, &[]) }
        }
        QuantizedOp::Concat => {
            // One layer per input.
            let parts = parts(graph, &node.inputs, record);
            return parts
                .map(|(record, input)| (layer(Operator::Concat, record, &[]), vec![input]))
                .collect();
        }
        QuantizedOp::Pad(padding) => {
            record.window = padded(*padding);
            layer(Operator::Pad, record, &[])
        }
        QuantizedOp::UpsampleNearest2 => layer(Operator::Upsample, record, &[]),
    };
    vec![(layer, node.inputs.clone())]
}

fn padded(padding: Padding) -> Window {
    Window { padding, ..Window::new([1, 1], [1, 1]) }
}

/// A [`Multiplier`] is at most `i32::MAX`.
fn channel(bias: i32, multiplier: Multiplier) -> Channel {
    Channel { bias, multiplier: multiplier.k() as i32 }
}

/// Whether `accumulator * k`, rounded and with a zero point in its upper half, may leave 32 bits.
fn is_wide(accumulator: i64, multiplier: Multiplier) -> bool {
    accumulator.saturating_mul(i64::from(multiplier.k())) >= (1 << 31) - (1 << 24)
}

fn convolution(conv: &QuantizedConv, record: Record, preferences: Preferences) -> LayerSpec<'_> {
    let zero = record.input_zero;
    let each = conv.weights.len() / conv.bias.len();
    let (mut wide, mut accumulators) = (false, (i64::MAX, i64::MIN));
    let mut channels = Vec::with_capacity(conv.bias.len());
    for (output, (&bias, &multiplier)) in conv.bias.iter().zip(&conv.multipliers).enumerate() {
        let (low, high) = accumulator_range(conv, output, zero);
        wide |= is_wide(high.max(-low), multiplier);
        accumulators = (low.min(accumulators.0), high.max(accumulators.1));
        // Kernels sum over `x`, not `x - zx`, and padding holds `zx`.
        let sum: i32 = conv.weights[output * each..][..each].iter().map(|&weight| i32::from(weight)).sum();
        channels.push(channel(bias.wrapping_sub(i32::from(zero).wrapping_mul(sum)), multiplier));
    }
    let Clamp { low, high } = conv.clamp;
    LayerSpec {
        operator: Operator::Convolution,
        record: Record { wide, window: conv.window, groups: conv.groups, low, high, ..record },
        weights: &conv.weights,
        bits: if conv.is_four_bits() { 4 } else { 8 },
        channels,
        accumulators,
        preferences,
    }
}

/// The records of the parts of a concatenation, and what each reads.
fn parts(
    graph: &QuantizedGraph,
    inputs: &[TensorId],
    whole: Record,
) -> impl Iterator<Item = (Record, TensorId)> {
    let (mut first_channel, count) = (0, inputs.len());
    inputs.iter().enumerate().map(move |(index, &id)| {
        let input = Slot { offset: 0, shape: graph.tensor(id).shape };
        let partial = index + 1 < count;
        let record = Record { input, second: Slot::default(), first_channel, partial, ..whole };
        first_channel += input.shape.channels;
        (record, id)
    })
}
