//! All output channels of four pixels: a tile of patches times the weights of a layer.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::output::Output;
use super::patch::PIXELS;
use crate::engine::part;
use crate::image::{Channel, Layer};

/// The weights and constants of a layer, ready to meet tiles.
#[derive(Debug)]
pub struct Multiply<'a> {
    weights: &'a [i8],
    channels: &'a [Channel],
    last: Output,
    /// Groups of four values in a patch.
    quads: usize,
    /// Output channels.
    outputs: usize,
}

impl<'a> Multiply<'a> {
    /// The product of a layer whose patches have `quads` groups of four values.
    pub fn new(layer: &Layer<'a>, last: &Output, quads: usize, outputs: usize) -> Self {
        let pairs = outputs.div_ceil(2);
        Self {
            weights: part(layer.weights, 0, pairs * quads * 8),
            channels: part(layer.channels, 0, pairs * 2),
            last: *last,
            quads,
            outputs,
        }
    }

    /// Writes the outputs of four pixels, HWC.
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
        for pair in 0..count {
            let weights = part(self.weights, (first + pair) * self.quads * 8, self.quads * 8);
            let channels = part(self.channels, (first + pair) * 2, 2);
            let [a, b] = [channels[0], channels[1]];
            for pixel in 0..PIXELS {
                let (mut low, mut both) = (a.bias, b.bias);
                let values = tile.iter().skip(pixel).step_by(PIXELS);
                for (weight, value) in weights.as_chunks::<4>().0.iter().zip(values) {
                    let weight = u32::from_le_bytes(weight.map(|byte| byte as u8));
                    low = multiply_add(low, even(weight), value.get());
                    both = multiply_add(both, weight, value.get());
                }
                let high = both.wrapping_sub(low) >> 8;
                let at = pixel * self.outputs + channel + 2 * pair;
                let place = part(outputs, at, 2);
                place[0].set(self.last.value(low, a.multiplier));
                place[1].set(self.last.value(high, b.multiplier));
            }
        }
    }

    /// `count` pairs from pair `first` on, into the channels from `channel` on.
    #[cfg(goldcrest_dsp)]
    #[inline]
    fn pairs(&self, tile: &[Cell<u32>], outputs: &[Cell<i8>], first: usize, count: usize, channel: usize) {
        let weights = self.weights.get(first * self.quads * 8..).unwrap_or_default();
        let channels = self.channels.get(first * 2..).unwrap_or_default();
        let target = outputs.get(channel..).unwrap_or_default();
        let plain = self.last.is_plain();
        let [zero, low, high] = self.last.bounds();
        let fits = weights.len() >= count * self.quads * 8
            && channels.len() >= count * 2
            && target.len() >= (PIXELS - 1) * self.outputs + 2 * count;
        if !fits || count == 0 {
            return;
        }
        let call = armv7em::Call {
            channels: channels.as_ptr(),
            block: self.quads / 4 * 32,
            rest: self.quads % 4 * 8,
            pitch: self.outputs,
            pairs: count,
            rounding: 0x7fff + if plain { zero << 16 } else { 0 },
            zero,
            low,
            high,
        };
        let run = if plain { armv7em::plain } else { armv7em::bounded };
        // SAFETY: the slices hold what the function reads and writes: `count * quads` pairs of words of
        // weights, as many channel pairs, `quads` groups of 8 words of tile (`run` looked), and two values at
        // each of four places `pitch` apart. Weights and channels are aligned, because the image
        // check saw to it.
        unsafe { run(weights.as_ptr(), tile.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
    }
}

/// The loop of 2 output channels x 4 pixels.
#[cfg(goldcrest_dsp)]
mod armv7em {
    use crate::image::Channel;
    use core::arch::naked_asm;

    /// What the loop needs beside its pointers; the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        /// Constants of the pairs.
        pub channels: *const Channel,
        /// Bytes of a pair's weights that whole rounds of the loop consume.
        pub block: usize,
        /// Bytes behind them.
        pub rest: usize,
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Pairs of output channels.
        pub pairs: usize,
        /// `0x7fff`, in the plain form plus the zero point in the upper half.
        pub rounding: i32,
        /// Zero point and bounds of the output, in the bounded form.
        pub zero: i32,
        pub low: i32,
        pub high: i32,
    }

    /// Two taps of four pixels. r0 weights, r1 tile, r4-r7 sums of channel a, r8-r11 of `256 b + a`;
    /// `$i` is the offset of the tile words.
    macro_rules! taps {
        ($i:literal, $j:literal) => {
            concat!(
                "ldrd r12, lr, [r1, #",
                $i,
                "]\n",
                "ldr r3, [r0], #4\n",
                "sxtb16 r2, r3\n",
                "smlad r8, r3, r12, r8\n",
                "smlad r4, r2, r12, r4\n",
                "smlad r9, r3, lr, r9\n",
                "smlad r5, r2, lr, r5\n",
                "ldrd r12, lr, [r1, #",
                $j,
                "]\n",
                "smlad r10, r3, r12, r10\n",
                "smlad r6, r2, r12, r6\n",
                "smlad r11, r3, lr, r11\n",
                "smlad r7, r2, lr, r7\n",
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
                "smlad r8, r3, r12, r8\n",
                "smlad r4, r2, r12, r4\n",
                "smlad r9, r3, lr, r9\n",
                "smlad r5, r2, lr, r5\n",
                "ldrd r12, lr, [r1, #",
                $k,
                "]\n",
                "smlad r10, r3, r12, r10\n",
                "smlad r6, r2, r12, r6\n",
                "smlad r11, r3, lr, r11\n",
                "smlad r7, r2, lr, r7\n",
            )
        };
    }

    /// Requantizes a sum that is known not to overflow: r12 holds the rounding, lr is free.
    macro_rules! plain {
        ($value:literal, $multiplier:literal) => {
            concat!(
                "mul ",
                $value,
                ", ",
                $value,
                ", ",
                $multiplier,
                "\n",
                // Shifts bit 16, the parity of the quotient, into the carry.
                "lsls lr, ",
                $value,
                ", #16\n",
                "adc ",
                $value,
                ", ",
                $value,
                ", r12\n",
                "ssat ",
                $value,
                ", #8, ",
                $value,
                ", asr #16\n",
            )
        };
    }

    /// Requantizes any sum, with bounds: r12 holds the rounding, r1 and lr are free.
    macro_rules! bounded {
        ($value:literal, $multiplier:literal) => {
            concat!(
                "smull lr, r1, ",
                $value,
                ", ",
                $multiplier,
                "\n",
                "lsls ",
                $value,
                ", lr, #16\n",
                "adcs lr, lr, r12\n",
                "adc r1, r1, #0\n",
                "ssat r1, #16, r1\n",
                "lsr lr, lr, #16\n",
                "pkhbt ",
                $value,
                ", lr, r1, lsl #16\n",
                "ldr r1, [sp, #8]\n",
                "ldr lr, [r1, #24]\n",
                "qadd ",
                $value,
                ", ",
                $value,
                ", lr\n",
                "ldrd lr, r1, [r1, #28]\n",
                "cmp ",
                $value,
                ", lr\n",
                "it lt\n",
                "movlt ",
                $value,
                ", lr\n",
                "cmp ",
                $value,
                ", r1\n",
                "it gt\n",
                "movgt ",
                $value,
                ", r1\n",
            )
        };
    }

    /// A function of weights (r0), tile (r1), outputs (r2) and [`Call`] (r3).
    macro_rules! pairs {
        ($(#[$doc:meta])* $name:ident, $requantize:ident) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(weights: *const i8, tile: *const u32, outputs: *mut i8, call: &Call) {
                naked_asm!(
                    super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    // [sp]: tile, outputs, call, channels, pairs, end of the block, end of the pair.
                    "sub sp, sp, #28",
                    "ldr r4, [r3, #0]",
                    "ldr r5, [r3, #16]",
                    "stm sp, {{r1-r5}}",
                    "2:", // One pair of output channels.
                    "ldr r3, [sp, #8]",
                    "ldrd r2, r4, [r3, #4]",
                    "add r2, r2, r0",
                    "add r4, r4, r2",
                    "strd r2, r4, [sp, #20]",
                    "ldr r12, [sp, #12]",
                    "ldr r4, [r12]",
                    "ldr r8, [r12, #8]",
                    "mov r5, r4",
                    "mov r6, r4",
                    "mov r7, r4",
                    "mov r9, r8",
                    "mov r10, r8",
                    "mov r11, r8",
                    "ldr r1, [sp]",
                    "cmp r0, r2",
                    "beq 4f",
                    "3:", // Sixteen taps.
                    taps!(0, 8), taps_by_word!(16, 20, 24), taps!(32, 40), taps_by_word!(48, 52, 56),
                    taps!(64, 72), taps_by_word!(80, 84, 88), taps!(96, 104), taps_by_word!(112, 116, 120),
                    "ldr r2, [sp, #20]",
                    "add r1, r1, #128",
                    "cmp r0, r2",
                    "bne 3b",
                    "4:",
                    "ldr r2, [sp, #24]",
                    "cmp r0, r2",
                    "beq 6f",
                    "5:", // Four taps.
                    taps!(0, 8), taps!(16, 24),
                    "ldr r2, [sp, #24]",
                    "add r1, r1, #32",
                    "cmp r0, r2",
                    "bne 5b",
                    "6:", // From sums to outputs.
                    "ldr r1, [sp, #12]",
                    "ldr r2, [r1, #4]",
                    "ldr r3, [r1, #12]",
                    "adds r1, #16",
                    "str r1, [sp, #12]",
                    "ldr r1, [sp, #8]",
                    "ldr r12, [r1, #20]",
                    "subs r8, r8, r4",
                    "subs r9, r9, r5",
                    "subs r10, r10, r6",
                    "subs r11, r11, r7",
                    "asr r8, r8, #8",
                    "asr r9, r9, #8",
                    "asr r10, r10, #8",
                    "asr r11, r11, #8",
                    $requantize!("r4", "r2"),
                    $requantize!("r5", "r2"),
                    $requantize!("r6", "r2"),
                    $requantize!("r7", "r2"),
                    $requantize!("r8", "r3"),
                    $requantize!("r9", "r3"),
                    $requantize!("r10", "r3"),
                    $requantize!("r11", "r3"),
                    "bfi r4, r8, #8, #8",
                    "bfi r5, r9, #8, #8",
                    "bfi r6, r10, #8, #8",
                    "bfi r7, r11, #8, #8",
                    "ldr r1, [sp, #8]",
                    "ldr r2, [sp, #4]",
                    "ldr r3, [r1, #12]",
                    "ldr r1, [sp, #16]",
                    "strh r4, [r2]",
                    "strh r5, [r2, r3]",
                    "strh r6, [r2, r3, lsl #1]",
                    "add r3, r3, r3, lsl #1",
                    "strh r7, [r2, r3]",
                    "adds r2, #2",
                    "str r2, [sp, #4]",
                    "subs r1, #1",
                    "str r1, [sp, #16]",
                    "bne 2b",
                    "add sp, sp, #28",
                    "pop {{r4-r11, pc}}",
                )
            }
        };
    }

    pairs!(
        /// Outputs that need 32 bits and no bounds beyond saturation.
        plain, plain
    );
    pairs!(
        /// Any outputs.
        bounded, bounded
    );
}
