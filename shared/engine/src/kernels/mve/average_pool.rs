//! Mean over a window, eight channels at a time; reads what the portable kernel reads.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::super::average_pool as plain;
use super::super::output::Output;
use super::super::taps::Taps;
use super::finish::narrow;
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry};

/// Maximum number of taps whose sum fits 16 bits.
const TAPS: usize = 255;

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let last = Output::new(record);
    let [height, width] = record.window.kernel;
    if last.is_wide() || height * width > TAPS {
        return plain::run(entry, arena);
    }
    let output = record.output.shape;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, output.len());
    let Some(&Channel { multiplier: k, .. }) = layer.channels.first() else { return };
    let [low, high] = last.bounds().map(i32::from);
    let mut at = 0;
    for y in 0..output.height {
        for x in 0..output.width {
            let taps = Taps::new(record, y, x);
            let pixel = part(target, at, output.channels);
            at += output.channels;
            if pixel.is_empty() || !taps.inside(input.len(), output.channels) {
                pixel.iter().for_each(|value| value.set(last.value(0, k)));
                continue;
            }
            let start = i32::from(record.input_zero).wrapping_mul(-((taps.rows * taps.columns) as i32));
            let call = Call { channels: pixel.len(), start, k, zero: last.zero(), low, high };
            let source = input.as_ptr().wrapping_add(taps.first);
            // SAFETY: the pixel holds its channels; every tap of every channel lies in the input, as just
            // looked at; cells may be written through shared references.
            unsafe { average(source.cast(), &taps, pixel.as_ptr().cast_mut().cast(), &call) }
        }
    }
}

/// What the loop needs beside its pointers.
#[repr(C)]
struct Call {
    /// Channels of the pixel.
    channels: usize,
    /// What sums start with.
    start: i32,
    /// The multiplier.
    k: i32,
    /// Zero point and bounds of the output.
    zero: i32,
    low: i32,
    high: i32,
}

/// Rows, columns and their steps stand at the front of [`Taps`]. r4 channels left, r5 the start, r6 the
/// multiplier, r7 the column, r12 rows left; on the stack the row.
#[unsafe(naked)]
unsafe extern "C" fn average(source: *const i8, taps: &Taps, target: *mut i8, call: &Call) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "sub sp, #8",
        "ldm r3, {{r4-r6, r9-r11}}",
        "vdup.16 q7, r11",
        "mov r8, #0x8000",
        "2:", // Eight channels.
        "vctp.16 r4",
        "vmov.i32 q0, #0",
        "str r0, [sp]",
        "ldr r12, [r1]",
        "3:",
        "ldr r7, [sp]",
        "ldrd r3, r11, [r1, #4]",
        "dls lr, r3",
        "add r11, r11, r7",
        "str r11, [sp]",
        "ldr r11, [r1, #12]",
        "4:",
        "vpstt",
        "vldrbt.s16 q1, [r7]",
        "vaddt.i16 q0, q0, q1",
        "add r7, r7, r11",
        "le lr, 4b",
        "subs r12, #1",
        "bne 3b",
        "vmovlb.s16 q4, q0",
        "vmovlt.s16 q5, q0",
        "vadd.i32 q4, q4, r5",
        "vadd.i32 q5, q5, r5",
        "vmul.i32 q4, q4, r6",
        "vmul.i32 q5, q5, r6",
        narrow!(),
        "vctp.16 r4",
        "vpst",
        "vstrbt.16 q6, [r2]",
        "adds r0, #8",
        "adds r2, #8",
        "subs r4, #8",
        "bgt 2b",
        "add sp, #8",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}
