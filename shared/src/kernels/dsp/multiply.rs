//! All output channels of four pixels: a tile of patches times the weights of a layer.
#![allow(unsafe_code)]

use core::cell::Cell;

#[cfg(goldcrest_dsp)]
use super::super::SMALL;
use super::super::output::Output;
use super::PIXELS;
use crate::engine::part;
use crate::image::Layer;

/// Bytes of a pair of channels beside its weights: where both sums start, and both multipliers.
const CONSTANTS: usize = 16;

/// Bytes of weights and constants of a pair of channels whose patches have `quads` groups of four values.
pub fn pair_bytes(quads: u64) -> u64 {
    quads.saturating_mul(8).saturating_add(CONSTANTS as u64)
}

/// The weights and constants of a layer, ready to meet tiles.
#[derive(Debug)]
pub struct Multiply<'a> {
    weights: &'a [i8],
    last: Output,
    /// Groups of four values in a patch.
    quads: usize,
    /// Output channels.
    outputs: usize,
}

impl<'a> Multiply<'a> {
    /// The product of a layer whose patches have `quads` groups of four values.
    pub fn new(layer: &Layer<'a>, last: &Output, quads: usize, outputs: usize) -> Self {
        Self { weights: layer.weights, last: *last, quads, outputs }
    }

    /// Writes the outputs of four pixels, HWC, saturated but not bounded.
    pub fn run(&self, tile: &[Cell<u32>], outputs: &[Cell<i8>]) {
        if self.outputs >= 2 && self.quads > 0 && tile.len() >= self.quads * 2 * PIXELS {
            self.pairs(tile, outputs, 0, self.outputs / 2, 0);
            if !self.outputs.is_multiple_of(2) {
                // The last pair repeats one channel, so it stands one channel further left.
                self.pairs(tile, outputs, self.outputs / 2, 1, self.outputs - 2);
            }
        }
    }

    /// `count` pairs from pair `first` on, into the channels from `channel` on.
    #[cfg(not(goldcrest_dsp))]
    fn pairs(&self, tile: &[Cell<u32>], outputs: &[Cell<i8>], first: usize, count: usize, channel: usize) {
        use super::super::simd::{even, multiply_add};
        let bytes = pair_bytes(self.quads as u64) as usize;
        for pair in 0..count {
            let words = part(self.weights, (first + pair) * bytes, bytes).as_chunks::<4>().0;
            let word = |at: usize| u32::from_le_bytes(words[at].map(|byte| byte as u8));
            let end = 2 + 2 * self.quads;
            for pixel in 0..PIXELS {
                let (mut low, mut both) = (word(0) as i32, word(1) as i32);
                let values = tile.iter().skip(pixel).step_by(PIXELS);
                for (weight, value) in (2..end).map(word).zip(values) {
                    low = multiply_add(low, even(weight), value.get());
                    both = multiply_add(both, weight, value.get());
                }
                let high = both.wrapping_sub(low) >> 8;
                let place = part(outputs, pixel * self.outputs + channel + 2 * pair, 2);
                place[0].set(self.last.saturated(low, word(end) as i32));
                place[1].set(self.last.saturated(high, word(end + 1) as i32));
            }
        }
    }

    /// `count` pairs from pair `first` on, into the channels from `channel` on.
    #[cfg(goldcrest_dsp)]
    #[inline]
    fn pairs(&self, tile: &[Cell<u32>], outputs: &[Cell<i8>], first: usize, count: usize, channel: usize) {
        let bytes = pair_bytes(self.quads as u64) as usize;
        let weights = part(self.weights, first * bytes, count * bytes);
        let target = outputs.get(channel..).unwrap_or_default();
        if weights.is_empty() || target.len() < (PIXELS - 1) * self.outputs + 2 * count {
            return;
        }
        let call = armv7em::Call {
            pitch: self.outputs,
            end: weights.as_ptr_range().end,
            rounding: self.last.rounding(),
            tile_end: tile.as_ptr().wrapping_add(self.quads * 2 * PIXELS).cast(),
            skipped: self.quads.wrapping_neg() % 4,
        };
        let run = match (self.last.is_wide(), self.quads) {
            // The form for wide sums computes narrow ones too.
            (wide, _) if wide || SMALL => armv7em::wide,
            (_, 4) => armv7em::four_quads,
            _ => armv7em::narrow,
        };
        // SAFETY: the slices hold what the function reads and writes: `count` pairs of channels, `quads` groups of
        // 8 words of tile (`run` looked), and `count` pairs of values at each of four places `pitch`
        // apart. The weights are aligned, because the image check saw to it.
        unsafe { run(weights.as_ptr(), tile.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
    }
}

/// The loop of 2 output channels x 4 pixels.
#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    use super::super::requantize::{plain, wide};

    /// What the loop needs beside its pointers; the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Where the weights end.
        pub end: *const i8,
        /// `0x7fff` plus the zero point in the upper half.
        pub rounding: i32,
        /// Where the tile ends.
        pub tile_end: *const u32,
        /// Groups of four taps that the first round of the loop leaves out, 0 to 3.
        pub skipped: usize,
    }

    /// Two taps of four pixels. r0 weights, r1 tile, r4-r7 sums of channel a, r8-r11 of `256 b + a`;
    /// `$i` and `$j` are offsets of tile words, `$from` and `$both` the sums' first registers before.
    macro_rules! taps {
        ($i:literal, $j:literal) => {
            taps!($i, $j, ["r4", "r5", "r6", "r7"], ["r8", "r9", "r10", "r11"])
        };
        ($i:literal, $j:literal, [$a:literal, $b:literal, $c:literal, $d:literal], [$e:literal, $f:literal, $g:literal, $h:literal]) => {
            concat!(
                "ldrd r12, lr, [r1, #",
                $i,
                "]\n",
                "ldr r3, [r0], #4\n",
                "sxtb16 r2, r3\n",
                "smlad r11, r3, r12, ",
                $h,
                "\n",
                "smlad r7, r2, r12, ",
                $d,
                "\n",
                "smlad r10, r3, lr, ",
                $g,
                "\n",
                "smlad r6, r2, lr, ",
                $c,
                "\n",
                "ldrd r12, lr, [r1, #",
                $j,
                "]\n",
                "smlad r9, r3, r12, ",
                $f,
                "\n",
                "smlad r5, r2, r12, ",
                $b,
                "\n",
                "smlad r8, r3, lr, ",
                $e,
                "\n",
                "smlad r4, r2, lr, ",
                $a,
                "\n",
            )
        };
    }

    /// The same with single loads: one instruction more, one cycle less on the Cortex-M4, where a load
    /// behind a single load takes one cycle and a double load takes three.
    macro_rules! taps_by_word {
        ($i:literal, $j:literal, $k:literal) => {
            concat!(
                "ldr r3, [r0], #4\n",
                "ldr r12, [r1, #",
                $i,
                "]\n",
                "ldr lr, [r1, #",
                $j,
                "]\n",
                "sxtb16 r2, r3\n",
                "smlad r11, r3, r12, r11\n",
                "smlad r7, r2, r12, r7\n",
                "smlad r10, r3, lr, r10\n",
                "smlad r6, r2, lr, r6\n",
                "ldrd r12, lr, [r1, #",
                $k,
                "]\n",
                "smlad r9, r3, r12, r9\n",
                "smlad r5, r2, r12, r5\n",
                "smlad r8, r3, lr, r8\n",
                "smlad r4, r2, lr, r4\n",
            )
        };
    }

    /// Any number of groups of four taps, four in a round. The first round starts behind those that
    /// fill it up; every group has the same number of bytes.
    macro_rules! rounds {
        () => {
            concat!(
                "ldrd r4, r8, [r0], #8\n",
                "mov r5, r4\n",
                "mov r6, r4\n",
                "mov r7, r4\n",
                "mov r9, r8\n",
                "mov r10, r8\n",
                "mov r11, r8\n",
                "ldr r1, [sp, #16]\n",
                "ldr pc, [sp, #24]\n",
                ".balign 4\n",
                "3:\n",
                taps!(0, 8),
                taps_by_word!(16, 20, 24),
                "4:\n",
                taps!(32, 40),
                taps_by_word!(48, 52, 56),
                taps!(64, 72),
                taps_by_word!(80, 84, 88),
                taps!(96, 104),
                taps_by_word!(112, 116, 120),
                "ldr r2, [sp, #20]\n",
                "add r1, r1, #128\n",
                "cmp r1, r2\n",
                "bne 3b\n",
            )
        };
    }

    /// Four groups of four taps. The first products are added to where the sums start.
    macro_rules! four_groups {
        () => {
            concat!(
                "ldrd r4, r8, [r0], #8\n",
                taps!(0, 8, ["r4", "r4", "r4", "r4"], ["r8", "r8", "r8", "r8"]),
                taps!(16, 24),
                taps!(32, 40),
                taps!(48, 56),
                taps!(64, 72),
                taps!(80, 88),
                taps!(96, 104),
                taps!(112, 120),
            )
        };
    }

    /// A function of weights (r0), tile (r1), outputs (r2) and [`Call`] (r3).
    macro_rules! pairs {
        ($(#[$doc:meta])* $name:ident, $sums:ident, $requantize:ident) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(weights: *const i8, tile: *const u32, outputs: *mut i8, call: &Call) {
                naked_asm!(
                    super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    // [sp]: outputs, pitch, end of the weights, rounding, tile, its end, the first round's start.
                    "sub sp, sp, #28",
                    "ldm r3, {{r4, r5, r6, r7, r8}}",
                    "strd r2, r4, [sp]",
                    "strd r5, r6, [sp, #8]",
                    "sub r2, r1, r8, lsl #5",
                    "strd r2, r7, [sp, #16]",
                    start!($sums),
                    "str r4, [sp, #24]",
                    "2:", // One pair of output channels.
                    $sums!(),
                    "ldrd r2, r3, [r0], #8",
                    "ldr r12, [sp, #12]",
                    // The other sums of the pair, `256 b`, modulo 2^32.
                    "subs r8, r8, r4",
                    "subs r9, r9, r5",
                    "subs r10, r10, r6",
                    "subs r11, r11, r7",
                    "asr r8, r8, #8",
                    "asr r9, r9, #8",
                    "asr r10, r10, #8",
                    "asr r11, r11, #8",
                    $requantize!("r4", "r2", "r12", "lr", "r1"),
                    $requantize!("r5", "r2", "r12", "lr", "r1"),
                    $requantize!("r6", "r2", "r12", "lr", "r1"),
                    $requantize!("r7", "r2", "r12", "lr", "r1"),
                    $requantize!("r8", "r3", "r12", "lr", "r1"),
                    $requantize!("r9", "r3", "r12", "lr", "r1"),
                    $requantize!("r10", "r3", "r12", "lr", "r1"),
                    $requantize!("r11", "r3", "r12", "lr", "r1"),
                    "bfi r4, r8, #8, #8",
                    "bfi r5, r9, #8, #8",
                    "bfi r6, r10, #8, #8",
                    "bfi r7, r11, #8, #8",
                    // The sums stand in the order of the pixels from the last to the first.
                    "ldrd r2, r3, [sp]",
                    "strh r6, [r2, r3]",
                    "strh r5, [r2, r3, lsl #1]",
                    "add r3, r3, r3, lsl #1",
                    "strh r4, [r2, r3]",
                    "strh r7, [r2], #2",
                    "str r2, [sp]",
                    "ldr r2, [sp, #8]",
                    "cmp r0, r2",
                    "bne 2b",
                    "add sp, sp, #28",
                    "pop {{r4-r11, pc}}",
                )
            }
        };
    }

    /// Where the first round starts (r4), from the groups it leaves out (r8).
    macro_rules! start {
        (rounds) => {
            "adr r4, 3f\nadr r5, 4f\nsubs r5, r5, r4\nmla r4, r5, r8, r4\nadds r4, #1\n"
        };
        (four_groups) => {
            ""
        };
    }

    pairs!(
        /// Outputs that need 32 bits.
        narrow, rounds, plain
    );
    pairs!(
        /// Outputs that may need 64 bits.
        wide, rounds, wide
    );
    pairs!(
        /// Outputs of four groups of four taps that need 32 bits.
        four_quads, four_groups, plain
    );
}
