//! The inner loop of the portable convolutions: up to four output channels of a few pixels at once, so
//! that each value loaded is used several times.
//!
//! Weights of `N` output channels stand side by side for each tap, of eight bits or of four
//! ([`int4`](super::int4)).
#![allow(unsafe_code)]

#[cfg(feature = "pack")]
use alloc::vec::Vec;
use core::cell::Cell;

use super::int4;
#[cfg(feature = "pack")]
use super::packing::{Constants, LayerSpec};

/// Output channels computed at once.
pub const CHANNELS: usize = 4;

/// Pixels computed at once: what the registers of the core hold.
pub const PIXELS: usize = match () {
    () if cfg!(target_arch = "riscv32") => 4,
    () if cfg!(all(target_arch = "arm", not(goldcrest_armv7))) => 1,
    () => 2,
};

/// Channels of the next block where `left` output channels remain: blocks of 4, then of 2 and 1.
pub fn width(left: usize) -> usize {
    match left {
        4.. => CHANNELS,
        2 | 3 => 2,
        left => left,
    }
}

/// Bytes that a block's weights take.
#[inline(always)]
pub fn bytes<const BITS: usize>(weights: usize) -> usize {
    match BITS {
        4 => weights.div_ceil(2),
        _ => weights,
    }
}

/// Bytes that the weights of one group take, by its output channels and the taps of each. Every block begins
/// a new byte.
pub fn weight_bytes<const BITS: usize>(outputs: usize, taps: u64) -> u64 {
    let taps_of = |channels: usize| taps.saturating_mul(channels as u64);
    match BITS {
        // No block but a last one of a single channel can end within a byte.
        4 => taps_of(outputs / 2).saturating_add(taps_of(outputs % 2).div_ceil(2)),
        _ => taps_of(outputs),
    }
}

/// Weights `[group][block of output channels][tap][output channel of the block]`.
#[cfg(feature = "pack")]
pub fn order<const BITS: usize>(layer: &LayerSpec<'_>) -> Constants {
    let (groups, taps) = (layer.record.groups, layer.taps());
    let outputs = layer.channels.len() / groups;
    let mut weights = Vec::new();
    for group in 0..groups {
        let mut done = 0;
        while done < outputs {
            let (first, width) = (group * outputs + done, width(outputs - done));
            let of_tap = |tap| (first..first + width).map(move |o| layer.of_channel(o)[tap]);
            let block: Vec<i8> = (0..taps).flat_map(of_tap).collect();
            match BITS {
                4 => weights.extend(block.chunks(2).map(int4::pack)),
                _ => weights.extend(block),
            }
            done += width;
        }
    }
    layer.with_weights(weights)
}

/// Adds `values[pixel][tap] * weights[tap][channel]` over all taps to `sums[pixel][channel]`; the weights of
/// the block, of `BITS` bits, are taken from the `first` one on.
#[inline(always)]
pub fn accumulate<const BITS: usize, const N: usize, const P: usize>(
    sums: &mut [[i32; N]; P],
    values: [&[Cell<i8>]; P],
    block: &[i8],
    first: usize,
) {
    match BITS {
        4 => int4::accumulate(sums, values, block, first),
        _ => accumulate_bytes(sums, values, block.get(first..).unwrap_or_default()),
    }
}

/// The same for weights of eight bits, all of a slice.
#[inline(always)]
pub fn accumulate_bytes<const N: usize, const P: usize>(
    sums: &mut [[i32; N]; P],
    values: [&[Cell<i8>]; P],
    weights: &[i8],
) {
    let taps = values.iter().map(|values| values.len()).fold(weights.len() / N, usize::min);
    let mut weight = weights.as_ptr();
    let mut value = values.map(|values| values.as_ptr().cast::<i8>());
    // The sums live in registers only when they leave this array for the loop.
    let mut acc = *sums;
    for _ in 0..taps / UNROLL {
        // SAFETY: `UNROLL` more taps exist in the weights and in every pixel's values.
        unsafe {
            for tap in 0..UNROLL {
                step(&mut acc, &value, weight, tap);
            }
            weight = weight.add(UNROLL * N);
            value = value.map(|value| value.add(UNROLL));
        }
    }
    for tap in 0..taps % UNROLL {
        // SAFETY: `taps % UNROLL` more taps exist in the weights and in every pixel's values.
        unsafe { step(&mut acc, &value, weight, tap) };
    }
    *sums = acc;
}

/// Taps per round of the loop.
const UNROLL: usize = 4;

/// One tap.
///
/// # Safety
/// The values and the weights must hold that tap.
#[inline(always)]
unsafe fn step<const N: usize, const P: usize>(
    acc: &mut [[i32; N]; P],
    values: &[*const i8; P],
    weights: *const i8,
    tap: usize,
) {
    // SAFETY: as the caller promises.
    let w: [i32; N] = core::array::from_fn(|channel| i32::from(unsafe { *weights.add(tap * N + channel) }));
    for pixel in 0..P {
        // SAFETY: as the caller promises.
        let x = i32::from(unsafe { *values[pixel].add(tap) });
        for channel in 0..N {
            acc[pixel][channel] = acc[pixel][channel].wrapping_add(x.wrapping_mul(w[channel]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_begins_a_byte() {
        // Blocks of 4, 2 and 1 outputs with 3 taps each: 6, 3 and 2 bytes.
        assert_eq!([4, 6, 7, 1, 0].map(|outputs| weight_bytes::<4>(outputs, 3)), [6, 9, 11, 2, 0]);
        assert_eq!([4, 6, 7, 1, 0].map(|outputs| weight_bytes::<8>(outputs, 3)), [12, 18, 21, 3, 0]);
    }
}
