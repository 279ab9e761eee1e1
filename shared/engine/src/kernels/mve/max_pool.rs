//! Maximum over a window, sixteen channels at a time; reads what the portable kernel reads.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::super::taps::Taps;
use crate::engine::{Arena, part};
use crate::image::Entry;

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let output = record.output.shape;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, output.len());
    let mut at = 0;
    for y in 0..output.height {
        for x in 0..output.width {
            let taps = Taps::new(record, y, x);
            let pixel = part(target, at, output.channels);
            at += output.channels;
            if pixel.is_empty() || !taps.inside(input.len(), output.channels) {
                pixel.iter().for_each(|value| value.set(i8::MIN));
                continue;
            }
            let source = input.as_ptr().wrapping_add(taps.first);
            // SAFETY: the pixel holds its channels; every tap of every channel lies in the input, as just
            // looked at; cells may be written through shared references.
            unsafe { maximum(source.cast(), &taps, pixel.as_ptr().cast_mut().cast(), pixel.len()) }
        }
    }
}

/// Rows, columns and their steps stand at the front of [`Taps`]. r4 rows, r5 columns, r6 and r7 their
/// steps, r8 rows left, r9 the row, r10 the column.
#[unsafe(naked)]
unsafe extern "C" fn maximum(source: *const i8, taps: &Taps, target: *mut i8, channels: usize) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r10, lr}}",
        "ldm r1, {{r4-r7}}",
        "2:",
        "vctp.8 r3",
        "vmvn.i32 q0, #0",
        "vshl.i8 q0, q0, #7",
        "mov r9, r0",
        "mov r8, r4",
        "3:",
        "mov r10, r9",
        "dls lr, r5",
        "4:",
        "vpstt",
        "vldrbt.u8 q1, [r10]",
        "vmaxt.s8 q0, q0, q1",
        "add r10, r10, r7",
        "le lr, 4b",
        "add r9, r9, r6",
        "subs r8, #1",
        "bne 3b",
        "vpst",
        "vstrbt.8 q0, [r2]",
        "adds r0, #16",
        "adds r2, #16",
        "subs r3, #16",
        "bgt 2b",
        "pop {{r4-r10, pc}}",
    )
}
