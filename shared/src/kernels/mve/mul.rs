//! Product of two tensors, eight values at a time; reads what the portable kernel reads.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::super::mul as plain;
use super::super::output::Output;
use super::finish::narrow;
use crate::engine::Arena;
use crate::image::{Channel, Entry};

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let last = Output::new(record);
    if last.is_wide() {
        return plain::run(entry, arena);
    }
    let Some(&Channel { multiplier, .. }) = layer.channels.first() else { return };
    let (count, step) = (record.output.shape.len(), record.second.shape.len());
    let [a, target] = [record.input, record.output].map(|slot| arena.values(slot.offset, count));
    let b = arena.values(record.second.offset, step);
    let [low, high] = last.bounds().map(i32::from);
    let zeros = [record.input_zero, record.second_zero].map(i32::from);
    let call = Call { count: step, zeros, k: multiplier, zero: last.zero(), low, high };
    if b.len() < step || step == 0 {
        return;
    }
    for (a, target) in a.chunks_exact(step).zip(target.chunks_exact(step)) {
        // SAFETY: all three hold `step` values; cells may be written through shared references, and values are
        // read before values at their place are written.
        unsafe { mul(a.as_ptr().cast(), b.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
    }
}

/// What the loop needs beside its pointers, in the order of the registers that load it.
#[repr(C)]
struct Call {
    /// Values.
    count: usize,
    /// Zero points of the inputs.
    zeros: [i32; 2],
    /// The multiplier.
    k: i32,
    /// Zero point and bounds of the output.
    zero: i32,
    low: i32,
    high: i32,
}

/// Eight products: inputs in q0 and q1, outputs in q6. r5 and r6 zero points, r7 the multiplier.
macro_rules! products {
    () => {
        concat!(
            "vsub.i16 q0, q0, r5\n",
            "vsub.i16 q1, q1, r6\n",
            "vmullb.s16 q4, q0, q1\n",
            "vmullt.s16 q5, q0, q1\n",
            "vmul.i32 q4, q4, r7\n",
            "vmul.i32 q5, q5, r7\n",
            narrow!(),
        )
    };
}

#[unsafe(naked)]
unsafe extern "C" fn mul(a: *const i8, b: *const i8, target: *mut i8, call: &Call) {
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
        products!(),
        "vstrb.16 q6, [r2], #8",
        "le lr, 2b",
        "3:",
        "cbz r4, 4f",
        "vctp.16 r4",
        "vpstt",
        "vldrbt.s16 q0, [r0]",
        "vldrbt.s16 q1, [r1]",
        products!(),
        "vctp.16 r4",
        "vpst",
        "vstrbt.16 q6, [r2]",
        "4:",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}
