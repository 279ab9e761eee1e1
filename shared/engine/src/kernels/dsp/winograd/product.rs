//! Transformed tiles times transformed weights, and back to outputs.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::super::output::Output;
#[cfg(goldcrest_dsp)]
use super::BAND;
use super::input::Tiles;
use super::{POSITIONS, TILES};
use crate::engine::part;
use crate::image::Layer;

/// Bytes of a pair of channels beside its weights: where both sums start, and both multipliers.
const CONSTANTS: usize = 16;
/// Sums of one position: two channels of each tile.
const LANES: usize = 2 * TILES;

/// The weights of a layer, ready to meet tiles.
#[derive(Debug)]
pub struct Product<'a> {
    weights: &'a [i8],
    /// Scratch memory for the sums of one pair of channels, `[position][channel][tile]`.
    sums: &'a [Cell<u32>],
    last: Output,
    /// Groups of four input channels.
    quads: usize,
    /// Output channels.
    outputs: usize,
}

impl<'a> Product<'a> {
    /// Scratch bytes.
    pub const BYTES: u64 = (4 * POSITIONS * LANES) as u64;

    /// Bytes of weights and constants of a pair of output channels.
    pub fn pair_bytes(quads: usize) -> u64 {
        (quads as u64).saturating_mul((POSITIONS * 16) as u64).saturating_add(CONSTANTS as u64)
    }

    /// The product of a layer with `quads` groups of four input channels.
    pub fn new(layer: &Layer<'a>, last: &Output, quads: usize, sums: &'a [Cell<u32>]) -> Self {
        let outputs = layer.record.output.shape.channels;
        Self { weights: layer.weights, sums, last: *last, quads, outputs }
    }

    /// Writes two rows of eight outputs, HWC, `row` bytes apart, saturated but not bounded.
    pub fn run(&self, tiles: &Tiles<'_>, outputs: &[Cell<i8>], row: usize) {
        self.pairs(tiles.words(), outputs, row, 0, self.outputs / 2, 0);
        if !self.outputs.is_multiple_of(2) {
            // The last pair repeats one channel, so it stands one channel further left.
            self.pairs(tiles.words(), outputs, row, self.outputs / 2, 1, self.outputs - 2);
        }
    }

    /// `count` pairs from pair `first` on, into the channels from `channel` on.
    #[cfg(not(goldcrest_dsp))]
    fn pairs(
        &self,
        tiles: &[Cell<u32>],
        outputs: &[Cell<i8>],
        row: usize,
        first: usize,
        count: usize,
        channel: usize,
    ) {
        use super::super::super::simd::{get, multiply_add, set};
        let bytes = Self::pair_bytes(self.quads) as usize;
        let word = |bytes: &[i8; 4]| u32::from_le_bytes(bytes.map(|byte| byte as u8));
        let channels = 2 * self.quads;
        for pair in 0..count {
            let words = part(self.weights, (first + pair) * bytes, bytes).as_chunks::<4>().0;
            let Some((constants, weights)) = words.split_first_chunk::<4>() else { return };
            let [first_bias, second_bias, first_multiplier, second_multiplier] =
                constants.map(|constant| word(&constant) as i32);
            for position in 0..POSITIONS {
                let weights = part(weights, position * 2 * channels, 2 * channels).as_chunks::<2>().0;
                let tiles = part(tiles, position * channels * TILES, channels * TILES).as_chunks::<TILES>().0;
                let mut sums = [[0; TILES]; 2];
                for (weights, values) in weights.iter().zip(tiles) {
                    for (sums, weight) in sums.iter_mut().zip(weights.each_ref().map(word)) {
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = multiply_add(*sum, weight, value.get());
                        }
                    }
                }
                let target = part(self.sums, position * LANES, LANES);
                target.iter().zip(sums.as_flattened()).for_each(|(to, &sum)| to.set(sum as u32));
            }
            let outputs_of = [(first_bias, first_multiplier), (second_bias, second_multiplier)];
            for (output, (bias, multiplier)) in outputs_of.into_iter().enumerate() {
                for tile in 0..TILES {
                    let sum =
                        |position: usize| get(self.sums, position * LANES + output * TILES + tile) as i32;
                    let across = |[a, b, c, d]: [i32; 4]| {
                        [a.wrapping_add(b).wrapping_add(c), b.wrapping_sub(c).wrapping_sub(d)]
                    };
                    let rows = [0, 4, 8, 12].map(|row| across([0, 1, 2, 3].map(|column| sum(row + column))));
                    let left = across(rows.map(|[left, _]| left));
                    let right = across(rows.map(|[_, right]| right));
                    for (column, sums) in [left, right].into_iter().enumerate() {
                        for (down, sum) in sums.into_iter().enumerate() {
                            let sum = sum.wrapping_add(bias) >> 2;
                            let at =
                                down * row + (2 * tile + column) * self.outputs + channel + 2 * pair + output;
                            set(outputs, at, self.last.saturated(sum, multiplier));
                        }
                    }
                }
            }
        }
    }

    /// `count` pairs from pair `first` on, into the channels from `channel` on.
    #[cfg(goldcrest_dsp)]
    fn pairs(
        &self,
        tiles: &[Cell<u32>],
        outputs: &[Cell<i8>],
        row: usize,
        first: usize,
        count: usize,
        channel: usize,
    ) {
        let bytes = Self::pair_bytes(self.quads) as usize;
        let weights = part(self.weights, first * bytes, count * bytes);
        let tiles = part(tiles, 0, POSITIONS * 2 * self.quads * TILES);
        let sums = part(self.sums, 0, POSITIONS * LANES);
        let target = outputs.get(channel..).unwrap_or_default();
        let reach = row + (BAND[1] - 1) * self.outputs + 2 * count;
        if weights.is_empty() || tiles.is_empty() || sums.is_empty() || target.len() < reach {
            return;
        }
        let call = armv7em::Call {
            sums: sums.as_ptr().cast_mut().cast(),
            end: weights.as_ptr_range().end,
            pitch: self.outputs,
            row,
            rounding: self.last.rounding(),
            stride: 32 * self.quads,
            skipped: if self.quads == 1 { 4 } else { 1usize.wrapping_sub(self.quads) % 4 },
        };
        let run = match (self.last.is_wide(), self.quads) {
            (true, _) => armv7em::wide,
            (false, 4) => armv7em::four_quads,
            (false, _) => armv7em::narrow,
        };
        // SAFETY: the slices hold what the function reads and writes: `count` pairs of channels, the
        // transformed tiles, the sums of all positions, and two values at each of eight places `pitch` apart
        // in two rows. The weights are aligned, because the image check saw to it.
        unsafe { run(weights.as_ptr(), tiles.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
    }
}

/// The loop of 2 output channels x 4 tiles.
#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    use super::super::super::requantize::{plain, wide};

    /// What the loop needs beside its pointers; the offsets stand in the code below.
    #[repr(C)]
    pub struct Call {
        /// Where sums are kept.
        pub sums: *mut u32,
        /// Where the weights end.
        pub end: *const i8,
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Bytes from one row of the output to the next.
        pub row: usize,
        /// `0x7fff` plus the zero point in the upper half.
        pub rounding: i32,
        /// Bytes of a position of the tiles.
        pub stride: usize,
        /// Groups of four channels that the first round of the loop leaves out, 0 to 4, beside the first
        /// group.
        pub skipped: usize,
    }

    /// Two channels of four tiles: r0 weights, r1 tiles, r4-r7 sums of output channel a, r8-r11 of b.
    macro_rules! channels {
        () => {
            concat!(
                "ldrd r2, r3, [r0], #8\n",
                "ldrd r12, lr, [r1], #8\n",
                "smlad r4, r2, r12, r4\n",
                "smlad r8, r3, r12, r8\n",
                "smlad r5, r2, lr, r5\n",
                "smlad r9, r3, lr, r9\n",
                "ldrd r12, lr, [r1], #8\n",
                "smlad r6, r2, r12, r6\n",
                "smlad r10, r3, r12, r10\n",
                "smlad r7, r2, lr, r7\n",
                "smlad r11, r3, lr, r11\n",
            )
        };
    }

    /// The first two channels.
    macro_rules! first_channels {
        () => {
            concat!(
                "ldrd r2, r3, [r0], #8\n",
                "ldrd r12, lr, [r1], #8\n",
                "smuad r4, r2, r12\n",
                "smuad r8, r3, r12\n",
                "smuad r5, r2, lr\n",
                "smuad r9, r3, lr\n",
                "ldrd r12, lr, [r1], #8\n",
                "smuad r6, r2, r12\n",
                "smuad r10, r3, r12\n",
                "smuad r7, r2, lr\n",
                "smuad r11, r3, lr\n",
            )
        };
    }

    /// Any number of groups of four channels, four in a round. The first round starts behind those that
    /// fill it up; every group has the same number of bytes.
    macro_rules! rounds {
        () => {
            concat!(
                "ldr r2, [sp, #36]\n",
                "add r2, r1\n",
                "str r2, [sp, #40]\n",
                first_channels!(),
                channels!(),
                "ldr pc, [sp, #44]\n",
                ".balign 4\n",
                "4:\n",
                channels!(),
                channels!(),
                "5:\n",
                channels!(),
                channels!(),
                channels!(),
                channels!(),
                channels!(),
                channels!(),
                "ldr r2, [sp, #40]\n",
                "cmp r1, r2\n",
                "bne 4b\n",
            )
        };
    }

    /// Four groups of four channels.
    macro_rules! four_groups {
        () => {
            concat!(
                first_channels!(),
                channels!(),
                channels!(),
                channels!(),
                channels!(),
                channels!(),
                channels!(),
                channels!(),
            )
        };
    }

    /// Where the first round starts (r4), from the groups it leaves out (r11).
    macro_rules! start {
        (rounds) => {
            "adr r4, 4f\nadr r5, 5f\nsubs r5, r5, r4\nmla r4, r5, r11, r4\nadds r4, #1\n"
        };
        (four_groups) => {
            ""
        };
    }

    /// Across a row of two tiles, `A` applied from the right: `$a`, `$b` the left outputs, `$c`, `$d` the
    /// right ones; r0 sums, r1, r2, r3, r12 are overwritten. `$start` adds where the sums start.
    macro_rules! new_row {
        (
            $m0:literal, $m1:literal, $m2:literal, $m3:literal,
            $a:literal, $b:literal, $c:literal, $d:literal, $start:expr
        ) => {
            concat!(
                "ldrd r1, r2, [r0, #",
                $m1,
                "]\n",
                "ldrd r3, r12, [r0, #",
                $m2,
                "]\n",
                $start,
                "add ",
                $a,
                ", r1, r3\n",
                "add ",
                $b,
                ", r2, r12\n",
                "sub ",
                $c,
                ", r1, r3\n",
                "sub ",
                $d,
                ", r2, r12\n",
                "ldrd r1, r2, [r0, #",
                $m0,
                "]\n",
                "ldrd r3, r12, [r0, #",
                $m3,
                "]\n",
                "add ",
                $a,
                ", ",
                $a,
                ", r1\n",
                "add ",
                $b,
                ", ",
                $b,
                ", r2\n",
                "sub ",
                $c,
                ", ",
                $c,
                ", r3\n",
                "sub ",
                $d,
                ", ",
                $d,
                ", r12\n",
            )
        };
    }

    /// The same into lr, r3 (left), r1, r2 (right).
    macro_rules! row {
        ($m0:literal, $m0b:literal, $m1:literal, $m2:literal, $m3:literal, $m3b:literal) => {
            concat!(
                "ldrd r1, r2, [r0, #",
                $m1,
                "]\n",
                "ldrd r3, r12, [r0, #",
                $m2,
                "]\n",
                "add lr, r1, r3\n",
                "subs r1, r1, r3\n",
                "add r3, r2, r12\n",
                "sub r2, r2, r12\n",
                "ldr r12, [r0, #",
                $m0,
                "]\n",
                "add lr, r12\n",
                "ldr r12, [r0, #",
                $m0b,
                "]\n",
                "add r3, r12\n",
                "ldr r12, [r0, #",
                $m3,
                "]\n",
                "sub r1, r1, r12\n",
                "ldr r12, [r0, #",
                $m3b,
                "]\n",
                "sub r2, r2, r12\n",
            )
        };
    }

    /// A function of weights (r0), tiles (r1), outputs (r2) and [`Call`] (r3).
    macro_rules! pairs {
        ($(#[$doc:meta])* $name:ident, $sums:ident, $requantize:ident) => {
            $(#[$doc])*
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name(
                weights: *const i8, tiles: *const u32, outputs: *mut i8, call: &Call
            ) {
                naked_asm!(
                    super::super::super::cpu!(),
                    "push {{r4-r11, lr}}",
                    // [sp]: tiles, sums, place of sums (then weights), end of sums, end of the weights,
                    // output, pitch, row, rounding, stride, end of the position, the first round's start,
                    // constants, lane.
                    "sub sp, sp, #56",
                    "ldm r3, {{r4, r5, r6, r7, r8, r9, r11}}",
                    "strd r1, r4, [sp]",
                    "add r4, r4, #512",
                    "strd r4, r5, [sp, #12]",
                    "strd r2, r6, [sp, #20]",
                    "strd r7, r8, [sp, #28]",
                    "str r9, [sp, #36]",
                    start!($sums),
                    "str r4, [sp, #44]",
                    "2:", // One pair of output channels.
                    "str r0, [sp, #48]",
                    "adds r0, #16",
                    "ldrd r1, r2, [sp]",
                    "str r2, [sp, #8]",
                    "3:", // One position.
                    $sums!(),
                    "ldrd r2, r3, [sp, #8]",
                    "stm r2!, {{r4-r11}}",
                    "str r2, [sp, #8]",
                    "cmp r2, r3",
                    "bne 3b",
                    "str r0, [sp, #8]",
                    "movs r1, #0",
                    "str r1, [sp, #52]",
                    "ldr r0, [sp, #4]",
                    // Two tiles of one channel. r4, r5 upper left outputs, r6, r7 upper right, r8-r11 lower.
                    "6:",
                    new_row!(0, 32, 64, 96, "r4", "r5", "r6", "r7", ""),
                    new_row!(128, 160, 192, 224, "r8", "r9", "r10", "r11", concat!(
                        "ldr lr, [sp, #48]\n",
                        "ldr lr, [lr]\n",
                        "add r1, lr\n",
                        "add r2, lr\n",
                    )),
                    "add r4, r8",
                    "add r5, r9",
                    "add r6, r10",
                    "add r7, r11",
                    row!(256, 260, 288, 320, 352, 356),
                    "add r4, lr",
                    "add r5, r3",
                    "add r6, r1",
                    "add r7, r2",
                    "sub r8, r8, lr",
                    "sub r9, r9, r3",
                    "sub r10, r10, r1",
                    "sub r11, r11, r2",
                    row!(384, 388, 416, 448, 480, 484),
                    "sub r8, r8, lr",
                    "sub r9, r9, r3",
                    "sub r10, r10, r1",
                    "sub r11, r11, r2",
                    "ldr r2, [sp, #48]",
                    "ldr r3, [sp, #32]",
                    "ldr r2, [r2, #8]",
                    // Four times the sums of the convolution, exactly.
                    "asrs r4, r4, #2",
                    "asrs r5, r5, #2",
                    "asrs r6, r6, #2",
                    "asrs r7, r7, #2",
                    "asr r8, r8, #2",
                    "asr r9, r9, #2",
                    "asr r10, r10, #2",
                    "asr r11, r11, #2",
                    $requantize!("r4", "r2", "r3", "r1", "r12"),
                    $requantize!("r5", "r2", "r3", "r1", "r12"),
                    $requantize!("r6", "r2", "r3", "r1", "r12"),
                    $requantize!("r7", "r2", "r3", "r1", "r12"),
                    $requantize!("r8", "r2", "r3", "r1", "r12"),
                    $requantize!("r9", "r2", "r3", "r1", "r12"),
                    $requantize!("r10", "r2", "r3", "r1", "r12"),
                    $requantize!("r11", "r2", "r3", "r1", "r12"),
                    // The upper bit of the lane is the channel, the lower one the second two tiles.
                    "ldrd r12, lr, [sp, #20]",
                    "ldr r3, [sp, #52]",
                    "ldr r1, [sp, #28]",
                    "add r12, r12, r3, lsr #1",
                    "lsls r2, r3, #31",
                    "it ne",
                    "addne r12, r12, lr, lsl #2",
                    "add r1, r12",
                    "strb r4, [r12]",
                    "strb r6, [r12, lr]",
                    "strb r5, [r12, lr, lsl #1]",
                    "strb r8, [r1]",
                    "strb r10, [r1, lr]",
                    "strb r9, [r1, lr, lsl #1]",
                    "add lr, lr, lr, lsl #1",
                    "strb r7, [r12, lr]",
                    "strb r11, [r1, lr]",
                    "adds r0, #8",
                    "adds r3, #1",
                    "str r3, [sp, #52]",
                    "cmp r3, #2",
                    "ittt eq",
                    "ldreq r2, [sp, #48]",
                    "addeq r2, #4",
                    "streq r2, [sp, #48]",
                    "cmp r3, #4",
                    "bne 6b",
                    "ldr r0, [sp, #8]",
                    "ldr r1, [sp, #16]",
                    "ldr r2, [sp, #20]",
                    "adds r2, #2",
                    "str r2, [sp, #20]",
                    "cmp r0, r1",
                    "bne 2b",
                    "add sp, sp, #56",
                    "pop {{r4-r11, pc}}",
                )
            }
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
        /// Outputs of four groups of four input channels that need 32 bits.
        four_quads, four_groups, plain
    );
}
