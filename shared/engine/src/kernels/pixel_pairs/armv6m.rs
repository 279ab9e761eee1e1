//! The loop of Armv6-M: one output channel of four pixels, 19 instructions for 8 multiply-accumulates.
//! Only the lower eight registers multiply, shift and load; the sums stand in the upper ones.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::multiply::CHANNELS;
use super::tile::PIXELS;

/// Two taps, whose weights stand at offset `$weights`. r0 tile, r1 weights; r8 and r10 totals, r9 and
/// r11 upper halves, r12 32768.
macro_rules! taps {
    ($weights:literal) => {
        concat!(
            "ldm r0!, {{r2-r5}}\n",
            "ldrh r6, [r1, #",
            $weights,
            "]\n",
            "lsls r7, r6, #16\n",
            "sxtb r6, r6\n",
            "asrs r7, r7, #24\n",
            "muls r2, r6, r2\n",
            "muls r3, r6, r3\n",
            "muls r4, r7, r4\n",
            "muls r5, r7, r5\n",
            "adds r2, r2, r4\n",
            "adds r3, r3, r5\n",
            "add r2, r12\n",
            "add r3, r12\n",
            "add r8, r2\n",
            "add r10, r3\n",
            "asrs r2, r2, #16\n",
            "asrs r3, r3, #16\n",
            "add r9, r2\n",
            "add r11, r3\n",
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
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        // [sp]: tile, its end in whole rounds of 16 taps, its end, sums, what rounding added; [sp, #56]:
        // count.
        "sub sp, #20",
        "lsls r4, r3, #5",
        "adds r6, r0, r4",
        "lsrs r5, r4, #7",
        "lsls r5, r5, #7",
        "adds r5, r0, r5",
        "str r0, [sp]",
        "str r5, [sp, #4]",
        "str r6, [sp, #8]",
        "str r2, [sp, #12]",
        "lsls r7, r3, #16",
        "rsbs r7, r7, #0",
        "str r7, [sp, #16]",
        "movs r4, #1",
        "lsls r4, r4, #15",
        "mov r12, r4",
        "2:", // One channel.
        "ldr r2, [sp, #16]",
        "mov r8, r2",
        "mov r10, r2",
        "movs r2, #0",
        "mov r9, r2",
        "mov r11, r2",
        "ldr r0, [sp]",
        "ldr r2, [sp, #4]",
        "mov lr, r2",
        "cmp r0, r2",
        "bne 3f",
        "b 4f",
        "3:", // Sixteen taps.
        taps!(0),
        taps!(8),
        taps!(16),
        taps!(24),
        taps!(32),
        taps!(40),
        taps!(48),
        taps!(56),
        "adds r1, #64",
        "cmp r0, lr",
        "beq 4f",
        "b 3b",
        "4:",
        "ldr r2, [sp, #8]",
        "mov lr, r2",
        "cmp r0, r2",
        "beq 6f",
        "5:", // Four taps.
        taps!(0),
        taps!(8),
        "adds r1, #16",
        "cmp r0, lr",
        "bne 5b",
        "6:",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "lsls r2, r5, #16",
        "subs r4, r4, r2",
        "lsls r2, r7, #16",
        "subs r6, r6, r2",
        "ldr r2, [sp, #12]",
        "stm r2!, {{r4-r7}}",
        "str r2, [sp, #12]",
        // Back to the first tap, of the next channel.
        "ldr r2, [sp]",
        "subs r0, r0, r2",
        "lsrs r0, r0, #1",
        "subs r1, r1, r0",
        "adds r1, #2",
        "ldr r2, [sp, #56]",
        "subs r2, #1",
        "str r2, [sp, #56]",
        "beq 7f",
        "b 2b",
        "7:",
        "add sp, #20",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}
