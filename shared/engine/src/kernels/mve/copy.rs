//! Copies of rows, 16 bytes at a time.
#![allow(unsafe_code)]

use core::arch::naked_asm;

/// Copies `bytes` bytes.
///
/// # Safety
/// Both blocks hold as many bytes and do not overlap.
#[unsafe(naked)]
pub unsafe extern "C" fn copy(to: *mut i8, from: *const i8, bytes: usize) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, lr}}",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vldrb.u8 q0, [r1], #16",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
    )
}
