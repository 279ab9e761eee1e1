//! Weights of four bits, two in a byte, the first of two in the low half.
//!
//! A few taps at a time are unpacked to the stack, and the inner loop for bytes does the rest.

use core::cell::Cell;

use super::block::{CHANNELS, accumulate_bytes};
use crate::engine::part;

/// Taps unpacked at once.
const CHUNK: usize = 32;

/// Adds `values[pixel][tap] * weights[tap][channel]` over all taps to `sums[pixel][channel]`; `first` counts
/// weights from the begin of the block.
pub fn accumulate<const N: usize, const P: usize>(
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
        accumulate_bytes(sums, values.map(|values| part(values, tap, count)), weights);
        tap += count;
    }
}

/// One weight or two in a byte.
#[cfg(feature = "pack")]
pub fn pack(weights: &[i8]) -> i8 {
    weights.iter().rev().fold(0, |byte, weight| (byte << 4) | (weight & 0xf))
}

/// Unpacks weights from the `first` one of a block on.
fn unpack(block: &[i8], first: usize, weights: &mut [i8]) {
    let mut bytes = block.iter().skip(first / 2);
    let (upper, rest) = weights.split_at_mut_checked(first % 2).unwrap_or_default();
    upper.iter_mut().zip(&mut bytes).for_each(|(weight, &byte)| *weight = byte >> 4);
    let (pairs, lower) = rest.as_chunks_mut::<2>();
    for (pair, &byte) in pairs.iter_mut().zip(&mut bytes) {
        *pair = [byte << 4 >> 4, byte >> 4];
    }
    lower.iter_mut().zip(bytes).for_each(|(weight, &byte)| *weight = byte << 4 >> 4);
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
}
