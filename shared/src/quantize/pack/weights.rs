//! The order in which each kernel reads its weights and channel constants.

mod mve;

use alloc::vec::Vec;

use crate::image::Channel;
use crate::kernels::{PIXEL_PAIR_CHANNELS, PIXEL_PAIR_TAPS, block_width, id};
use crate::quantize::graph::QuantizedConv;

/// The weights and channel constants of a convolution in the order of a kernel.
pub fn order(kernel: u8, conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    match kernel {
        id::DEPTHWISE => (by_tap(conv), channels.to_vec()),
        id::PIXEL_PAIR_CONV => (pixel_pairs(conv), channels.to_vec()),
        id::DSP_CONV => (dsp_conv(conv, channels), Vec::new()),
        id::DSP_DEPTHWISE => (dsp_depthwise(conv), channels.to_vec()),
        id::DSP_FULLY_CONNECTED => dsp_fully_connected(conv, channels),
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

/// `[group][block of output channels][tap][output channel of the block]`.
fn blocked(conv: &QuantizedConv) -> Vec<i8> {
    let outputs = conv.bias.len() / conv.groups;
    let taps = conv.weights.len() / conv.bias.len();
    let mut weights = Vec::with_capacity(conv.weights.len());
    for group in 0..conv.groups {
        let mut done = 0;
        while done < outputs {
            let (first, width) = (group * outputs + done, block_width(outputs - done));
            let of_tap = |tap| (first..first + width).map(move |o| of_channel(conv, o)[tap]);
            weights.extend((0..taps).flat_map(of_tap));
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

/// Two taps of two channels in one word, as the halfwords `256 b + a`.
fn word(a: [i8; 2], b: [i8; 2]) -> [i8; 4] {
    let half = |tap: usize| (256 * i32::from(b[tap]) + i32::from(a[tap])) as i16;
    let ([w, x], [y, z]) = (half(0).to_le_bytes(), half(1).to_le_bytes());
    [w, x, y, z].map(|byte| byte as i8)
}

/// Channel constants of a pair: the second accumulator sums both channels.
fn pair_constants(a: Channel, b: Channel) -> [Channel; 2] {
    let bias = b.bias.wrapping_mul(256).wrapping_add(a.bias);
    [a, Channel { bias, multiplier: b.multiplier }]
}

/// Values that an output channel reads side by side in one input row.
fn run_length(conv: &QuantizedConv) -> usize {
    let width = conv.window.kernel[1];
    let depth = conv.weights.len() / (conv.bias.len() * conv.window.kernel[0] * width);
    if conv.window.dilation[1] == 1 { width * depth } else { depth }
}

/// The even and the odd word of each four taps of a run, filled up with zeros.
fn run_words<'a>(a: &'a [i8], b: &'a [i8]) -> impl Iterator<Item = [[i8; 4]; 2]> + 'a {
    let tap = |run: &[i8], at: usize| run.get(at).copied().unwrap_or(0);
    (0..a.len().div_ceil(4)).map(move |quad| {
        [0, 1].map(|odd| {
            let (first, second) = (4 * quad + odd, 4 * quad + odd + 2);
            word([tap(a, first), tap(a, second)], [tap(b, first), tap(b, second)])
        })
    })
}

/// Pairs of channels, each with where its sums start, its runs and its multipliers; an odd last channel is
/// paired with the one before it.
fn dsp_conv(conv: &QuantizedConv, channels: &[Channel]) -> Vec<i8> {
    let (count, length) = (conv.bias.len(), run_length(conv));
    let bytes = |a: i32, b: i32| [a, b].into_iter().flat_map(i32::to_le_bytes).map(|byte| byte as i8);
    let mut weights = Vec::new();
    for pair in 0..count.div_ceil(2) {
        let first = (2 * pair).min(count - 2);
        let [a, b] = pair_constants(channels[first], channels[first + 1]);
        let runs = of_channel(conv, first).chunks(length).zip(of_channel(conv, first + 1).chunks(length));
        weights.extend(bytes(a.bias, b.bias));
        weights.extend(runs.flat_map(|(a, b)| run_words(a, b)).flatten().flatten());
        weights.extend(bytes(a.multiplier, b.multiplier));
    }
    weights
}

/// `[channel][column][pair of rows]`, each a word of two weights. Of an odd last row the weight stands low for
/// the first two of four channels and high for the others. Filled up to an even number of words.
fn dsp_depthwise(conv: &QuantizedConv) -> Vec<i8> {
    let [height, width] = conv.window.kernel;
    let mut weights = Vec::new();
    for channel in 0..conv.bias.len() {
        let tap = |row: usize, column: usize| {
            if row < height { i16::from(of_channel(conv, channel)[row * width + column]) } else { 0 }
        };
        for column in 0..width {
            for row in (0..height).step_by(2) {
                let word = match row + 1 == height && channel % 4 >= 2 {
                    true => [0, tap(row, column)],
                    false => [tap(row, column), tap(row + 1, column)],
                };
                weights.extend(word.into_iter().flat_map(i16::to_le_bytes).map(|byte| byte as i8));
            }
        }
        weights.resize(weights.len().next_multiple_of(8), 0);
    }
    weights
}

/// Blocks of four pairs, `[four values][even, odd][pair]`, then single pairs.
fn dsp_fully_connected(conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    let count = conv.bias.len();
    let pairs = count.div_ceil(2);
    let (mut weights, mut constants) = (Vec::new(), Vec::new());
    let mut first = 0;
    while first < pairs {
        let block = if pairs - first >= 4 { 4 } else { 1 };
        let words: Vec<Vec<[[i8; 4]; 2]>> = (first..first + block)
            .map(|pair| {
                let b = if 2 * pair + 1 < count { of_channel(conv, 2 * pair + 1) } else { &[] };
                run_words(of_channel(conv, 2 * pair), b).collect()
            })
            .collect();
        for quad in 0..words[0].len() {
            let halves = [0, 1].into_iter();
            weights.extend(halves.flat_map(|odd| words.iter().map(move |pair| pair[quad][odd])).flatten());
        }
        for pair in first..first + block {
            let b = channels.get(2 * pair + 1).copied().unwrap_or_default();
            constants.extend(pair_constants(channels[2 * pair], b));
        }
        first += block;
    }
    (weights, constants)
}
