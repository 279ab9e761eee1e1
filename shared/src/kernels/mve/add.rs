//! Sum of two tensors of one shape, eight values at a time; reads what the portable kernel reads.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::super::output::Output;
use super::finish::narrow;
use crate::engine::Arena;
use crate::image::Entry;

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let count = record.output.shape.len();
    let [a, b, target] =
        [record.input, record.second, record.output].map(|slot| arena.values(slot.offset, count));
    let [first, second, ..] = layer.channels else { return };
    let last = Output::new(record);
    let zeros = i32::from(record.input_zero)
        .wrapping_mul(first.multiplier)
        .wrapping_add(i32::from(record.second_zero).wrapping_mul(second.multiplier));
    let [low, high] = last.bounds().map(i32::from);
    let (start, k) = (zeros.wrapping_neg(), [first.multiplier, second.multiplier]);
    let call = Call { count, k, start, zero: last.zero(), low, high };
    if a.len() < count || b.len() < count || target.len() < count {
        return;
    }
    // SAFETY: the three tensors hold `count` values, as just looked at; cells may be written through shared
    // references, and values are read before values at their place are written.
    unsafe { add(a.as_ptr().cast(), b.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
}

/// What the loop needs beside its pointers, in the order of the registers that load it.
#[repr(C)]
struct Call {
    /// Values.
    count: usize,
    /// Multipliers of the inputs.
    k: [i32; 2],
    /// What sums start with.
    start: i32,
    /// Zero point and bounds of the output.
    zero: i32,
    low: i32,
    high: i32,
}

/// Eight sums: inputs in q0 and q1, outputs in q6. r5 and r6 multipliers, r7 the start.
macro_rules! sums {
    () => {
        concat!(
            "vmovlb.s16 q4, q0\n",
            "vmovlt.s16 q5, q0\n",
            "vmul.i32 q4, q4, r5\n",
            "vmul.i32 q5, q5, r5\n",
            "vmovlb.s16 q2, q1\n",
            "vmovlt.s16 q3, q1\n",
            "vmla.s32 q4, q2, r6\n",
            "vmla.s32 q5, q3, r6\n",
            "vadd.i32 q4, q4, r7\n",
            "vadd.i32 q5, q5, r7\n",
            narrow!(),
        )
    };
}

#[unsafe(naked)]
unsafe extern "C" fn add(a: *const i8, b: *const i8, target: *mut i8, call: &Call) {
    naked_asm!(
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
        sums!(),
        "vstrb.16 q6, [r2], #8",
        "le lr, 2b",
        "3:",
        "cbz r4, 4f",
        "vctp.16 r4",
        "vpstt",
        "vldrbt.s16 q0, [r0]",
        "vldrbt.s16 q1, [r1]",
        sums!(),
        "vctp.16 r4",
        "vpst",
        "vstrbt.16 q6, [r2]",
        "4:",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}
