//! Product of two tensors, eight values at a time; reads what the portable kernel reads.
#![allow(unsafe_code)]

use super::super::mul as plain;
use super::super::output::Output;
use super::elementwise::{Call, elementwise};
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
    let operands = [i32::from(record.input_zero), i32::from(record.second_zero), multiplier];
    let call = Call { count: step, operands, zero: last.zero(), low, high };
    if b.len() < step || step == 0 {
        return;
    }
    for (a, target) in a.chunks_exact(step).zip(target.chunks_exact(step)) {
        // SAFETY: all three hold `step` values; cells may be written through shared references, and values
        // are read before values at their place are written.
        unsafe { mul(a.as_ptr().cast(), b.as_ptr().cast(), target.as_ptr().cast_mut().cast(), &call) }
    }
}

// r5 and r6 the zero points, r7 the multiplier.
elementwise!(
    mul,
    concat!(
        "vsub.i16 q0, q0, r5\n",
        "vsub.i16 q1, q1, r6\n",
        "vmullb.s16 q4, q0, q1\n",
        "vmullt.s16 q5, q0, q1\n",
        "vmul.i32 q4, q4, r7\n",
        "vmul.i32 q5, q5, r7\n",
        narrow!(),
    )
);
