//! Convolutions whose weights have four bits, two in a byte, on every core. Weights stand in the order of the portable
//! kernels, `[group][block of output channels][row][column][input channel][output channel of the block]`, the first
//! of two in the low half; every block begins a new byte.
//!
//! A few taps at a time are unpacked to the stack, and the inner loop of the portable kernels does the rest.

pub mod conv;
pub mod fully_connected;

use core::cell::Cell;

use super::block::{CHANNELS, accumulate};
use crate::engine::part;

/// Taps unpacked at once.
const CHUNK: usize = 32;

/// Bytes of the weights of so many output channels with so many taps each, in one group.
fn packed_bytes(outputs: usize, taps: u64) -> u64 {
    let odd = if outputs.is_multiple_of(2) { 0 } else { taps.div_ceil(2) };
    taps.saturating_mul(outputs as u64 / 2).saturating_add(odd)
}

/// Adds `values[pixel][tap] * weights[tap][channel]` over all taps to `sums[pixel][channel]`; `first` counts weights
/// from the begin of the block.
fn accumulate_packed<const N: usize, const P: usize>(
    sums: &mut [[i32; N]; P],
    values: [&[Cell<i8>]; P],
    block: &[i8],
    first: usize,
) {
    let taps = values.iter().map(|values| values.len()).min().unwrap_or(0);
    let mut tap = 0;
    while tap < taps {
        let count = CHUNK.min(taps - tap);
        let mut unpacked = [0; CHUNK * CHANNELS];
        let weights = unpacked.get_mut(..count * N).unwrap_or_default();
        unpack(block, first + tap * N, weights);
        accumulate(sums, values.map(|values| part(values, tap, count)), weights);
        tap += count;
    }
}

/// Unpacks weights from the `first` one of a block on.
fn unpack(block: &[i8], first: usize, weights: &mut [i8]) {
    let mut bytes = block.iter().skip(first / 2);
    let (upper, rest) = weights.split_at_mut_checked(first % 2).unwrap_or_default();
    upper.iter_mut().zip(&mut bytes).for_each(|(weight, &byte)| *weight = byte >> 4);
    for (pair, &byte) in rest.chunks_mut(2).zip(bytes) {
        pair.iter_mut().zip([byte << 4 >> 4, byte >> 4]).for_each(|(weight, value)| *weight = value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_unpack_from_any_place() {
        // -8, 7, -1, 3, 0, 5
        let block = [0x78, 0x3f, 0x50];
        let all = [-8, 7, -1, 3, 0, 5];
        for first in 0..6 {
            for end in first..6 {
                let mut found = [9; 6];
                unpack(&block, first, &mut found[first..end]);
                assert_eq!(found[first..end], all[first..end]);
            }
        }
    }

    #[test]
    fn every_block_begins_a_byte() {
        // Blocks of 4, 2 and 1 outputs with 3 taps each: 6, 3 and 2 bytes.
        assert_eq!([4, 6, 7, 1, 0].map(|outputs| packed_bytes(outputs, 3)), [6, 9, 11, 2, 0]);
    }
}
