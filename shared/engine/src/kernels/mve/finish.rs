//! From sums to outputs, eight output channels at a time.
//!
//! Sums stand as `[block of 8 channels][pixel][channel of the block]`, so that VLD2 splits the channels
//! of a pixel into even and odd ones, and narrowing to the bottom and the top halves of a vector
//! joins them again in order.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::output::Output;
use super::super::product;
use crate::engine::part;
use crate::image::{Channel, Layer, Record};

/// Output channels of a block.
pub const BLOCK: usize = 8;

/// Requantizes products of eight channels, even ones in q4, odd ones in q5, into q6: 16-bit lanes with
/// zero point and bounds applied. r8 is `0x8000`, r9 the zero point, r10 the smallest value, q7 the
/// largest.
///
/// VQRSHRN rounds halves up; where the low half of a product was exactly `0x8000`, clearing bit 0
/// makes that half to even.
#[cfg(goldcrest_mve)]
macro_rules! narrow {
    () => {
        concat!(
            "vqrshrnb.s32 q6, q4, #16\n",
            "vsli.32 q4, q5, #16\n",
            "vqrshrnt.s32 q6, q5, #16\n",
            "vpt.i16 eq, q4, r8\n",
            "vbict.i16 q6, #1\n",
            "vqadd.s16 q6, q6, r9\n",
            "vmin.s16 q6, q6, q7\n",
            "vdup.16 q5, r10\n",
            "vmax.s16 q6, q6, q5\n",
        )
    };
}
#[cfg(goldcrest_mve)]
pub(super) use narrow;

/// Channel constants that a layer must have: whole blocks.
pub fn constants(record: &Record) -> u64 {
    product([record.output.shape.channels]).next_multiple_of(BLOCK as u64)
}

/// Bytes of the sums of `pixels` pixels.
pub fn sum_bytes(record: &Record, pixels: usize) -> u64 {
    constants(record).saturating_mul(product([4, pixels]))
}

/// The last step of a layer, ready to meet sums.
#[derive(Debug)]
pub struct Finish<'a> {
    channels: &'a [Channel],
    last: Output,
    /// Output channels.
    outputs: usize,
    /// Pixels side by side in the sums.
    pixels: usize,
    /// Pixels of them that are outputs.
    count: usize,
    #[cfg(goldcrest_mve)]
    call: helium::Call,
}

impl<'a> Finish<'a> {
    /// The last step of a layer whose sums hold `pixels` pixels side by side, of which the first `count` are
    /// outputs.
    pub fn new(layer: &Layer<'a>, pixels: usize, count: usize) -> Self {
        let outputs = layer.record.output.shape.channels;
        let (last, count) = (Output::new(&layer.record), count.min(pixels));
        Self {
            channels: part(layer.channels, 0, outputs.next_multiple_of(BLOCK)),
            last,
            outputs,
            pixels,
            count,
            #[cfg(goldcrest_mve)]
            call: helium::Call {
                count,
                pitch: outputs,
                outputs,
                zero: last.zero(),
                low: i32::from(last.bounds()[0]),
                high: i32::from(last.bounds()[1]),
                skip: (pixels - count) * BLOCK * 4,
            },
        }
    }

    /// Writes outputs (HWC).
    pub fn run(&self, sums: &[Cell<u32>], target: &[Cell<i8>]) {
        #[cfg(goldcrest_mve)]
        if !self.last.is_wide() {
            return self.vectors(sums, target);
        }
        for (pixel, place) in (0..self.count).zip(target.chunks_exact(self.outputs.max(1))) {
            for (index, (value, channel)) in place.iter().zip(self.channels).enumerate() {
                let at = (index / BLOCK * self.pixels + pixel) * BLOCK + index % BLOCK;
                let sum = sums.get(at).map_or(0, |sum| sum.get() as i32);
                value.set(self.last.value(sum.wrapping_add(channel.bias), channel.multiplier));
            }
        }
    }

    #[cfg(goldcrest_mve)]
    fn vectors(&self, sums: &[Cell<u32>], target: &[Cell<i8>]) {
        let fits = sums.len() >= self.channels.len() * self.pixels
            && target.len() >= self.count * self.outputs
            && self.channels.len() >= self.outputs;
        if !fits || self.count == 0 || self.outputs == 0 {
            return;
        }
        let (channels, target) = (self.channels.as_ptr(), target.as_ptr().cast_mut().cast());
        // SAFETY: the slices hold what the function touches: whole blocks of channel constants and of
        // sums for `pixels` pixels, `outputs` values for each of `count` pixels; constants and sums are
        // aligned to words, because the image check and `Arena::words` saw to it.
        unsafe { helium::finish(sums.as_ptr().cast(), channels, target, &self.call) }
    }
}

#[cfg(goldcrest_mve)]
mod helium {
    use crate::image::Channel;
    use core::arch::naked_asm;

    /// What the loop needs beside its pointers, in the order of the registers that load it.
    #[derive(Debug)]
    #[repr(C)]
    pub struct Call {
        /// Pixels.
        pub count: usize,
        /// Bytes from one pixel of the output to the next.
        pub pitch: usize,
        /// Output channels.
        pub outputs: usize,
        /// Zero point and bounds of the output.
        pub zero: i32,
        pub low: i32,
        pub high: i32,
        /// Bytes of sums behind the pixels of a block.
        pub skip: usize,
    }

    /// Eight channels of a pixel: sums at r0, constants in q0-q3, outputs in q6.
    macro_rules! pixel {
        () => {
            concat!(
                "vld20.32 {{q4, q5}}, [r0]\n",
                "vld21.32 {{q4, q5}}, [r0]!\n",
                "vadd.i32 q4, q4, q0\n",
                "vadd.i32 q5, q5, q2\n",
                "vmul.i32 q4, q4, q1\n",
                "vmul.i32 q5, q5, q3\n",
                super::narrow!(),
            )
        };
    }

    /// Sums to outputs. r4 pixels, r5 pitch, r6 channels left, r7 place of a pixel, r12 skip.
    #[unsafe(naked)]
    pub unsafe extern "C" fn finish(
        sums: *const i32,
        channels: *const Channel,
        target: *mut i8,
        call: &Call,
    ) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "vpush {{d8-d15}}",
            "ldm r3, {{r4-r6, r9-r12}}",
            "vdup.16 q7, r11",
            "mov r8, #0x8000",
            "2:", // A block of channels: biases of even ones, their multipliers, the same of odd ones.
            "vld40.32 {{q0, q1, q2, q3}}, [r1]",
            "vld41.32 {{q0, q1, q2, q3}}, [r1]",
            "vld42.32 {{q0, q1, q2, q3}}, [r1]",
            "vld43.32 {{q0, q1, q2, q3}}, [r1]!",
            "mov r7, r2",
            "cmp r6, #8",
            "dls lr, r4",
            "blt 4f",
            "3:",
            pixel!(),
            "vstrb.16 q6, [r7]",
            "add r7, r7, r5",
            "le lr, 3b",
            "add r0, r0, r12",
            "adds r2, #8",
            "subs r6, #8",
            "bne 2b",
            "b 5f",
            "4:", // Fewer than eight channels.
            pixel!(),
            "vctp.16 r6",
            "vpst",
            "vstrbt.16 q6, [r7]",
            "add r7, r7, r5",
            "le lr, 4b",
            "5:",
            "vpop {{d8-d15}}",
            "pop {{r4-r11, pc}}",
        )
    }
}
