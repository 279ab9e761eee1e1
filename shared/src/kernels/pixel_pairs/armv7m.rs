//! The loop of Armv7-M: one output channel of four pixels, 11 instructions for 8 multiply-accumulates.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::multiply::CHANNELS;
use super::tile::PIXELS;

/// Two taps, of pair number `$pair` of a round. r0 tile, r1 weights; r8 and r10 totals, r9 and r11 upper
/// halves, r12 32768.
macro_rules! taps {
    ($first:literal, $second:literal) => {
        concat!(
            "ldm r0!, {{r2-r5}}\n",
            "ldrsb r6, [r1, #",
            $first,
            "]\n",
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
        "push {{r4-r11, lr}}",
        // [sp]: tile, its end in whole rounds of 16 taps, its end, sums, what rounding added.
        "sub sp, sp, #20",
        "ldr lr, [sp, #56]",
        "lsl r4, r3, #5",
        "add r6, r0, r4",
        "bic r4, r4, #127",
        "add r5, r0, r4",
        "str r0, [sp]",
        "strd r5, r6, [sp, #4]",
        "lsl r7, r3, #16",
        "rsbs r7, r7, #0",
        "strd r2, r7, [sp, #12]",
        "mov r12, #32768",
        "2:", // One channel.
        "ldr r8, [sp, #16]",
        "mov r9, #0",
        "mov r10, r8",
        "mov r11, #0",
        "ldrd r0, r2, [sp]",
        "cmp r0, r2",
        "beq 4f",
        "3:", // Sixteen taps.
        taps!(0, 1),
        taps!(8, 9),
        taps!(16, 17),
        taps!(24, 25),
        taps!(32, 33),
        taps!(40, 41),
        taps!(48, 49),
        taps!(56, 57),
        "ldr r2, [sp, #4]",
        "adds r1, #64",
        "cmp r0, r2",
        "bne 3b",
        "4:",
        "ldr r2, [sp, #8]",
        "cmp r0, r2",
        "beq 6f",
        "5:", // Four taps.
        taps!(0, 1),
        taps!(8, 9),
        "ldr r2, [sp, #8]",
        "adds r1, #16",
        "cmp r0, r2",
        "bne 5b",
        "6:",
        "sub r8, r8, r9, lsl #16",
        "sub r10, r10, r11, lsl #16",
        "ldr r2, [sp, #12]",
        "stm r2!, {{r8-r11}}",
        "str r2, [sp, #12]",
        // Back to the first tap, of the next channel.
        "ldr r2, [sp]",
        "subs r0, r0, r2",
        "sub r1, r1, r0, lsr #1",
        "adds r1, #2",
        "subs lr, lr, #1",
        "bne 2b",
        "add sp, sp, #20",
        "pop {{r4-r11, pc}}",
    )
}
