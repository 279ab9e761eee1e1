//! The loops of Armv7-M: one output channel of four pixels, 11 instructions for 8 multiply-accumulates.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::multiply::CHANNELS;
use super::tile::PIXELS;
use crate::image::Channel;

/// Two taps of four pixels as four words. r0 values, r4-r6 offsets of the other pixels, r2 tile.
macro_rules! words {
    () => {
        concat!(
            "ldrsb r7, [r0, r4]\n",
            "ldrsb r8, [r0, r5]\n",
            "ldrsb r11, [r0, r6]\n",
            "ldrsb r12, [r0], #1\n",
            "ldrsb r9, [r0, r4]\n",
            "ldrsb r10, [r0, r5]\n",
            "add r7, r12, r7, lsl #16\n",
            "add r8, r8, r11, lsl #16\n",
            "ldrsb r11, [r0, r6]\n",
            "ldrsb r12, [r0], #1\n",
            "add r9, r12, r9, lsl #16\n",
            "add r10, r10, r11, lsl #16\n",
            "stm r2!, {{r7-r10}}\n",
        )
    };
}

/// The words of `taps` taps; `offsets[1..]` lead from the first pixel to the others.
#[unsafe(naked)]
pub unsafe extern "C" fn pair(values: *const i8, offsets: &[usize; PIXELS], tile: *mut u32, taps: usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r4, [r1, #4]",
        "ldrd r5, r6, [r1, #8]",
        "lsrs lr, r3, #2",
        "beq 3f",
        "2:", // Four taps.
        words!(),
        words!(),
        "subs lr, #1",
        "bne 2b",
        "3:",
        "ands r3, r3, #3",
        "beq 5f",
        "4:", // One tap.
        "ldrsb r7, [r0, r4]",
        "ldrsb r8, [r0, r5]",
        "ldrsb r11, [r0, r6]",
        "ldrsb r12, [r0], #1",
        "add r7, r12, r7, lsl #16",
        "add r8, r8, r11, lsl #16",
        "stm r2!, {{r7, r8}}",
        "subs r3, #1",
        "bne 4b",
        "5:",
        "pop {{r4-r11, pc}}",
    )
}

/// Two taps, whose weights stand at `$first` (which may move r1) and `$second`. r0 tile, r1 weights; r8 and
/// r10 totals, r9 and r11 upper halves, r12 32768.
macro_rules! taps {
    ($first:literal, $second:literal) => {
        concat!(
            "ldm r0!, {{r2-r5}}\n",
            "ldrsb r6, [r1, #",
            $first,
            "\n",
            "ldrsb r7, [r1, #",
            $second,
            "]\n",
            "mla r2, r2, r6, r12\n",
            "mla r3, r3, r6, r12\n",
            "mla r2, r4, r7, r2\n",
            "mla r3, r5, r7, r3\n",
            "add r8, r8, r2\n",
            "add r9, r9, r2, asr #16\n",
            "add r10, r10, r3\n",
            "add r11, r11, r3, asr #16\n",
        )
    };
}

/// All taps of a channel. r1 starts 64 bytes before its weights and ends 16 bytes before the last ones;
/// the stack begins with the tile, its end in whole rounds of 16 taps, its end.
macro_rules! channel {
    () => {
        concat!(
            "ldrd r0, lr, [sp]\n",
            "cmp r0, lr\n",
            "beq 4f\n",
            "3:\n", // Sixteen taps.
            taps!("64]!", 1),
            taps!("8]", 9),
            taps!("16]", 17),
            taps!("24]", 25),
            taps!("32]", 33),
            taps!("40]", 41),
            taps!("48]", 49),
            taps!("56]", 57),
            "cmp r0, lr\n",
            "bne 3b\n",
            "4:\n",
            "ldr lr, [sp, #8]\n",
            "adds r1, #48\n",
            "cmp r0, lr\n",
            "beq 6f\n",
            "5:\n", // Four taps.
            taps!("16]!", 1),
            taps!("8]", 9),
            "cmp r0, lr\n",
            "bne 5b\n",
            "6:\n",
            "sub r8, r8, r9, lsl #16\n",
            "sub r10, r10, r11, lsl #16\n",
        )
    };
}

/// Puts the tile, its end in whole rounds of 16 taps and its end on a stack of 48 bytes, and what rounding
/// adds to the totals over r3 rounds behind them; r1 and r12 as [`channel`] and [`taps`] want them.
macro_rules! start {
    () => {
        concat!(
            "push {{r4-r11, lr}}\n",
            "sub sp, sp, #48\n",
            "lsl r4, r3, #5\n",
            "add r6, r0, r4\n",
            "bic r4, r4, #127\n",
            "add r5, r0, r4\n",
            "str r0, [sp]\n",
            "strd r5, r6, [sp, #4]\n",
            "lsl r3, r3, #16\n",
            "rsbs r3, r3, #0\n",
            "str r3, [sp, #12]\n",
            "subs r1, #64\n",
            "mov r12, #32768\n",
        )
    };
}

/// Sums of `count` > 0 channels over `rounds` > 0 times four taps.
#[unsafe(naked)]
pub unsafe extern "C" fn block(
    tile: *const u32,
    weights: *const i8,
    sums: &mut [[i32; PIXELS]; CHANNELS],
    rounds: usize,
    count: usize,
) {
    naked_asm!(
        start!(),
        // [sp, #16]: sums; [sp, #84]: count.
        "str r2, [sp, #16]",
        "2:", // One channel.
        "ldr r8, [sp, #12]",
        "mov r9, #0",
        "mov r10, r8",
        "mov r11, #0",
        channel!(),
        "ldr r2, [sp, #16]",
        "stm r2!, {{r8-r11}}",
        "str r2, [sp, #16]",
        // Back to the first tap, of the next channel.
        "ldr r2, [sp]",
        "subs r0, r0, r2",
        "sub r1, r1, r0, lsr #1",
        "subs r1, #46",
        "ldr r2, [sp, #84]",
        "subs r2, #1",
        "str r2, [sp, #84]",
        "bne 2b",
        "add sp, sp, #48",
        "pop {{r4-r11, pc}}",
    )
}

/// What [`plain_outputs`] needs beside its pointers; the offsets stand in the code below.
#[repr(C)]
pub struct Call {
    /// Constants of the channels.
    pub channels: *const Channel,
    /// Rounds of four taps, not 0.
    pub rounds: usize,
    /// Channels, not 0.
    pub count: usize,
    /// `0x7fff` plus the zero point in the upper half.
    pub rounding: i32,
    /// The first output of each pixel.
    pub targets: [*mut i8; PIXELS],
}

/// Requantizes a sum that is known not to overflow: r4 multiplier, r3 rounding, r5 is free.
macro_rules! requantize {
    ($value:literal) => {
        concat!(
            "mul ",
            $value,
            ", ",
            $value,
            ", r4\n",
            // Shifts bit 16, the parity of the quotient, into the carry.
            "lsls r5, ",
            $value,
            ", #16\n",
            "adc ",
            $value,
            ", ",
            $value,
            ", r3\n",
            "ssat ",
            $value,
            ", #8, ",
            $value,
            ", asr #16\n",
        )
    };
}

/// Outputs of all channels that need 32 bits and no bounds beyond saturation.
#[unsafe(naked)]
pub unsafe extern "C" fn plain_outputs(tile: *const u32, weights: *const i8, call: &Call) {
    naked_asm!(
        "ldr r3, [r2, #4]",
        start!(),
        // [sp, #16]: constants, rounding, channels done, channels, targets.
        "ldr r4, [r2]",
        "ldr r5, [r2, #12]",
        "movs r6, #0",
        "ldr r7, [r2, #8]",
        "add r3, sp, #16",
        "stm r3!, {{r4-r7}}",
        "adds r2, #16",
        "ldm r2, {{r4-r7}}",
        "stm r3, {{r4-r7}}",
        "2:", // One channel. Both halves start at the bias.
        "ldrd r8, r2, [sp, #12]",
        "ldr r9, [r2]",
        "add r8, r8, r9",
        "add r8, r8, r9, lsl #16",
        "mov r10, r8",
        "mov r11, r9",
        channel!(),
        "ldrd r2, r3, [sp, #16]",
        "ldr r4, [r2, #4]",
        "adds r2, #8",
        "str r2, [sp, #16]",
        requantize!("r8"),
        requantize!("r9"),
        requantize!("r10"),
        requantize!("r11"),
        "add r2, sp, #32",
        "ldm r2, {{r4-r7}}",
        "strb r8, [r4], #1",
        "strb r9, [r5], #1",
        "strb r10, [r6], #1",
        "strb r11, [r7], #1",
        "stm r2, {{r4-r7}}",
        "ldrd r2, r3, [sp, #24]",
        "adds r2, #1",
        "str r2, [sp, #24]",
        "cmp r2, r3",
        "beq 8f",
        "tst r2, #3",
        "beq 7f",
        // Back to the first tap, of the next channel.
        "ldr r4, [sp]",
        "subs r0, r0, r4",
        "sub r1, r1, r0, lsr #1",
        "subs r1, #46",
        "b 2b",
        "7:", // The next block.
        "subs r1, #54",
        "b 2b",
        "8:",
        "add sp, sp, #48",
        "pop {{r4-r11, pc}}",
    )
}
