//! Two tensors of one shape, eight values at a time: the loop around sums and products.
#![allow(unsafe_code)]

/// What the loop needs beside its pointers, in the order of the registers that load it.
#[repr(C)]
pub struct Call {
    /// Values.
    pub count: usize,
    /// What the operator needs in r5-r7.
    pub operands: [i32; 3],
    /// Zero point and bounds of the output.
    pub zero: i32,
    pub low: i32,
    pub high: i32,
}

/// A function of two inputs (r0, r1), the output (r2) and [`Call`] (r3). `$eight` turns eight values of the
/// inputs (q0, q1) into outputs (q6) with the operands (r5-r7); it may overwrite q0-q5.
macro_rules! elementwise {
    ($name:ident, $eight:expr) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(a: *const i8, b: *const i8, target: *mut i8, call: &Call) {
            core::arch::naked_asm!(
                ".cpu cortex-m55",
                "push {{r4-r11, lr}}",
                "vpush {{d8-d15}}",
                "ldm r3, {{r4-r7, r9-r11}}",
                "vdup.16 q7, r11",
                "mov r8, #0x8000",
                "lsr r12, r4, #3",
                "and r4, r4, #7",
                "wls lr, r12, 3f",
                "2:",
                "vldrb.s16 q0, [r0], #8",
                "vldrb.s16 q1, [r1], #8",
                $eight,
                "vstrb.16 q6, [r2], #8",
                "le lr, 2b",
                "3:",
                "cbz r4, 4f",
                "vctp.16 r4",
                "vpstt",
                "vldrbt.s16 q0, [r0]",
                "vldrbt.s16 q1, [r1]",
                $eight,
                "vctp.16 r4",
                "vpst",
                "vstrbt.16 q6, [r2]",
                "4:",
                "vpop {{d8-d15}}",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}
pub(super) use elementwise;
