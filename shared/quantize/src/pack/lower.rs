//! From the nodes of an int8 graph to layers: the kernel, its numbers and its constants.

use alloc::{string::String, vec, vec::Vec};

use super::weights;
use super::{Optimize, PackError, PackOptions, PackedLayer, Winograd};
use crate::check::accumulator_range;
use crate::graph::{Node, QuantizedConv, QuantizedGraph, QuantizedOp, TensorId};
use goldcrest_engine::image::{Channel, Record, Slot};
use goldcrest_engine::kernels::{self, Family, id};
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Window};

/// A layer before it has its places in arena and image.
pub struct Step {
    /// Its position in the layer table.
    pub index: usize,
    /// The node it comes from.
    pub node: usize,
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
            kernel: kernels::find(self.record.kernel).map_or("", |kernel| kernel.name),
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
        for mut step in lower_node(graph, node, options, rank) {
            let refused = || PackError::Kernel { layer: node.name.clone(), family: options.family };
            let kernel = kernels::find(step.record.kernel).ok_or_else(refused)?;
            let needs = (kernel.needs)(&step.record).ok_or_else(refused)?;
            step.record.scratch.1 = usize::try_from(needs.scratch)
                .map_err(|_| PackError::Field { layer: node.name.clone(), what: "scratch memory" })?;
            step.record.weights.1 = step.weights.len();
            step.record.channels.1 = step.channels.len();
            (step.index, step.node) = (steps.len(), index);
            steps.push(step);
        }
    }
    Ok(steps)
}

fn lower_node(
    graph: &QuantizedGraph,
    node: &Node<QuantizedOp>,
    options: &PackOptions,
    rank: usize,
) -> Vec<Step> {
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
    let step = Step {
        index: 0,
        node: 0,
        alternatives: 0,
        name: node.name.clone(),
        inputs: node.inputs.clone(),
        output: node.output,
        record,
        weights: Vec::new(),
        channels: Vec::new(),
        macs: 0,
    };
    match &node.op {
        QuantizedOp::Conv(conv) => vec![convolution(step, conv, options, rank)],
        QuantizedOp::MaxPool(window) => vec![with(step, id::MAX_POOL, *window, &[])],
        QuantizedOp::AveragePool { window, multiplier } => {
            let mut step = with(step, id::AVERAGE_POOL, *window, &[*multiplier]);
            let taps = (window.kernel[0] * window.kernel[1]) as i64;
            step.record.wide = is_wide(255 * taps, *multiplier);
            vec![step]
        }
        QuantizedOp::Add { multipliers, clamp } => {
            let mut step = with(step, id::ADD, record.window, multipliers);
            (step.record.low, step.record.high) = (clamp.low, clamp.high);
            vec![step]
        }
        QuantizedOp::Mul { multiplier } => {
            let mut step = with(step, id::MUL, record.window, &[*multiplier]);
            step.record.wide = is_wide(255 * 255, *multiplier);
            vec![step]
        }
        QuantizedOp::Lookup(table) => {
            let mut step = with(step, id::LOOKUP, record.window, &[]);
            step.weights = table.to_vec();
            vec![step]
        }
        QuantizedOp::Concat => concatenation(graph, &step),
        QuantizedOp::Pad(padding) => vec![with(step, id::PAD, padded(*padding), &[])],
        QuantizedOp::UpsampleNearest2 => vec![with(step, id::UPSAMPLE, record.window, &[])],
    }
}

fn padded(padding: Padding) -> Window {
    Window { padding, ..Window::new([1, 1], [1, 1]) }
}

fn with(step: Step, kernel: u8, window: Window, multipliers: &[Multiplier]) -> Step {
    let constants = multipliers.iter().map(|&multiplier| channel(0, multiplier));
    let record = Record { kernel, window, ..step.record };
    Step { record, channels: constants.collect(), ..step }
}

/// A [`Multiplier`] is at most `i32::MAX`.
fn channel(bias: i32, multiplier: Multiplier) -> Channel {
    Channel { bias, multiplier: multiplier.k() as i32 }
}

/// Whether `accumulator * k`, rounded and with a zero point in its upper half, may leave 32 bits.
fn is_wide(accumulator: i64, multiplier: Multiplier) -> bool {
    accumulator.saturating_mul(i64::from(multiplier.k())) >= (1 << 31) - (1 << 24)
}

/// Most weights of a fully connected layer for which twice the flash is spent on speed. Beyond, what a layer takes
/// whatever its size no longer counts.
const SMALL_WEIGHTS: usize = 4096;

/// Fewest output columns of a depthwise convolution with which planes are faster.
const PLANAR_WIDTH: usize = 12;

/// The kernels of a family that compute a convolution, fastest first; the record says whether 32 bits are
/// enough. To save code, a kernel that another one can stand in for is left out.
fn kernels_of(step: &Step, conv: &QuantizedConv, options: &PackOptions) -> Vec<u8> {
    let (input, output) = (step.record.input.shape, step.record.output.shape);
    let Window { kernel, padding, .. } = conv.window;
    let whole = kernel == [input.height, input.width] && padding == Padding::default() && conv.groups == 1;
    let depthwise = conv.is_depthwise();
    let limit = kernels::DSP_ACCUMULATOR_LIMIT;
    // Two channels in one word: see `kernels::dsp`.
    let fits = |(low, high)| low >= -limit && high < limit;
    let dsp = options.family == Family::Dsp
        && (0..output.channels).all(|o| fits(accumulator_range(conv, o, step.record.input_zero)));
    let low = kernel[0] <= kernels::DSP_HEIGHT;
    let dsp_conv = dsp && low && conv.groups == 1 && output.channels > 1;
    let mut kernels = Vec::new();
    if conv.is_four_bits() {
        // To save code, one kernel computes all.
        let special = whole && options.optimize != Optimize::Flash;
        kernels.extend((dsp && special).then_some(id::DSP_INT4_FULLY_CONNECTED));
        kernels.extend(dsp_conv.then_some(id::DSP_INT4_CONV));
        kernels.extend(special.then_some(id::INT4_FULLY_CONNECTED));
        kernels.push(id::INT4_CONV);
        if options.optimize == Optimize::Flash {
            kernels.truncate(1);
        }
        return kernels;
    }
    if options.family == Family::Dsp {
        let small = conv.weights.len() <= SMALL_WEIGHTS && !step.record.wide;
        kernels.extend((whole && small).then_some(id::DSP_SMALL_FULLY_CONNECTED));
        kernels.extend((dsp && whole).then_some(id::DSP_FULLY_CONNECTED));
        let record = Record { window: conv.window, groups: conv.groups, ..step.record };
        // With few input channels the transformations take more than they save.
        let winograd = options.winograd == Winograd::Auto
            && options.optimize != Optimize::Flash
            && input.channels >= kernels::winograd::CHANNELS;
        kernels.extend((dsp && winograd && kernels::winograd::suits(&record)).then_some(id::DSP_WINOGRAD));
        kernels.extend(dsp_conv.then_some(id::DSP_CONV));
        let same = depthwise && output.channels == conv.groups && low && !step.record.wide;
        // Columns that several windows share are worth the planes where there are many.
        let shared = conv.window.stride[1] == 1 && output.width >= PLANAR_WIDTH;
        let planar = shared && conv.window.dilation[1] == 1 && options.optimize != Optimize::Flash;
        kernels.extend((same && planar).then_some(id::DSP_DEPTHWISE));
        kernels.extend(same.then_some(id::DSP_DEPTHWISE_DIRECT));
    }
    if options.family == Family::Mve {
        kernels.extend(whole.then_some(id::MVE_FULLY_CONNECTED));
        kernels.extend((conv.groups == 1).then_some(id::MVE_CONV));
    }
    kernels.extend(whole.then_some(id::FULLY_CONNECTED));
    // A tile for less than two pixels is mostly empty.
    let pixel_pairs = conv.groups == 1 && output.width > 1 && options.optimize != Optimize::Flash;
    kernels.extend(pixel_pairs.then_some(id::PIXEL_PAIR_CONV));
    kernels.push(if depthwise { id::DEPTHWISE } else { id::CONV });
    if options.optimize == Optimize::Flash {
        let special = [
            id::DSP_SMALL_FULLY_CONNECTED,
            id::DSP_FULLY_CONNECTED,
            id::MVE_FULLY_CONNECTED,
            id::FULLY_CONNECTED,
        ];
        kernels.retain(|kernel| !(whole && special.contains(kernel)));
        kernels.truncate(1);
    }
    kernels
}

fn convolution(mut step: Step, conv: &QuantizedConv, options: &PackOptions, rank: usize) -> Step {
    let output = step.record.output.shape;
    let ranges = (0..output.channels).map(|o| accumulator_range(conv, o, step.record.input_zero));
    let mut largest = ranges.zip(&conv.multipliers).map(|((low, high), &k)| is_wide(high.max(-low), k));
    step.record.wide = largest.any(|wide| wide);
    let kernels = kernels_of(&step, conv, options);
    let rank = rank.min(kernels.len() - 1);
    let (number, alternatives) = (kernels[rank], kernels.len() - 1 - rank);
    let each = conv.weights.len() / output.channels;
    let zero = i32::from(step.record.input_zero);
    let constants: Vec<Channel> = (0..output.channels)
        .map(|o| {
            // Kernels sum over `x`, not `x - zx`, and padding holds `zx`.
            let sum: i32 = conv.weights[o * each..][..each].iter().map(|&weight| i32::from(weight)).sum();
            channel(conv.bias[o].wrapping_sub(zero.wrapping_mul(sum)), conv.multipliers[o])
        })
        .collect();
    let record = Record {
        kernel: number,
        window: conv.window,
        groups: conv.groups,
        low: conv.clamp.low,
        high: conv.clamp.high,
        ..step.record
    };
    let macs = (output.height * output.width * conv.weights.len()) as u64;
    let (weights, channels) = weights::order(&record, conv, &constants);
    Step { record, weights, channels, macs, alternatives, ..step }
}

/// One layer per input.
fn concatenation(graph: &QuantizedGraph, step: &Step) -> Vec<Step> {
    let mut first_channel = 0;
    let count = step.inputs.len();
    let part = |(index, &input): (usize, &TensorId)| {
        let shape = graph.tensor(input).shape;
        let record = Record {
            kernel: id::CONCAT,
            input: Slot { offset: 0, shape },
            second: Slot::default(),
            first_channel,
            partial: index + 1 < count,
            ..step.record
        };
        first_channel += shape.channels;
        let (weights, channels) = (Vec::new(), Vec::new());
        Step { name: step.name.clone(), inputs: vec![input], record, weights, channels, ..*step }
    };
    step.inputs.iter().enumerate().map(part).collect()
}
