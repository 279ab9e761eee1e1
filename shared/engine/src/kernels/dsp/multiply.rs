//! All output channels of four pixels: a tile of patches times the weights of a layer.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::output::Output;
use super::PIXELS;
#[cfg(not(goldcrest_dsp))]
use super::pair;
use crate::engine::part;
use crate::image::Layer;

/// Bytes of a pair of channels beside its weights: where both sums start, both multipliers, and what is
/// added to products before the shift.
const CONSTANTS: usize = 20;

/// Bytes of weights and constants of a pair of channels whose patches have `quads` groups of four values.
pub fn pair_bytes<const BITS: usize>(quads: u64) -> u64 {
    // Four taps of two channels.
    quads.saturating_mul(BITS as u64).saturating_add(CONSTANTS as u64)
}

/// The weights and constants of a layer, ready to meet its tiles.
#[derive(Debug)]
pub struct Multiply<'a, const BITS: usize> {
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

impl<'a, const BITS: usize> Multiply<'a, BITS> {
    /// The product of a layer with tiles of `quads` groups of four values; `None` when weights or tile are
    /// not as long as that.
    pub fn new(layer: &Layer<'a>, last: &Output, quads: usize, tile: &'a [Cell<u32>]) -> Option<Self> {
        let outputs = layer.record.output.shape.channels;
        let weights = part(layer.weights, 0, outputs.div_ceil(2) * pair_bytes::<BITS>(quads as u64) as usize);
        let tile = part(tile, 0, quads * 2 * PIXELS);
        if outputs < 2 || weights.is_empty() || tile.is_empty() {
            return None;
        }
        #[cfg(not(goldcrest_dsp))]
        return Some(Self { weights, tile, outputs, last: *last, quads });
        #[cfg(goldcrest_dsp)]
        return Some(Self {
            weights,
            tile,
            outputs,
            calls: armv7em::calls::<BITS>(weights, tile, outputs, last),
        });
    }

    /// Writes the outputs of four pixels, HWC, saturated but not bounded.
    #[cfg(not(goldcrest_dsp))]
    pub fn run(&self, outputs: &[Cell<i8>]) {
        use super::super::simd::set;
        let bytes = pair_bytes::<BITS>(self.quads as u64) as usize;
        let word = |bytes: &[i8; 4]| u32::from_le_bytes(bytes.map(|byte| byte as u8));
        for (pair, weights) in self.weights.chunks_exact(bytes.max(1)).enumerate() {
            // An odd last pair repeats one channel, so it stands one channel further left.
            let channel = (2 * pair).min(self.outputs - 2);
            let [low, both, rest @ ..] = weights.as_chunks::<4>().0 else { return };
            // The rounding is for the loop in assembly; a forged image may have another.
            let Some((weights, [first, second, _rounding])) = rest.split_last_chunk() else { return };
            for pixel in 0..PIXELS {
                let starts = [word(low) as i32, word(both) as i32];
                let values = self.tile.iter().skip(pixel).step_by(PIXELS).map(Cell::get);
                let [low, high] = pair::sums::<BITS>(starts, weights.iter().map(word), values);
                let place = pixel * self.outputs + channel;
                set(outputs, place, self.last.saturated(low, word(first) as i32));
                set(outputs, place + 1, self.last.saturated(high, word(second) as i32));
            }
        }
    }

    /// The weights, the loop over them, and what it needs for all whole pairs of channels and for an odd last
    /// one.
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
    pub fn calls<const BITS: usize>(
        weights: &[i8],
        tile: &[Cell<u32>],
        outputs: usize,
        last: &Output,
    ) -> (Pairs, Call, Option<Call>) {
        let quads = tile.len() / (2 * PIXELS);
        // The form for wide sums computes narrow ones too.
        let run: Pairs = match (BITS, last.is_wide() || SMALL, quads) {
            (4, true, _) => four_bits_wide,
            (4, false, _) => four_bits,
            (_, true, _) => wide,
            (_, false, 2) => two_quads,
            (_, false, 4) => four_quads,
            (_, false, _) => narrow,
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
        (
            $i:literal, $j:literal,
            [$a:literal, $b:literal, $c:literal, $d:literal],
            [$e:literal, $f:literal, $g:literal, $h:literal]
        ) => {
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

    /// Four taps of four pixels with weights of four bits, from a word whose bytes are `16 b + a + 8`;
    /// registers as above, the sums of channel a eight times the sum of the values larger. `$h` to `$k` are
    /// offsets of tile words.
    macro_rules! four_bit_taps {
        ($h:literal, $i:literal, $j:literal, $k:literal) => {
            concat!(
                "ldr.w r3, [r0]\n",
                "sxtb16 r2, r3\n",
                "and r3, r3, #0x000f000f\n",
                four_bit_taps!($h, $i),
                "ldr r3, [r0], #4\n",
                "sxtb16 r2, r3, ror #8\n",
                "and r3, r2, #0x000f000f\n",
                four_bit_taps!($j, $k),
            )
        };
        ($i:literal, $j:literal) => {
            concat!(
                "ldrd r12, lr, [r1, #",
                $i,
                "]\n",
                "smlad r11, r2, r12, r11\n",
                "smlad r7, r3, r12, r7\n",
                "smlad r10, r2, lr, r10\n",
                "smlad r6, r3, lr, r6\n",
                "ldrd r12, lr, [r1, #",
                $j,
                "]\n",
                "smlad r9, r2, r12, r9\n",
                "smlad r5, r3, r12, r5\n",
                "smlad r8, r2, lr, r8\n",
                "smlad r4, r3, lr, r4\n",
            )
        };
    }

    /// Any number of groups of four taps, four in a round. The first round starts behind those that
    /// fill it up; every group has the same number of bytes.
    macro_rules! rounds {
        () => {
            rounds!(
                [taps!(0, 8), taps_by_word!(16, 20, 24)],
                taps!(32, 40),
                taps_by_word!(48, 52, 56),
                taps!(64, 72),
                taps_by_word!(80, 84, 88),
                taps!(96, 104),
                taps_by_word!(112, 116, 120)
            )
        };
        ([$($first:expr),+], $($others:expr),+) => {
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
                $($first,)+
                "4:\n",
                $($others,)+
                "ldr r2, [sp, #16]\n",
                "add r1, r1, #128\n",
                "cmp r1, r2\n",
                "bne 3b\n",
            )
        };
    }

    /// The same with weights of four bits.
    macro_rules! four_bit_rounds {
        () => {
            rounds!(
                [four_bit_taps!(0, 8, 16, 24)],
                four_bit_taps!(32, 40, 48, 56),
                four_bit_taps!(64, 72, 80, 88),
                four_bit_taps!(96, 104, 112, 120)
            )
        };
    }

    /// Two groups of four taps. The first products are added to where the sums start.
    macro_rules! two_groups {
        () => {
            concat!(
                "ldrd r4, r8, [r0], #8\n",
                taps!(0, 8, ["r4", "r4", "r4", "r4"], ["r8", "r8", "r8", "r8"]),
                taps!(16, 24),
                taps!(32, 40),
                taps!(48, 56),
            )
        };
    }

    /// Four groups of four taps, in the same way.
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
        ($(#[$doc:meta])* $name:ident, $bits:ident, $sums:ident, $requantize:ident) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(
                weights: *const i8, tile: *const u32, outputs: *mut i8, call: &Call
            ) {
                naked_asm!(
                    super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    // [sp]: outputs, pitch, end of the weights, tile, its end, the first round's start; with
                    // weights of four bits, for the four pixels from the last on, eight times the sum of the
                    // values.
                    "sub sp, sp, #40",
                    "ldm r3, {{r4, r5, r7, r8}}",
                    "stm sp, {{r2, r4, r5}}",
                    "sub r2, r1, r8, lsl #5",
                    "strd r2, r7, [sp, #12]",
                    start!($sums),
                    "str r4, [sp, #20]",
                    enter!($bits),
                    "2:", // One pair of output channels.
                    $sums!(),
                    "ldm r0!, {{r2, r3, r12}}",
                    // The other sums of the pair, `256 b` or `16 b`, modulo 2^32.
                    "subs r8, r8, r4",
                    "subs r9, r9, r5",
                    "subs r10, r10, r6",
                    "subs r11, r11, r7",
                    part!($bits),
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
                    "add sp, sp, #40",
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
        (four_bit_rounds) => {
            start!(rounds)
        };
        (two_groups) => {
            ""
        };
        (four_groups) => {
            ""
        };
    }

    /// What is done once per tile.
    macro_rules! enter {
        (eight) => {
            ""
        };
        (four) => {
            concat!(
                "ldr lr, [sp, #16]\n",
                "mov r12, #0x00080008\n",
                "movs r2, #0\n",
                "movs r3, #0\n",
                "movs r4, #0\n",
                "movs r5, #0\n",
                "6:\n",
                "ldm r1!, {{r6-r9}}\n",
                "smlad r2, r6, r12, r2\n",
                "smlad r3, r7, r12, r3\n",
                "smlad r4, r8, r12, r4\n",
                "smlad r5, r9, r12, r5\n",
                "ldm r1!, {{r6-r9}}\n",
                "smlad r2, r6, r12, r2\n",
                "smlad r3, r7, r12, r3\n",
                "smlad r4, r8, r12, r4\n",
                "smlad r5, r9, r12, r5\n",
                "cmp r1, lr\n",
                "bne 6b\n",
                "strd r5, r4, [sp, #24]\n",
                "strd r3, r2, [sp, #32]\n",
            )
        };
    }

    /// Brings the sums of a pair to their size.
    macro_rules! part {
        (eight) => {
            "asr r8, r8, #8\nasr r9, r9, #8\nasr r10, r10, #8\nasr r11, r11, #8\n"
        };
        (four) => {
            concat!(
                "asr r8, r8, #4\nasr r9, r9, #4\nasr r10, r10, #4\nasr r11, r11, #4\n",
                "ldrd lr, r1, [sp, #24]\n",
                "subs r4, r4, lr\n",
                "subs r5, r5, r1\n",
                "ldrd lr, r1, [sp, #32]\n",
                "subs r6, r6, lr\n",
                "subs r7, r7, r1\n",
            )
        };
    }

    pairs!(
        /// Outputs that need 32 bits.
        narrow, eight, rounds, plain
    );
    pairs!(
        /// Outputs that may need 64 bits.
        wide, eight, rounds, wide
    );
    pairs!(
        /// Outputs of two groups of four taps that need 32 bits.
        two_quads, eight, two_groups, plain
    );
    pairs!(
        /// Outputs of four groups of four taps that need 32 bits.
        four_quads, eight, four_groups, plain
    );
    pairs!(
        /// Weights of four bits, outputs that need 32 bits.
        four_bits, four, four_bit_rounds, plain
    );
    pairs!(
        /// Weights of four bits, outputs that may need 64 bits.
        four_bits_wide, four, four_bit_rounds, wide
    );
}
