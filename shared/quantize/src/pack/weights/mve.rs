//! Orders of the MVE kernels: vectors of 16 taps of one output channel after the other.

use alloc::{vec, vec::Vec};

use super::{of_channel, run_length};
use crate::graph::QuantizedConv;
use goldcrest_engine::image::Channel;
use goldcrest_engine::kernels::{MVE_BLOCK, MVE_VECTOR, mve_runs_apart};

/// `[pair of output channels][vector][channel]`, with vectors of their own for runs where that takes no more.
pub fn conv(conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    let (taps, length) = (conv.weights.len() / conv.bias.len(), run_length(conv));
    let run = if mve_runs_apart(taps / length, length) { length } else { taps };
    (interleaved(conv, 2, run), whole_blocks(channels))
}

/// `[block of four outputs][vector][output]`.
pub fn fully_connected(conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    (interleaved(conv, 4, conv.weights.len() / conv.bias.len()), whole_blocks(channels))
}

/// The vectors of `width` output channels in turn, each run of `run` taps in vectors of its own; vectors and
/// the last block are filled with zeros.
fn interleaved(conv: &QuantizedConv, width: usize, run: usize) -> Vec<i8> {
    let count = conv.bias.len();
    let vectors = conv.weights.len() / count / run * run.div_ceil(MVE_VECTOR);
    let mut weights = vec![0; count.next_multiple_of(width) * vectors * MVE_VECTOR];
    for channel in 0..count {
        let first = channel / width * width * vectors + channel % width;
        let taps = of_channel(conv, channel).chunks(run).flat_map(|run| run.chunks(MVE_VECTOR));
        for (vector, taps) in taps.enumerate() {
            weights[(first + vector * width) * MVE_VECTOR..][..taps.len()].copy_from_slice(taps);
        }
    }
    weights
}

/// The constants, filled up to whole blocks.
fn whole_blocks(channels: &[Channel]) -> Vec<Channel> {
    let mut channels = channels.to_vec();
    channels.resize(channels.len().next_multiple_of(MVE_BLOCK), Channel::default());
    channels
}
