//! The order of the MVE kernels: vectors of taps of one output channel after the other.

use alloc::vec;

use super::super::packing::{Constants, LayerSpec};
use super::VECTOR;
use super::finish::BLOCK;
use crate::image::Channel;

/// The vectors of `width` output channels in turn, each run of `run` taps in vectors of its own; vectors and
/// the last block are filled with zeros. Channel constants are filled up to whole blocks.
pub fn interleaved(layer: &LayerSpec<'_>, width: usize, run: usize) -> Constants {
    let count = layer.channels.len();
    let vectors = layer.taps() / run * run.div_ceil(VECTOR);
    let mut weights = vec![0; count.next_multiple_of(width) * vectors * VECTOR];
    for channel in 0..count {
        let first = channel / width * width * vectors + channel % width;
        let taps = layer.of_channel(channel).chunks(run).flat_map(|run| run.chunks(VECTOR));
        for (vector, taps) in taps.enumerate() {
            weights[(first + vector * width) * VECTOR..][..taps.len()].copy_from_slice(taps);
        }
    }
    let mut channels = layer.channels.clone();
    channels.resize(count.next_multiple_of(BLOCK), Channel::default());
    Constants { weights, channels }
}
