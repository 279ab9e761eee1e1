//! Fully connected layer. Weights in blocks of four pairs of output channels:
//! `[block][four input values][even, odd][pair]`, each a word of two values and two channels; pairs that
//! fill no block follow as blocks of one. Channel constants in pairs as in the convolution.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::fully_connected as plain;
use super::super::output::Output;
use super::super::simd::{even, multiply_add, odd};
use super::super::{Needs, product};
use crate::engine::{Arena, part};
use crate::image::{Channel, Layer, Record};

/// Pairs of output channels that are computed at once.
const BLOCK: usize = 4;

pub fn needs(record: &Record) -> Option<Needs> {
    plain::needs(record)?;
    let (inputs, pairs) = (record.input.shape.len(), record.output.shape.channels.div_ceil(2));
    Some(Needs {
        weights: product([pairs, inputs.div_ceil(4), 8]),
        channels: product([pairs, 2]),
        scratch: 0,
    })
}

pub fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    let record = &layer.record;
    let quads = record.input.shape.len().div_ceil(4);
    // The tensor is aligned and the arena ends at a whole word, so its last word is there.
    let input = arena.words(record.input.offset, quads * 4);
    let target = arena.values(record.output.offset, record.output.shape.len());
    let last = Output::new(record);
    let pairs = target.len().div_ceil(2);
    let mut pair = 0;
    let mut weights = layer.weights;
    while pair < pairs {
        let count = if pairs - pair >= BLOCK { BLOCK } else { 1 };
        let channels = part(layer.channels, 2 * pair, 2 * count);
        let bytes = count * quads * 8;
        let mut sums = [0; 2 * BLOCK];
        if count == BLOCK {
            four_pairs(part(weights, 0, bytes), input, channels, &mut sums);
        } else {
            one_pair(part(weights, 0, bytes), input, channels, &mut sums);
        }
        let outputs = target.get(2 * pair..).unwrap_or_default();
        for (output, (sum, channel)) in outputs.iter().zip(sums.iter().zip(channels)) {
            output.set(last.value(*sum, channel.multiplier));
        }
        weights = weights.get(bytes..).unwrap_or_default();
        pair += count;
    }
}

/// The sums of two output channels.
fn one_pair(weights: &[i8], input: &[Cell<u32>], channels: &[Channel], sums: &mut [i32; 2 * BLOCK]) {
    let [a, b] = channels else { return };
    let (mut low, mut both) = (a.bias, b.bias);
    for (weights, value) in weights.as_chunks::<8>().0.iter().zip(input) {
        for (weight, value) in words(weights).into_iter().zip([even(value.get()), odd(value.get())]) {
            low = multiply_add(low, even(weight), value);
            both = multiply_add(both, weight, value);
        }
    }
    (sums[0], sums[1]) = (low, both.wrapping_sub(low) >> 8);
}

/// Two words of weights.
#[inline]
fn words(bytes: &[i8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = bytes.map(|byte| byte as u8);
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// The sums of eight output channels.
#[cfg(not(goldcrest_dsp))]
fn four_pairs(weights: &[i8], input: &[Cell<u32>], channels: &[Channel], sums: &mut [i32; 2 * BLOCK]) {
    for (pair, (sums, channels)) in sums.chunks_exact_mut(2).zip(channels.chunks_exact(2)).enumerate() {
        let (mut low, mut both) = (channels[0].bias, channels[1].bias);
        for (weights, value) in weights.chunks_exact(8 * BLOCK).zip(input) {
            for (half, value) in [even(value.get()), odd(value.get())].into_iter().enumerate() {
                let word = part(weights, 4 * (BLOCK * half + pair), 4);
                let weight = u32::from_le_bytes([0, 1, 2, 3].map(|byte| word[byte] as u8));
                low = multiply_add(low, even(weight), value);
                both = multiply_add(both, weight, value);
            }
        }
        (sums[0], sums[1]) = (low, both.wrapping_sub(low) >> 8);
    }
}

/// The sums of eight output channels.
#[cfg(goldcrest_dsp)]
fn four_pairs(weights: &[i8], input: &[Cell<u32>], channels: &[Channel], sums: &mut [i32; 2 * BLOCK]) {
    if input.is_empty() || weights.len() < input.len() * 8 * BLOCK || channels.len() < 2 * BLOCK {
        return;
    }
    let end = input.as_ptr_range().end;
    // SAFETY: the weights hold 8 words for each word of input, the channels 8 pairs, the sums 8
    // words; weights and channels are aligned, because the image check saw to it.
    unsafe {
        armv7em::four_pairs(weights.as_ptr(), input.as_ptr().cast(), end.cast(), channels.as_ptr(), sums)
    };
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use crate::image::Channel;
    use core::arch::naked_asm;

    /// Two values times eight channels. r0 weights, lr the values, r4-r7 sums of channels a, r8-r11 of
    /// `256 b + a`.
    macro_rules! taps {
        () => {
            concat!(
                "ldrd r12, r3, [r0], #8\n",
                "smlad r8, r12, lr, r8\n",
                "sxtb16 r12, r12\n",
                "smlad r4, r12, lr, r4\n",
                "smlad r9, r3, lr, r9\n",
                "sxtb16 r3, r3\n",
                "smlad r5, r3, lr, r5\n",
                "ldrd r12, r3, [r0], #8\n",
                "smlad r10, r12, lr, r10\n",
                "sxtb16 r12, r12\n",
                "smlad r6, r12, lr, r6\n",
                "smlad r11, r3, lr, r11\n",
                "sxtb16 r3, r3\n",
                "smlad r7, r3, lr, r7\n",
            )
        };
    }

    /// Sums of eight channels over the input words from `input` to `end`.
    #[unsafe(naked)]
    pub unsafe extern "C" fn four_pairs(
        weights: *const i8,
        input: *const u32,
        end: *const u32,
        channels: *const Channel,
        sums: &mut [i32; 8],
    ) {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r11, lr}}",
            "ldr r4, [r3, #0]",
            "ldr r8, [r3, #8]",
            "ldr r5, [r3, #16]",
            "ldr r9, [r3, #24]",
            "ldr r6, [r3, #32]",
            "ldr r10, [r3, #40]",
            "ldr r7, [r3, #48]",
            "ldr r11, [r3, #56]",
            "2:",
            "ldr lr, [r1]",
            "sxtb16 lr, lr",
            taps!(),
            "ldr lr, [r1], #4",
            "sxtb16 lr, lr, ror #8",
            taps!(),
            "cmp r1, r2",
            "bne 2b",
            "subs r8, r8, r4",
            "subs r9, r9, r5",
            "subs r10, r10, r6",
            "subs r11, r11, r7",
            "asr r8, r8, #8",
            "asr r9, r9, #8",
            "asr r10, r10, #8",
            "asr r11, r11, #8",
            "ldr r0, [sp, #36]",
            "strd r4, r8, [r0]",
            "strd r5, r9, [r0, #8]",
            "strd r6, r10, [r0, #16]",
            "strd r7, r11, [r0, #24]",
            "pop {{r4-r11, pc}}",
        )
    }
}
