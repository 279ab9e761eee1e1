//! Fully connected layer of few weights, as it ends most networks. Weights are halfwords: twice the flash,
//! but no instruction but loads and SMLAD. Per pair of outputs: where their sums start, `[eight input
//! values][output][two values]` in the order of [`patch`](super::patch), the multipliers, and `0x7fff` plus
//! the zero point in the upper half. Values are filled up with zeros to whole eights; an odd last output is
//! paired with one of zeros.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::fully_connected as plain;
use super::super::output::Output;
#[cfg(not(goldcrest_dsp))]
use super::super::output::saturated;
#[cfg(feature = "pack")]
use super::super::packing::{Packing, elsewhere};
use super::super::{Kernel, Needs, product};
use super::bounds;
use crate::engine::Arena;
use crate::image::{Entry, Record};

/// Fully connected with few weights on cores with DSP instructions.
pub static DSP_SMALL_FULLY_CONNECTED: Kernel = Kernel {
    id: 38,
    name: "dsp-small-fully-connected",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits, order: pack::order, overlap: elsewhere },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use crate::kernels::dsp::packing::{self, halfwords, le_bytes};
    use crate::kernels::packing::{Constants, LayerSpec};

    /// Maximum number of weights of a layer for which twice the flash is spent on speed. Beyond, what a layer
    /// takes whatever its size no longer counts.
    const WEIGHTS: usize = 4096;

    pub fn suits(layer: &LayerSpec<'_>) -> bool {
        let small = layer.weights.len() <= WEIGHTS && !layer.record.wide;
        packing::is_convolution(layer, 8) && layer.is_fully_connected(8) && small
    }

    /// Pairs of outputs with their constants.
    pub fn order(layer: &LayerSpec<'_>) -> Constants {
        let mut weights = Vec::new();
        for first in (0..layer.channels.len()).step_by(2) {
            let [a, b] = [first, first + 1].map(|output| layer.channel(output));
            weights.extend(le_bytes([a.bias, b.bias]));
            for eight in (0..layer.taps()).step_by(8) {
                for values in [first, first + 1].map(|output| layer.of_channel(output)) {
                    let value = |at: usize| values.get(eight + at).map_or(0, |&value| i16::from(value));
                    weights.extend(halfwords([0, 2, 1, 3, 4, 6, 5, 7].map(value)));
                }
            }
            weights.extend(le_bytes([a.multiplier, b.multiplier, packing::rounding(layer)]));
        }
        Constants { weights, channels: Vec::new() }
    }
}

/// Words of a pair of outputs beside its weights.
const CONSTANTS: usize = 5;
/// Words of eight widened values.
const WORDS: usize = 4;

/// Words of the widened input.
fn words(record: &Record) -> usize {
    record.input.shape.len().div_ceil(8).saturating_mul(WORDS)
}

fn needs(record: &Record) -> Option<Needs> {
    plain::needs::<8>(record)?;
    let (words, pairs) = (words(record), record.output.shape.channels.div_ceil(2));
    let weights = product([pairs, words.saturating_mul(2).saturating_add(CONSTANTS), 4]);
    (!record.wide).then_some(Needs { weights, channels: 0, scratch: product([words, 4]) })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = entry.decode();
    let record = &layer.record;
    let outputs = record.output.shape.channels;
    // Tensors are aligned and the arena ends at a whole word, so their last words are there.
    let input = arena.words(record.input.offset, record.input.shape.len().next_multiple_of(4));
    let target = arena.words(record.output.offset, outputs.next_multiple_of(4));
    let widened = arena.words(record.scratch.0, record.scratch.1);
    pairs(layer.weights, input, widened, target);
    let last = Output::new(record);
    if !last.saturates() {
        bounds::apply(&last, arena.values(record.output.offset, outputs));
    }
}

/// All outputs, saturated but not bounded.
#[cfg(not(goldcrest_dsp))]
fn pairs(weights: &[i8], input: &[Cell<u32>], widened: &[Cell<u32>], target: &[Cell<u32>]) {
    use super::super::simd::{even, multiply_add, odd};
    for (value, [low, high]) in input.iter().zip(widened.as_chunks().0) {
        low.set(even(value.get()));
        high.set(odd(value.get()));
    }
    let word = |bytes: &[i8; 4]| u32::from_le_bytes(bytes.map(|byte| byte as u8));
    let mut places = target.iter();
    let bytes = 4 * (2 * widened.len() + CONSTANTS);
    let mut pairs = weights.chunks_exact(bytes.max(1)).map(|weights| {
        let [first, second, rest @ ..] = weights.as_chunks::<4>().0 else { return 0 };
        let Some((weights, [a, b, rounding])) = rest.split_last_chunk() else { return 0 };
        let mut sums = [first, second].map(|start| word(start) as i32);
        for (weights, values) in weights.chunks_exact(2 * WORDS).zip(widened.chunks_exact(WORDS)) {
            for (weights, sum) in weights.chunks_exact(WORDS).zip(&mut sums) {
                let products = weights.iter().zip(values);
                *sum =
                    products.fold(*sum, |sum, (weight, value)| multiply_add(sum, word(weight), value.get()));
            }
        }
        let finish = |sum: i32, multiplier| {
            u32::from(saturated(sum.wrapping_mul(word(multiplier) as i32), word(rounding) as i32) as u8)
        };
        finish(sums[0], a) | (finish(sums[1], b) << 8)
    });
    while let (Some(low), Some(place)) = (pairs.next(), places.next()) {
        place.set(low | (pairs.next().unwrap_or(0) << 16));
    }
}

/// All outputs, saturated but not bounded.
#[cfg(goldcrest_dsp)]
fn pairs(weights: &[i8], input: &[Cell<u32>], widened: &[Cell<u32>], target: &[Cell<u32>]) {
    if input.is_empty() || widened.is_empty() || target.is_empty() || weights.is_empty() {
        return;
    }
    let call = armv7em::Call {
        input: input.as_ptr().cast(),
        quads: input.len(),
        weights_end: weights.as_ptr_range().end,
    };
    let (widened, target) = (widened.as_ptr().cast_mut().cast(), target.as_ptr().cast_mut().cast());
    // SAFETY: `widened` holds four words for each two words of input; for each pair of outputs the weights
    // hold twice as many and its constants, and the target a halfword. All are aligned, because the image
    // check saw to it.
    unsafe { armv7em::pairs(weights.as_ptr(), widened, target, &call) }
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    use super::super::requantize::plain;

    /// What the loop needs beside its pointers; the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        pub input: *const u32,
        /// Words of input.
        pub quads: usize,
        pub weights_end: *const i8,
    }

    /// Eight values times two outputs. r0 weights, r1 values, r12 and lr the sums.
    macro_rules! eight {
        () => {
            concat!(
                "ldm r1!, {{r4-r7}}\n",
                "ldm r0!, {{r8-r11}}\n",
                "smlad r12, r4, r8, r12\n",
                "smlad r12, r5, r9, r12\n",
                "smlad r12, r6, r10, r12\n",
                "smlad r12, r7, r11, r12\n",
                "ldm r0!, {{r8-r11}}\n",
                "smlad lr, r4, r8, lr\n",
                "smlad lr, r5, r9, lr\n",
                "smlad lr, r6, r10, lr\n",
                "smlad lr, r7, r11, lr\n",
            )
        };
    }

    /// A function of weights (r0), room for the widened values (r1), outputs (r2) and [`Call`] (r3).
    #[unsafe(naked)]
    pub unsafe extern "C" fn pairs(weights: *const i8, widened: *mut u32, outputs: *mut i8, call: &Call) {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r11, lr}}",
            "ldm r3, {{r4, r5, r8}}",
            // The loop takes two eights at once; when their number is odd, its first round begins in its
            // middle.
            "adds r7, r5, #1",
            "lsrs r7, r7, #1",
            "add r3, r1, r7, lsl #4",
            "adr.w r6, 3f",
            "adr.w r9, 4f",
            "lsrs r7, r7, #1",
            "it cs",
            "movcs r6, r9",
            "adds r6, #1",
            // [sp]: values, the first round's start, end of the weights, and a word for alignment.
            "push {{r1, r6, r8, r9}}",
            "lsrs r5, r5, #1",
            "bcc 1f",
            "ldr r8, [r4], #4",
            "sxtb16 r9, r8, ror #8",
            "sxtb16 r8, r8",
            "strd r8, r9, [r1], #8",
            "cbz r5, 2f",
            "1:", // Widens eight values.
            "ldrd r8, r10, [r4], #8",
            "sxtb16 r9, r8, ror #8",
            "sxtb16 r8, r8",
            "sxtb16 r11, r10, ror #8",
            "sxtb16 r10, r10",
            "stm r1!, {{r8-r11}}",
            "subs r5, #1",
            "bne 1b",
            "2:", // One pair of outputs.
            "ldrd r12, lr, [r0], #8",
            "ldm sp, {{r1, pc}}",
            "3:",
            eight!(),
            "4:",
            eight!(),
            "cmp r1, r3",
            "bne 3b",
            "ldm r0!, {{r4, r5, r6}}",
            "ldr r8, [sp, #8]",
            plain!("r12", "r4", "r6", "r7"),
            plain!("lr", "r5", "r6", "r7"),
            "bfi r12, lr, #8, #8",
            "strh r12, [r2], #2",
            "cmp r0, r8",
            "bne 2b",
            "add sp, sp, #16",
            "pop {{r4-r11, pc}}",
        )
    }
}
