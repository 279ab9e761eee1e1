//! The order of Winograd's kernel: transformed weights in the order in which its loop reads them.

use alloc::vec::Vec;

use super::dsp::{le_bytes, pairs};
use super::of_channel;
use crate::graph::QuantizedConv;
use goldcrest_engine::image::Channel;

/// Pairs of output channels, each with four times where its sums start, its multipliers, and
/// `[position][four input channels][even, odd][output channel]`, each a word of two input channels.
pub fn convolution(conv: &QuantizedConv, channels: &[Channel]) -> Vec<i8> {
    let depth = conv.weights.len() / (9 * conv.bias.len());
    let mut weights = Vec::new();
    for first in pairs(conv.bias.len()) {
        let [a, b] = [channels[first], channels[first + 1]];
        weights.extend(le_bytes([
            a.bias.wrapping_mul(4),
            b.bias.wrapping_mul(4),
            a.multiplier,
            b.multiplier,
        ]));
        let transformed = [first, first + 1].map(|output| -> Vec<[i16; 16]> {
            let taps = of_channel(conv, output);
            (0..depth)
                .map(|channel| transform(core::array::from_fn(|tap| taps[tap * depth + channel].into())))
                .collect()
        });
        for position in 0..16 {
            for channel in (0..depth.next_multiple_of(4)).step_by(4) {
                for low in [channel, channel + 1] {
                    let value = |output: &[[i16; 16]], channel: usize| {
                        output.get(channel).map_or(0, |tile| tile[position])
                    };
                    let words =
                        transformed.iter().flat_map(|output| [value(output, low), value(output, low + 2)]);
                    weights.extend(words.flat_map(i16::to_le_bytes).map(|byte| byte as i8));
                }
            }
        }
    }
    weights
}

/// `(2 G) g (2 G)^T` of a window of 3 x 3.
fn transform(window: [i16; 9]) -> [i16; 16] {
    let across = |[a, b, c]: [i16; 3]| [2 * a, a + b + c, a - b + c, 2 * c];
    let rows: [[i16; 4]; 3] =
        core::array::from_fn(|row| across([0, 1, 2].map(|column| window[3 * row + column])));
    let columns: [[i16; 4]; 4] = core::array::from_fn(|column| across(rows.map(|row| row[column])));
    core::array::from_fn(|position| columns[position % 4][position / 4])
}
