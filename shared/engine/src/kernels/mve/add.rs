//! Sum of two tensors of one shape, eight values at a time; reads what the portable kernel reads.
#![allow(unsafe_code)]

use super::super::output::Output;
use super::elementwise::{Call, elementwise};
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
    let operands = [first.multiplier, second.multiplier, zeros.wrapping_neg()];
    let call = Call { count, operands, zero: last.zero(), low, high };
    if a.len() < count || b.len() < count || target.len() < count {
        return;
    }
    // SAFETY: the three tensors hold `count` values, as just looked at; cells may be written through shared
    // references, and values are read before values at their place are written.
    unsafe { add(a.as_ptr().cast(), b.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
}

// r5 and r6 the multipliers, r7 the start.
elementwise!(
    add,
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
);
