//! The inner loop of the portable convolutions: up to four output channels of a few pixels at once, so
//! that each value loaded is used several times.
//!
//! Weights of `N` output channels stand side by side for each tap.
#![allow(unsafe_code)]

use core::cell::Cell;

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

/// Adds `values[pixel][tap] * weights[tap][channel]` over all taps to `sums[pixel][channel]`.
#[inline(always)]
pub fn accumulate<const N: usize, const P: usize>(
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
