//! Copies of rows, 64 bytes at a time: the compiler's own copies are meant for few bytes.
#![allow(unsafe_code)]

use core::arch::naked_asm;

/// Copies `bytes` bytes.
///
/// # Safety
/// Both blocks hold as many bytes and do not overlap.
#[unsafe(naked)]
pub unsafe extern "C" fn copy(to: *mut i8, from: *const i8, bytes: usize) {
    naked_asm!(
        super::cpu!(),
        "push {{r4-r9, lr}}",
        "orr r3, r0, r1",
        "lsls r3, r3, #30",
        // Words may stand anywhere, but blocks of them must be aligned.
        "bne 3f",
        "subs r2, #64",
        "blo 2f",
        "1:",
        "ldm r1!, {{r3-r9, lr}}",
        "subs r2, #64",
        "stm r0!, {{r3-r9, lr}}",
        "ldm r1!, {{r3-r9, lr}}",
        "stm r0!, {{r3-r9, lr}}",
        "bhs 1b",
        "2:",
        "adds r2, #64",
        "3:",
        "subs r2, #16",
        "blo 5f",
        "4:",
        "ldr r3, [r1], #4",
        "ldr r4, [r1], #4",
        "ldr r5, [r1], #4",
        "ldr r6, [r1], #4",
        "str r3, [r0], #4",
        "str r4, [r0], #4",
        "str r5, [r0], #4",
        "str r6, [r0], #4",
        "subs r2, #16",
        "bhs 4b",
        "5:",
        "adds r2, #16",
        "beq 7f",
        "6:",
        "ldrb r3, [r1], #1",
        "subs r2, #1",
        "strb r3, [r0], #1",
        "bne 6b",
        "7:",
        "pop {{r4-r9, pc}}",
    )
}
