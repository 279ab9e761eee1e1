//! Fully connected layer. Weights in blocks of four pairs of output channels:
//! `[block][four input values][even, odd][pair]`, each a word of two values and two channels; channels
//! that fill no block of eight follow in blocks of one pair. Channel constants in pairs: `bias a`, then `256
//! bias b + bias a`. With weights of four bits a word holds four values and two channels, and the second
//! constant is `16 bias b + bias a`.
#![allow(unsafe_code)]

use core::cell::Cell;

#[cfg(goldcrest_dsp)]
use super::super::SMALL;
use super::super::fully_connected as plain;
use super::super::output::Output;
#[cfg(feature = "pack")]
use super::super::packing::{Packing, elsewhere};
use super::super::{Kernel, Needs, product};
use super::bounds;
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry, Record};

/// Pairs of output channels that are computed at once.
const BLOCK: usize = 4;

/// Fully connected on cores with DSP instructions.
pub static DSP_FULLY_CONNECTED: Kernel = Kernel {
    id: 37,
    name: "dsp-fully-connected",
    needs: needs::<8>,
    run: run::<8>,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits::<8>, order: pack::order::<8>, overlap: elsewhere },
};

/// The same for weights of four bits.
pub static DSP_INT4_FULLY_CONNECTED: Kernel = Kernel {
    id: 41,
    name: "dsp-int4-fully-connected",
    needs: needs::<4>,
    run: run::<4>,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits::<4>, order: pack::order::<4>, overlap: elsewhere },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use super::BLOCK;
    use crate::kernels::dsp::packing::{self, pair_constants, run_words};
    use crate::kernels::packing::{Constants, LayerSpec};

    pub fn suits<const BITS: usize>(layer: &LayerSpec<'_>) -> bool {
        packing::is_convolution(layer, BITS) && layer.is_fully_connected(BITS) && packing::fits_pairs(layer)
    }

    /// Blocks of four pairs, then single pairs.
    pub fn order<const BITS: usize>(layer: &LayerSpec<'_>) -> Constants {
        let count = layer.channels.len();
        let (mut first, mut constants) = (0, Constants::default());
        while first < count.div_ceil(2) {
            let block = if count - 2 * first >= 2 * BLOCK { BLOCK } else { 1 };
            let words: Vec<Vec<[i8; 4]>> = (first..first + block)
                .map(|pair| run_words::<BITS>(layer.of_channel(2 * pair), layer.of_channel(2 * pair + 1)))
                .collect();
            for at in 0..words[0].len() {
                constants.weights.extend(words.iter().flat_map(|pair| pair[at]));
            }
            for pair in first..first + block {
                let [a, b] = [2 * pair, 2 * pair + 1].map(|channel| layer.channel(channel));
                constants.channels.extend(pair_constants::<BITS>(a, b));
            }
            first += block;
        }
        constants
    }
}

fn needs<const BITS: usize>(record: &Record) -> Option<Needs> {
    plain::needs::<8>(record)?;
    let (inputs, pairs) = (record.input.shape.len(), record.output.shape.channels.div_ceil(2));
    Some(Needs {
        weights: product([pairs, inputs.div_ceil(4), BITS]),
        channels: product([pairs, 2]),
        scratch: 0,
    })
}

fn run<const BITS: usize>(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.decode();
    let record = &layer.record;
    let quads = record.input.shape.len().div_ceil(4);
    // The tensor is aligned and the arena ends at a whole word, so its last word is there.
    let input = arena.words(record.input.offset, quads * 4);
    let target = arena.values(record.output.offset, record.output.shape.len());
    let last = Output::new(record);
    // Four values of two channels.
    let bytes = quads * BITS;
    let blocks = target.len() / (2 * BLOCK);
    let (outputs, pairs) = (2 * BLOCK * blocks, BLOCK * blocks);
    let weights = part(layer.weights, 0, pairs * bytes);
    four_pairs::<BITS>(weights, input, part(layer.channels, 0, outputs), &last, part(target, 0, outputs));
    bounds::apply(&last, part(target, 0, outputs));
    let rest = layer.weights.get(pairs * bytes..).unwrap_or_default();
    let channels = layer.channels.get(outputs..).unwrap_or_default();
    let targets = target.get(outputs..).unwrap_or_default();
    // Not in chunks: where the iterator is not inlined, dividing by a length would leave a way to panic.
    for (pair, channels) in channels.as_chunks::<2>().0.iter().enumerate() {
        let target = match targets.get(2 * pair..) {
            Some(target) if !target.is_empty() => target,
            _ => break,
        };
        let sums = one_pair::<BITS>(part(rest, pair * bytes, bytes), input, channels);
        for ((output, sum), channel) in target.iter().zip(sums).zip(channels) {
            output.set(last.value(sum, channel.multiplier));
        }
    }
}

/// The sums of two output channels.
#[cfg(not(goldcrest_dsp))]
fn one_pair<const BITS: usize>(weights: &[i8], input: &[Cell<u32>], channels: &[Channel]) -> [i32; 2] {
    pair_of_block::<BITS, 1>(weights, 0, input, channels)
}

/// The sums of two output channels, of which the weights stand among those of `PAIRS` pairs.
#[cfg(not(goldcrest_dsp))]
fn pair_of_block<const BITS: usize, const PAIRS: usize>(
    weights: &[i8],
    pair: usize,
    input: &[Cell<u32>],
    channels: &[Channel],
) -> [i32; 2] {
    use super::super::simd::{even, odd, pack};
    let [a, b] = channels else { return [0; 2] };
    let rows = weights.as_chunks::<4>().0.as_chunks::<PAIRS>().0.iter();
    let words = rows.filter_map(|words| words.get(pair)).map(|&word| pack(word));
    let values = input.iter().flat_map(|value| [even(value.get()), odd(value.get())]);
    super::pair::sums::<BITS>([a.bias, b.bias], words, values)
}

/// The sums of two output channels.
#[cfg(goldcrest_dsp)]
fn one_pair<const BITS: usize>(weights: &[i8], input: &[Cell<u32>], channels: &[Channel]) -> [i32; 2] {
    let [a, b] = channels else { return [0; 2] };
    if input.is_empty() || weights.len() < input.len() * BITS {
        return [a.bias, b.bias.wrapping_sub(a.bias) >> BITS];
    }
    let range = input.as_ptr_range();
    let run = if BITS == 4 { armv7em::one_pair_of_four_bits } else { armv7em::one_pair };
    // SAFETY: the weights hold two words, or one of four bits, for each word of input and are aligned,
    // because the image check saw to it.
    let sums = unsafe { run(weights.as_ptr(), range.start.cast(), range.end.cast(), channels.as_ptr()) };
    [sums as i32, (sums >> 32) as i32]
}

/// Blocks of eight output channels, saturated but not bounded.
#[cfg(not(goldcrest_dsp))]
fn four_pairs<const BITS: usize>(
    weights: &[i8],
    input: &[Cell<u32>],
    channels: &[Channel],
    last: &Output,
    target: &[Cell<i8>],
) {
    let blocks =
        weights.chunks_exact((BITS * BLOCK * input.len()).max(1)).zip(channels.chunks_exact(2 * BLOCK));
    for ((weights, channels), target) in blocks.zip(target.chunks_exact(2 * BLOCK)) {
        for (pair, (channels, target)) in channels.chunks_exact(2).zip(target.chunks_exact(2)).enumerate() {
            let sums = pair_of_block::<BITS, BLOCK>(weights, pair, input, channels);
            for ((sum, channel), value) in sums.iter().zip(channels).zip(target) {
                value.set(last.saturated(*sum, channel.multiplier));
            }
        }
    }
}

/// Blocks of eight output channels, saturated but not bounded.
#[cfg(goldcrest_dsp)]
fn four_pairs<const BITS: usize>(
    weights: &[i8],
    input: &[Cell<u32>],
    channels: &[Channel],
    last: &Output,
    target: &[Cell<i8>],
) {
    if input.is_empty()
        || weights.is_empty()
        || target.len() != channels.len()
        || !target.as_ptr().cast::<u32>().is_aligned()
    {
        return;
    }
    let range = input.as_ptr_range();
    let call = armv7em::Call {
        input: range.start.cast(),
        end: range.end.cast(),
        channels: channels.as_ptr(),
        rounding: last.rounding(),
        weights_end: weights.as_ptr_range().end,
    };
    // The form for wide sums computes narrow ones too.
    let run = match (BITS, last.is_wide() || SMALL) {
        (4, true) => armv7em::four_bits_wide,
        (4, false) => armv7em::four_bits,
        (_, true) => armv7em::wide,
        (_, false) => armv7em::narrow,
    };
    // SAFETY: for each eight channels the weights hold `BITS` words for each word of input, and the target 8
    // values; weights and channels are aligned, because the image check saw to it.
    unsafe { run(weights.as_ptr(), target.as_ptr().cast_mut().cast(), &call) }
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use crate::image::Channel;
    use core::arch::naked_asm;

    use super::super::requantize::{plain, wide};

    /// What the loop over blocks needs beside its pointers; the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        pub input: *const u32,
        pub end: *const u32,
        /// Constants of the pairs.
        pub channels: *const Channel,
        /// `0x7fff` plus the zero point in the upper half.
        pub rounding: i32,
        pub weights_end: *const i8,
    }

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

    /// Four values times all channels of a block.
    macro_rules! quad {
        (eight) => {
            concat!(
                "ldr lr, [r1]\n",
                "sxtb16 lr, lr\n",
                taps!(),
                "ldr lr, [r1], #4\n",
                "sxtb16 lr, lr, ror #8\n",
                taps!(),
                "cmp r1, r2\n",
            )
        };
        // The sums of channels a are eight times the sum of the values larger.
        (four) => {
            concat!(
                "ldr lr, [r1], #4\n",
                "sxtb16 r2, lr\n",
                "sxtb16 lr, lr, ror #8\n",
                quad!("r4", "r8"),
                quad!("r5", "r9"),
                quad!("r6", "r10"),
                quad!("r7", "r11"),
                "ldr r3, [sp, #4]\n",
                "cmp r1, r3\n",
            )
        };
        ($a:literal, $b:literal) => {
            concat!(
                "ldr r3, [r0], #4\n",
                "sxtb16 r12, r3\n",
                concat!("smlad ", $b, ", r12, r2, ", $b, "\n"),
                "and r12, r3, #0x000f000f\n",
                concat!("smlad ", $a, ", r12, r2, ", $a, "\n"),
                "sxtb16 r3, r3, ror #8\n",
                concat!("smlad ", $b, ", r3, lr, ", $b, "\n"),
                "and r3, r3, #0x000f000f\n",
                concat!("smlad ", $a, ", r3, lr, ", $a, "\n"),
            )
        };
    }

    /// What is done once per layer: with weights of four bits, eight times the sum of the values.
    macro_rules! enter {
        (eight) => {
            ""
        };
        (four) => {
            concat!(
                "mov r12, #0x00080008\n",
                "movs r5, #0\n",
                "6:\n",
                "ldr r6, [r3], #4\n",
                "sxtb16 r7, r6\n",
                "smlad r5, r7, r12, r5\n",
                "sxtb16 r7, r6, ror #8\n",
                "smlad r5, r7, r12, r5\n",
                "cmp r3, r4\n",
                "bne 6b\n",
                "str r5, [sp, #24]\n",
            )
        };
    }

    /// Brings the sums of a block to their size.
    macro_rules! part {
        (eight) => {
            "asr r8, r8, #8\nasr r9, r9, #8\nasr r10, r10, #8\nasr r11, r11, #8\n"
        };
        (four) => {
            concat!(
                "asr r8, r8, #4\nasr r9, r9, #4\nasr r10, r10, #4\nasr r11, r11, #4\n",
                "ldr lr, [sp, #24]\n",
                "subs r4, r4, lr\nsubs r5, r5, lr\nsubs r6, r6, lr\nsubs r7, r7, lr\n",
            )
        };
    }

    /// The output of a channel; `$at` is the offset of its multiplier.
    macro_rules! output {
        ($requantize:ident, $sum:literal, $at:literal) => {
            concat!("ldr r2, [r3, #", $at, "]\n", $requantize!($sum, "r2", "r12", "lr", "r1"))
        };
    }

    /// A function of weights (r0), outputs (r1) and [`Call`] (r2).
    macro_rules! blocks {
        ($(#[$doc:meta])* $name:ident, $bits:ident, $requantize:ident) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(weights: *const i8, outputs: *mut i8, call: &Call) {
                naked_asm!(
                    super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    // [sp]: input, its end, channels, rounding, end of the weights, outputs; with weights of
                    // four bits eight times the sum of the input.
                    "sub sp, sp, #28",
                    "ldm r2, {{r3, r4, r5, r6, r7}}",
                    "stm sp, {{r3, r4, r5, r6, r7}}",
                    "str r1, [sp, #20]",
                    enter!($bits),
                    "2:", // Eight channels.
                    "ldm sp, {{r1, r2, r3}}",
                    "ldr r4, [r3, #0]",
                    "ldr r8, [r3, #8]",
                    "ldr r5, [r3, #16]",
                    "ldr r9, [r3, #24]",
                    "ldr r6, [r3, #32]",
                    "ldr r10, [r3, #40]",
                    "ldr r7, [r3, #48]",
                    "ldr r11, [r3, #56]",
                    "3:", // Four values.
                    quad!($bits),
                    "bne 3b",
                    "ldrd r3, r12, [sp, #8]",
                    "subs r8, r8, r4",
                    "subs r9, r9, r5",
                    "subs r10, r10, r6",
                    "subs r11, r11, r7",
                    part!($bits),
                    output!($requantize, "r4", 4),
                    output!($requantize, "r8", 12),
                    output!($requantize, "r5", 20),
                    output!($requantize, "r9", 28),
                    output!($requantize, "r6", 36),
                    output!($requantize, "r10", 44),
                    output!($requantize, "r7", 52),
                    output!($requantize, "r11", 60),
                    "bfi r4, r8, #8, #8",
                    "bfi r5, r9, #8, #8",
                    "bfi r6, r10, #8, #8",
                    "bfi r7, r11, #8, #8",
                    "bfi r4, r5, #16, #16",
                    "bfi r6, r7, #16, #16",
                    "ldrd r2, r1, [sp, #16]",
                    "strd r4, r6, [r1], #8",
                    "str r1, [sp, #20]",
                    "adds r3, #64",
                    "str r3, [sp, #8]",
                    "cmp r0, r2",
                    "bne 2b",
                    "add sp, sp, #28",
                    "pop {{r4-r11, pc}}",
                )
            }
        };
    }

    blocks!(
        /// Outputs that need 32 bits.
        narrow, eight, plain
    );
    blocks!(
        /// Outputs that may need 64 bits.
        wide, eight, wide
    );
    blocks!(
        /// Weights of four bits, outputs that need 32 bits.
        four_bits, four, plain
    );
    blocks!(
        /// Weights of four bits, outputs that may need 64 bits.
        four_bits_wide, four, wide
    );

    /// Sums of two channels over the input words from `input` to `end`: channel a in the lower half.
    #[unsafe(naked)]
    pub unsafe extern "C" fn one_pair(
        weights: *const i8,
        input: *const u32,
        end: *const u32,
        channels: *const Channel,
    ) -> u64 {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r7, lr}}",
            "ldr r12, [r3, #0]",
            "ldr r3, [r3, #8]",
            "2:",
            "ldr r6, [r1], #4",
            "ldrd r4, r5, [r0], #8",
            "sxtb16 r7, r6",
            "sxtb16 r6, r6, ror #8",
            "smlad r3, r4, r7, r3",
            "sxtb16 r4, r4",
            "smlad r12, r4, r7, r12",
            "smlad r3, r5, r6, r3",
            "sxtb16 r5, r5",
            "smlad r12, r5, r6, r12",
            "cmp r1, r2",
            "bne 2b",
            "mov r0, r12",
            "subs r1, r3, r12",
            "asrs r1, r1, #8",
            "pop {{r4-r7, pc}}",
        )
    }

    /// The same with weights of four bits.
    #[unsafe(naked)]
    pub unsafe extern "C" fn one_pair_of_four_bits(
        weights: *const i8,
        input: *const u32,
        end: *const u32,
        channels: *const Channel,
    ) -> u64 {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r9, lr}}",
            "ldr r12, [r3, #0]",
            "ldr r3, [r3, #8]",
            "mov r8, #0x00080008",
            "movs r9, #0",
            "2:",
            "ldr r6, [r1], #4",
            "ldr r4, [r0], #4",
            "sxtb16 r7, r6",
            "sxtb16 r6, r6, ror #8",
            "sxtb16 r5, r4",
            "smlad r3, r5, r7, r3",
            "and r5, r4, #0x000f000f",
            "smlad r12, r5, r7, r12",
            "sxtb16 r4, r4, ror #8",
            "smlad r3, r4, r6, r3",
            "and r4, r4, #0x000f000f",
            "smlad r12, r4, r6, r12",
            "smlad r9, r7, r8, r9",
            "smlad r9, r6, r8, r9",
            "cmp r1, r2",
            "bne 2b",
            "subs r1, r3, r12",
            "asrs r1, r1, #4",
            "sub r0, r12, r9",
            "pop {{r4-r9, pc}}",
        )
    }
}
