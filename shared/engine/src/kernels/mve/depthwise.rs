//! Depthwise convolution with one output per input channel, eight channels at a time; reads what the
//! portable kernel reads.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::super::depthwise as plain;
use super::super::output::Output;
use super::super::rows::Rows;
use super::finish::narrow;
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry};

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let last = Output::new(record);
    let channels = output.channels;
    if last.is_wide() || input.channels != channels {
        return plain::run(entry, arena);
    }
    let target = arena.values(record.output.offset, output.len());
    let scratch = arena.values(record.scratch.0, record.scratch.1);
    let mut rows = Rows::new(record, scratch, arena.values(record.input.offset, input.len()));
    let window = &record.window;
    let [height, width] = window.kernel;
    let bytes = output.width * channels;
    let reach = (output.width - 1) * window.stride[1] + (width - 1) * window.dilation[1] + 1;
    let fits = reach * channels <= rows.pitch()
        && layer.weights.len() >= height * width * channels
        && layer.channels.len() >= channels
        && target.len() >= output.height * bytes;
    if !fits {
        return;
    }
    let [low, high] = last.bounds().map(i32::from);
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        for first in (0..channels).step_by(8) {
            let mut constants = [Channel::default(); 8];
            constants.iter_mut().zip(layer.channels.iter().skip(first)).for_each(|(to, from)| *to = *from);
            let call = Call {
                weights: layer.weights.as_ptr().wrapping_add(first),
                row: rows.start(0),
                row_step: rows.step(),
                ring: rows.ring().len(),
                zero: last.zero(),
                low,
                high,
                height,
                width,
                column_step: window.dilation[1] * channels,
                channels,
                left: channels - first,
                pixels: output.width,
                pixel_step: window.stride[1] * channels,
            };
            let source = rows.ring().as_ptr().wrapping_add(first);
            let place = row.as_ptr().cast_mut().wrapping_add(first);
            let run = if channels - first >= 8 { eight } else { fewer };
            // SAFETY: the rows under the window hold every tap of every pixel, the weights every tap of every
            // channel, the output row every pixel, as just looked at; of the channels beyond the last none
            // is read or written; cells may be written through shared references.
            unsafe { run(source.cast(), constants.as_ptr(), place.cast(), &call) }
        }
    }
}

/// What the loop needs beside its pointers; the first ones in the order of the registers that load them.
#[repr(C)]
struct Call {
    /// Weights of the first channel.
    weights: *const i8,
    /// The first row in the ring, in bytes.
    row: usize,
    /// Bytes to the next row.
    row_step: usize,
    /// Bytes of the ring.
    ring: usize,
    /// Zero point and bounds of the output.
    zero: i32,
    low: i32,
    high: i32,
    /// Kernel rows (offset 28) and columns (32).
    height: usize,
    width: usize,
    /// Bytes to the next column of the kernel (36).
    column_step: usize,
    /// All channels: bytes to the next tap's weights and to the next pixel of the output (40).
    channels: usize,
    /// Channels from the first on (44).
    left: usize,
    /// Pixels (48).
    pixels: usize,
    /// Bytes to the next pixel in the rows (52).
    pixel_step: usize,
}

/// A function of the ring (r0), the constants of eight channels (r1), an output row (r2) and [`Call`] (r3).
/// r4 weights, r5 row, r6 value, r7 kernel rows left, r11 and r12 steps of values and weights; on the stack
/// the pixels left.
macro_rules! row {
    ($(#[$doc:meta])* $name:ident, $load:literal, $store:literal) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            source: *const i8, channels: *const Channel, target: *mut i8, call: &Call
        ) {
            naked_asm!(
                ".cpu cortex-m55",
                "push {{r4-r11, lr}}",
                "vpush {{d8-d15}}",
                "sub sp, #8",
                "ldr r4, [r3, #48]",
                "str r4, [sp]",
                "ldr r9, [r3, #16]",
                "ldrd r10, r11, [r3, #20]",
                "vdup.16 q7, r11",
                "mov r8, #0x8000",
                "2:", // A pixel.
                "ldrd r4, r5, [r3]",
                "ldrd r11, r12, [r3, #36]",
                "ldr r7, [r3, #28]",
                "vmov.i32 q4, #0",
                "vmov.i32 q5, #0",
                "3:", // A kernel row.
                "add r6, r0, r5",
                "ldr lr, [r3, #32]",
                "dls lr, lr",
                "4:",
                $load,
                "add r6, r6, r11",
                "add r4, r4, r12",
                "vmullb.s16 q2, q0, q1",
                "vmullt.s16 q3, q0, q1",
                "vadd.i32 q4, q4, q2",
                "vadd.i32 q5, q5, q3",
                "le lr, 4b",
                "ldrd r6, lr, [r3, #8]",
                "add r5, r5, r6",
                "cmp r5, lr",
                "it hs",
                "subhs r5, r5, lr",
                "subs r7, #1",
                "bne 3b",
                "vld40.32 {{q0, q1, q2, q3}}, [r1]",
                "vld41.32 {{q0, q1, q2, q3}}, [r1]",
                "vld42.32 {{q0, q1, q2, q3}}, [r1]",
                "vld43.32 {{q0, q1, q2, q3}}, [r1]",
                "vadd.i32 q4, q4, q0",
                "vadd.i32 q5, q5, q2",
                "vmul.i32 q4, q4, q1",
                "vmul.i32 q5, q5, q3",
                narrow!(),
                $store,
                "ldr r6, [r3, #52]",
                "ldr r7, [sp]",
                "add r2, r2, r12",
                "add r0, r0, r6",
                "subs r7, #1",
                "str r7, [sp]",
                "bne 2b",
                "add sp, #8",
                "vpop {{d8-d15}}",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

row!(
    /// Eight channels.
    eight, "vldrb.s16 q0, [r6]\nvldrb.s16 q1, [r4]", "vstrb.16 q6, [r2]"
);
row!(
    /// The last few channels.
    fewer,
    "ldr r12, [r3, #44]\nvctp.16 r12\nldr r12, [r3, #40]\nvpstt\nvldrbt.s16 q0, [r6]\nvldrbt.s16 q1, [r4]",
    "ldr r6, [r3, #44]\nvctp.16 r6\nvpst\nvstrbt.16 q6, [r2]"
);
