//! The order in which each kernel reads its weights and channel constants.

mod dsp;
mod mve;
mod winograd;

use alloc::vec::Vec;

use crate::graph::QuantizedConv;
use goldcrest_engine::image::{Channel, Record};
use goldcrest_engine::kernels::{PIXEL_PAIR_CHANNELS, PIXEL_PAIR_TAPS, block_width, id};

/// The weights and channel constants of a convolution in the order of a layer's kernel.
pub fn order(record: &Record, conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    match record.kernel {
        id::DEPTHWISE => (by_tap(conv), channels.to_vec()),
        id::INT4_CONV | id::INT4_FULLY_CONNECTED => (int4(conv), channels.to_vec()),
        id::PIXEL_PAIR_CONV => (pixel_pairs(conv), channels.to_vec()),
        id::DSP_CONV => (dsp::convolution::<8>(conv, channels, record.output_zero), Vec::new()),
        id::DSP_WINOGRAD => (winograd::convolution(conv, channels), Vec::new()),
        id::DSP_DEPTHWISE => (dsp::depthwise(conv), channels.to_vec()),
        id::DSP_DEPTHWISE_DIRECT => (dsp::depthwise_direct(conv, channels, record.output_zero), Vec::new()),
        id::DSP_INT4_CONV => (dsp::convolution::<4>(conv, channels, record.output_zero), Vec::new()),
        id::DSP_INT4_FULLY_CONNECTED => dsp::fully_connected::<4>(conv, channels),
        id::DSP_FULLY_CONNECTED => dsp::fully_connected::<8>(conv, channels),
        id::DSP_SMALL_FULLY_CONNECTED => {
            (dsp::small_fully_connected(conv, channels, record.output_zero), Vec::new())
        }
        id::MVE_CONV => mve::conv(conv, channels),
        id::MVE_FULLY_CONNECTED => mve::fully_connected(conv, channels),
        _ => (blocked(conv), channels.to_vec()),
    }
}

/// Weights of one output channel.
fn of_channel(conv: &QuantizedConv, channel: usize) -> &[i8] {
    let each = conv.weights.len() / conv.bias.len();
    &conv.weights[channel * each..][..each]
}

/// Values that an output channel reads side by side in one input row.
fn run_length(conv: &QuantizedConv) -> usize {
    let width = conv.window.kernel[1];
    let depth = conv.weights.len() / (conv.bias.len() * conv.window.kernel[0] * width);
    if conv.window.dilation[1] == 1 { width * depth } else { depth }
}

/// `[group][block of output channels][tap][output channel of the block]`.
fn blocked(conv: &QuantizedConv) -> Vec<i8> {
    blocks(conv).concat()
}

/// The same with two weights in a byte; every block begins a new one.
fn int4(conv: &QuantizedConv) -> Vec<i8> {
    let pair = |pair: &[i8]| pair[0] & 0xf | pair.get(1).map_or(0, |second| second << 4);
    blocks(conv).iter().flat_map(|block| block.chunks(2).map(pair)).collect()
}

fn blocks(conv: &QuantizedConv) -> Vec<Vec<i8>> {
    let outputs = conv.bias.len() / conv.groups;
    let taps = conv.weights.len() / conv.bias.len();
    let mut weights = Vec::new();
    for group in 0..conv.groups {
        let mut done = 0;
        while done < outputs {
            let (first, width) = (group * outputs + done, block_width(outputs - done));
            let of_tap = |tap| (first..first + width).map(move |o| of_channel(conv, o)[tap]);
            weights.push((0..taps).flat_map(of_tap).collect());
            done += width;
        }
    }
    weights
}

/// `[block of output channels][two taps][channel][tap]`, filled up with zeros.
fn pixel_pairs(conv: &QuantizedConv) -> Vec<i8> {
    let outputs = conv.bias.len();
    let taps = (conv.weights.len() / outputs).next_multiple_of(PIXEL_PAIR_TAPS);
    let mut weights = Vec::with_capacity(outputs.next_multiple_of(PIXEL_PAIR_CHANNELS) * taps);
    for block in (0..outputs).step_by(PIXEL_PAIR_CHANNELS) {
        for pair in (0..taps).step_by(2) {
            for channel in block..block + PIXEL_PAIR_CHANNELS {
                let of_channel = if channel < outputs { of_channel(conv, channel) } else { &[] };
                weights.extend([pair, pair + 1].map(|tap| of_channel.get(tap).copied().unwrap_or(0)));
            }
        }
    }
    weights
}

/// `[row][column][output channel]`, for one input channel per output channel.
fn by_tap(conv: &QuantizedConv) -> Vec<i8> {
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    (0..taps).flat_map(|tap| (0..conv.bias.len()).map(move |o| of_channel(conv, o)[tap])).collect()
}
