//! The orders of the DSP kernels, which take output channels in pairs.

use alloc::vec::Vec;

use super::{of_channel, run_length};
use crate::graph::QuantizedConv;
use goldcrest_engine::image::Channel;

/// Numbers as the bytes of a stream of weights.
pub fn le_bytes<const N: usize>(numbers: [i32; N]) -> impl Iterator<Item = i8> {
    numbers.into_iter().flat_map(i32::to_le_bytes).map(|byte| byte as i8)
}

/// The first of the two channels of each pair; an odd last channel is paired with the one before it.
pub fn pairs(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels.div_ceil(2)).map(move |pair| (2 * pair).min(channels - 2))
}

/// Two taps of two channels in one word, as the halfwords `256 b + a`.
fn word(a: [i8; 2], b: [i8; 2]) -> [i8; 4] {
    let half = |tap: usize| (256 * i32::from(b[tap]) + i32::from(a[tap])) as i16;
    let ([w, x], [y, z]) = (half(0).to_le_bytes(), half(1).to_le_bytes());
    [w, x, y, z].map(|byte| byte as i8)
}

/// Channel constants of a pair with weights of `BITS` bits: the second accumulator sums both channels.
fn pair_constants<const BITS: usize>(a: Channel, b: Channel) -> [Channel; 2] {
    let bias = b.bias.wrapping_mul(1 << BITS).wrapping_add(a.bias);
    [a, Channel { bias, multiplier: b.multiplier }]
}

/// The words of a run, filled up with zeros: for each four taps an even and an odd one, or one where weights have four
/// bits.
fn run_words<const BITS: usize>(a: &[i8], b: &[i8]) -> Vec<[i8; 4]> {
    let tap = |run: &[i8], at: usize| run.get(at).copied().unwrap_or(0);
    let mut words = Vec::new();
    for quad in (0..a.len()).step_by(4) {
        if BITS == 4 {
            words.push([0, 1, 2, 3].map(|at| (tap(b, quad + at) << 4) | (tap(a, quad + at) + 8)));
            continue;
        }
        for first in [quad, quad + 1] {
            words.push(word([tap(a, first), tap(a, first + 2)], [tap(b, first), tap(b, first + 2)]));
        }
    }
    words
}

/// What is added to products before the shift: `0x7fff`, and the zero point in the upper half.
fn rounding(zero: i8) -> i32 {
    0x7fff + (i32::from(zero) << 16)
}

/// Pairs of channels, each with where its sums start, its runs, its multipliers and the rounding of an output
/// with a zero point; an odd last channel is paired with the one before it.
pub fn convolution<const BITS: usize>(conv: &QuantizedConv, channels: &[Channel], zero: i8) -> Vec<i8> {
    let length = run_length(conv);
    let mut weights = Vec::new();
    for first in pairs(conv.bias.len()) {
        let [a, b] = pair_constants::<BITS>(channels[first], channels[first + 1]);
        let runs = of_channel(conv, first).chunks(length).zip(of_channel(conv, first + 1).chunks(length));
        weights.extend(le_bytes([a.bias, b.bias]));
        weights.extend(runs.flat_map(|(a, b)| run_words::<BITS>(a, b)).flatten());
        weights.extend(le_bytes([a.multiplier, b.multiplier, rounding(zero)]));
    }
    weights
}

/// `[channel][column][pair of rows]`, each a word of two weights. Of an odd last row the weight stands low for
/// the first two of four channels and high for the others. Filled up to an even number of words.
pub fn depthwise(conv: &QuantizedConv) -> Vec<i8> {
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

/// Fours of channels, each with where its sums start, `[tap][channels 0 and 2, channels 1 and 3]` as halfwords, the
/// rounding of an output with a zero point, and its multipliers; filled up with zeros.
pub fn depthwise_direct(conv: &QuantizedConv, channels: &[Channel], zero: i8) -> Vec<i8> {
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let (count, mut weights) = (conv.bias.len(), Vec::new());
    for first in (0..count).step_by(4) {
        let four: [Channel; 4] =
            core::array::from_fn(|channel| channels.get(first + channel).copied().unwrap_or_default());
        weights.extend(le_bytes(four.map(|channel| channel.bias)));
        for tap in 0..taps {
            let halfwords = [0, 2, 1, 3].map(|channel| {
                let channel = first + channel;
                let weight = if channel < count { of_channel(conv, channel)[tap] } else { 0 };
                i16::from(weight).to_le_bytes()
            });
            weights.extend(halfwords.into_iter().flatten().map(|byte| byte as i8));
        }
        weights.extend(le_bytes([rounding(zero)]));
        weights.extend(le_bytes(four.map(|channel| channel.multiplier)));
    }
    weights
}

/// Blocks of four pairs, `[four values][even, odd][pair]`, or `[four values][pair]` where weights have four bits, then
/// single pairs.
pub fn fully_connected<const BITS: usize>(
    conv: &QuantizedConv,
    channels: &[Channel],
) -> (Vec<i8>, Vec<Channel>) {
    let count = conv.bias.len();
    let pairs = count.div_ceil(2);
    let (mut weights, mut constants) = (Vec::new(), Vec::new());
    let mut first = 0;
    while first < pairs {
        let block = if count - 2 * first >= 8 { 4 } else { 1 };
        let words: Vec<Vec<[i8; 4]>> = (first..first + block)
            .map(|pair| {
                let b = if 2 * pair + 1 < count { of_channel(conv, 2 * pair + 1) } else { &[] };
                run_words::<BITS>(of_channel(conv, 2 * pair), b)
            })
            .collect();
        for at in 0..words[0].len() {
            weights.extend(words.iter().flat_map(|pair| pair[at]));
        }
        for pair in first..first + block {
            let b = channels.get(2 * pair + 1).copied().unwrap_or_default();
            constants.extend(pair_constants::<BITS>(channels[2 * pair], b));
        }
        first += block;
    }
    (weights, constants)
}

/// Pairs of outputs, each with where its sums start, `[eight values][output][two values]` as halfwords, its
/// multipliers, and the rounding of an output with a zero point.
pub fn small_fully_connected(conv: &QuantizedConv, channels: &[Channel], zero: i8) -> Vec<i8> {
    let (count, mut weights) = (conv.bias.len(), Vec::new());
    for first in (0..count).step_by(2) {
        let [a, b] = [first, first + 1].map(|output| channels.get(output).copied().unwrap_or_default());
        let values =
            [first, first + 1].map(|output| if output < count { of_channel(conv, output) } else { &[] });
        weights.extend(le_bytes([a.bias, b.bias]));
        for eight in (0..values[0].len()).step_by(8) {
            for values in values {
                let value = |at: usize| values.get(eight + at).map_or(0, |&value| i16::from(value));
                let halfwords = [0, 2, 1, 3, 4, 6, 5, 7].map(|at| value(at).to_le_bytes());
                weights.extend(halfwords.into_iter().flatten().map(|byte| byte as i8));
            }
        }
        weights.extend(le_bytes([a.multiplier, b.multiplier, rounding(zero)]));
    }
    weights
}
