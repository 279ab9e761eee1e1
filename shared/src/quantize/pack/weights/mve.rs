//! Orders of the MVE kernels: vectors of 16 taps of one output channel after the other.

use alloc::{vec, vec::Vec};

use super::of_channel;
use crate::image::Channel;
use crate::kernels::{MVE_BLOCK, MVE_VECTOR};
use crate::quantize::graph::QuantizedConv;

/// `[pair of output channels][vector][channel]`.
pub fn conv(conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    (interleaved(conv, 2), whole_blocks(channels))
}

/// `[block of four outputs][vector][output]`.
pub fn fully_connected(conv: &QuantizedConv, channels: &[Channel]) -> (Vec<i8>, Vec<Channel>) {
    (interleaved(conv, 4), whole_blocks(channels))
}

/// The vectors of `width` output channels in turn; vectors and the last block are filled with zeros.
fn interleaved(conv: &QuantizedConv, width: usize) -> Vec<i8> {
    let count = conv.bias.len();
    let vectors = (conv.weights.len() / count).div_ceil(MVE_VECTOR);
    let mut weights = vec![0; count.next_multiple_of(width) * vectors * MVE_VECTOR];
    for channel in 0..count {
        let first = channel / width * width * vectors + channel % width;
        for (vector, taps) in of_channel(conv, channel).chunks(MVE_VECTOR).enumerate() {
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
