//! Four output channels of four pixels: a tile times a block of weights.
#![allow(unsafe_code)]

use core::cell::Cell;

#[cfg(goldcrest_armv7)]
use super::super::output::Output;
#[cfg(goldcrest_armv7)]
use super::armv7m::{Call, plain_outputs};
use super::tile::{PIXELS, TAPS};
#[cfg(goldcrest_armv7)]
use crate::image::Channel;

/// Output channels in a block of weights.
pub const CHANNELS: usize = 4;

/// Sums of the first `count` channels of a block over the whole tile: `sums[channel][pixel]`, without the
/// bias. Weights `[two taps][channel][tap]`.
#[inline]
pub fn block(tile: &[Cell<u32>], weights: &[i8], count: usize, sums: &mut [[i32; PIXELS]; CHANNELS]) {
    let rounds = (tile.len() / (TAPS * PIXELS / 2)).min(weights.len() / (TAPS * CHANNELS));
    if rounds == 0 || count == 0 {
        return;
    }
    #[cfg(any(target_arch = "arm", target_arch = "riscv32"))]
    {
        #[cfg(all(target_arch = "arm", not(goldcrest_armv7)))]
        use super::armv6m::block;
        #[cfg(goldcrest_armv7)]
        use super::armv7m::block;
        #[cfg(target_arch = "riscv32")]
        use super::rv32::block;
        // SAFETY: the tile holds `rounds` > 0 times 8 words, the weights as often 16 bytes, the sums
        // four words for each of at most four channels.
        unsafe {
            let tile = tile.as_ptr().cast::<u32>();
            block(tile, weights.as_ptr(), sums, rounds, count.min(CHANNELS));
        }
    }
    #[cfg(not(any(target_arch = "arm", target_arch = "riscv32")))]
    block_in_rust(tile, weights, rounds, count, sums);
}

/// Outputs of all channels of the pixels of a tile, where [`Output::is_plain`]. The target holds up to four
/// pixels; the tile repeats the last one, and so does what is written.
#[cfg(goldcrest_armv7)]
pub fn plain(tile: &[Cell<u32>], weights: &[i8], channels: &[Channel], last: &Output, target: &[Cell<i8>]) {
    let rounds = tile.len() / (TAPS * PIXELS / 2);
    let count = channels.len();
    let pixels = (target.len() / count.max(1)).min(PIXELS);
    if rounds == 0 || pixels == 0 || weights.len() < rounds * TAPS * count.next_multiple_of(CHANNELS) {
        return;
    }
    let place = |pixel: usize| target.as_ptr().cast::<i8>().cast_mut().wrapping_add(pixel * count);
    let targets = [0, 1, 2, 3].map(|pixel: usize| place(pixel.min(pixels - 1)));
    let call = Call { channels: channels.as_ptr(), rounds, count, rounding: last.rounding(), targets };
    // SAFETY: the tile holds `rounds` > 0 times 8 words, the weights as often 16 bytes for each started
    // block of `count` > 0 channels; `count` values follow each target, and cells may be written through
    // shared references.
    unsafe { plain_outputs(tile.as_ptr().cast(), weights.as_ptr(), &call) };
}

/// [`block`] in Rust.
#[cfg(not(any(target_arch = "arm", target_arch = "riscv32")))]
fn block_in_rust(
    tile: &[Cell<u32>],
    weights: &[i8],
    rounds: usize,
    count: usize,
    sums: &mut [[i32; PIXELS]; CHANNELS],
) {
    /// Keeps the sum of the lower half positive.
    const MIDDLE: i32 = 1 << 15;
    let pairs = rounds * TAPS / 2;
    for (channel, sums) in sums.iter_mut().enumerate().take(count) {
        for word in 0..PIXELS / 2 {
            let (mut total, mut high) = (0i32, 0i32);
            let taps = tile.as_chunks::<PIXELS>().0.iter().zip(weights.as_chunks::<{ 2 * CHANNELS }>().0);
            for (values, weights) in taps.take(pairs) {
                let product = |tap: usize| {
                    let value = values[tap * PIXELS / 2 + word].get() as i32;
                    value.wrapping_mul(i32::from(weights[2 * channel + tap]))
                };
                let both = product(0).wrapping_add(product(1)).wrapping_add(MIDDLE);
                total = total.wrapping_add(both);
                high = high.wrapping_add(both >> 16);
            }
            let low = total.wrapping_sub(high << 16).wrapping_sub(MIDDLE.wrapping_mul(pairs as i32));
            (sums[2 * word], sums[2 * word + 1]) = (low, high);
        }
    }
}
