//! All output channels of four pixels: a tile of patches times the weights of a layer.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::output::Output;
use super::PIXELS;
use crate::engine::part;
use crate::image::Layer;

/// Bytes of a pair of channels beside its weights: where both sums start, both multipliers, and what is
/// added to products before the shift.
const CONSTANTS: usize = 20;

/// Bytes of weights and constants of a pair of channels whose patches have `quads` groups of four values.
pub fn pair_bytes(quads: u64) -> u64 {
    quads.saturating_mul(8).saturating_add(CONSTANTS as u64)
}

/// The weights and constants of a layer, ready to meet its tiles.
#[derive(Debug)]
pub struct Multiply<'a> {
    weights: &'a [i8],
    /// Where every tile stands.
    tile: &'a [Cell<u32>],
    /// Output channels.
    outputs: usize,
    #[cfg(not(goldcrest_dsp))]
    last: Output,
    #[cfg(not(goldcrest_dsp))]
    quads: usize,
    /// The loop, what it needs for all whole pairs of channels, and for an odd last one.
    #[cfg(goldcrest_dsp)]
    calls: (armv7em::Pairs, armv7em::Call, Option<armv7em::Call>),
}

impl<'a> Multiply<'a> {
    /// The product of a layer with tiles of `quads` groups of four values; `None` when weights or tile are not
    /// as long as that.
    pub fn new(layer: &Layer<'a>, last: &Output, quads: usize, tile: &'a [Cell<u32>]) -> Option<Self> {
        let outputs = layer.record.output.shape.channels;
        let weights = part(layer.weights, 0, outputs.div_ceil(2) * pair_bytes(quads as u64) as usize);
        let tile = part(tile, 0, quads * 2 * PIXELS);
        if outputs < 2 || weights.is_empty() || tile.is_empty() {
            return None;
        }
        #[cfg(not(goldcrest_dsp))]
        return Some(Self { weights, tile, outputs, last: *last, quads });
        #[cfg(goldcrest_dsp)]
        return Some(Self { weights, tile, outputs, calls: armv7em::calls(weights, tile, outputs, last) });
    }

    /// Writes the outputs of four pixels, HWC, saturated but not bounded.
    #[cfg(not(goldcrest_dsp))]
    pub fn run(&self, outputs: &[Cell<i8>]) {
        use super::super::simd::{even, multiply_add, set};
        let bytes = pair_bytes(self.quads as u64) as usize;
        let word = |bytes: &[i8; 4]| u32::from_le_bytes(bytes.map(|byte| byte as u8));
        for (pair, weights) in self.weights.chunks_exact(bytes).enumerate() {
            // An odd last pair repeats one channel, so it stands one channel further left.
            let channel = (2 * pair).min(self.outputs - 2);
            let [low, both, rest @ ..] = weights.as_chunks::<4>().0 else { return };
            let Some((weights, [first, second, rounding])) = rest.split_last_chunk() else { return };
            debug_assert_eq!(word(rounding) as i32, self.last.rounding());
            for pixel in 0..PIXELS {
                let (mut low, mut both) = (word(low) as i32, word(both) as i32);
                let values = self.tile.iter().skip(pixel).step_by(PIXELS);
                for (weight, value) in weights.iter().map(word).zip(values) {
                    low = multiply_add(low, even(weight), value.get());
                    both = multiply_add(both, weight, value.get());
                }
                let high = both.wrapping_sub(low) >> 8;
                let place = pixel * self.outputs + channel;
                set(outputs, place, self.last.saturated(low, word(first) as i32));
                set(outputs, place + 1, self.last.saturated(high, word(second) as i32));
            }
        }
    }

    /// The weights, the loop over them, and what it needs for all whole pairs of channels and for an odd last one.
    #[cfg(goldcrest_dsp)]
    pub fn parts(&self) -> (&'a [i8], armv7em::Pairs, &armv7em::Call, Option<&armv7em::Call>) {
        let (run, whole, odd) = &self.calls;
        (self.weights, *run, whole, odd.as_ref())
    }

    /// Writes the outputs of four pixels, HWC, saturated but not bounded.
    #[cfg(goldcrest_dsp)]
    #[inline]
    pub fn run(&self, outputs: &[Cell<i8>]) {
        if outputs.len() < PIXELS * self.outputs {
            return;
        }
        let (run, whole, odd) = &self.calls;
        let (tile, target) = (self.tile.as_ptr().cast::<u32>(), outputs.as_ptr().cast_mut().cast::<i8>());
        // SAFETY: weights and tile hold what the call says, as `new` saw to; the outputs have room for all
        // channels at four places. The weights are aligned, because the image check saw to it.
        unsafe { run(self.weights.as_ptr(), tile, target, whole) };
        if let Some(odd) = odd {
            // The last pair repeats one channel, so it stands one channel further left.
            // SAFETY: as above.
            unsafe { run(whole.end, tile, target.add(self.outputs - 2), odd) };
        }
    }
}

/// The loop of 2 output channels x 4 pixels.
#[cfg(goldcrest_dsp)]
pub mod armv7em {
    use core::arch::naked_asm;

    use core::cell::Cell;

    use super::super::requantize::{plain, wide};
    use super::{Output, PIXELS};
    use crate::kernels::SMALL;

    /// The loops for the whole pairs of `outputs` channels and for an odd last one.
    pub fn calls(
        weights: &[i8],
        tile: &[Cell<u32>],
        outputs: usize,
        last: &Output,
    ) -> (Pairs, Call, Option<Call>) {
        let quads = tile.len() / (2 * PIXELS);
        let run: Pairs = match (last.is_wide() || SMALL, quads) {
            // The form for wide sums computes narrow ones too.
            (true, _) => wide,
            (false, 4) => four_quads,
            (false, _) => narrow,
        };
        let all = Call {
            pitch: outputs,
            end: weights.as_ptr_range().end,
            tile_end: tile.as_ptr_range().end.cast(),
            skipped: quads.wrapping_neg() % 4,
        };
        let whole = Call {
            end: weights.as_ptr().wrapping_add(weights.len() / outputs.div_ceil(2) * (outputs / 2)),
            ..all
        };
        (run, whole, (!outputs.is_multiple_of(2)).then_some(all))
    }

    /// A function of weights (r0), tile (r1), outputs (r2) and [`Call`] (r3).
    pub type Pairs = unsafe extern "C" fn(*const i8, *const u32, *mut i8, &Call);

    /// What the loop needs beside its pointers; the offsets stand in the code below.
    #[derive(Clone, Copy, Debug)]
    #[repr(C)]
    pub struct Call {
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Where the weights end.
        pub end: *const i8,
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
                "ldr r1, [sp, #12]\n",
                "ldr pc, [sp, #20]\n",
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
                "ldr r2, [sp, #16]\n",
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
                    // [sp]: outputs, pitch, end of the weights, tile, its end, the first round's start.
                    "sub sp, sp, #24",
                    "ldm r3, {{r4, r5, r7, r8}}",
                    "stm sp, {{r2, r4, r5}}",
                    "sub r2, r1, r8, lsl #5",
                    "strd r2, r7, [sp, #12]",
                    start!($sums),
                    "str r4, [sp, #20]",
                    "2:", // One pair of output channels.
                    $sums!(),
                    "ldm r0!, {{r2, r3, r12}}",
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
                    "ldm sp, {{r2, r3, r12}}",
                    "strh r6, [r2, r3]",
                    "strh r5, [r2, r3, lsl #1]",
                    "add r3, r3, r3, lsl #1",
                    "strh r4, [r2, r3]",
                    "strh r7, [r2], #2",
                    "str r2, [sp]",
                    "cmp r0, r12",
                    "bne 2b",
                    "add sp, sp, #24",
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
