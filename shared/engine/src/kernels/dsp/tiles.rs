//! Rows of outputs, four pixels at a time: their patches are widened into a tile, which meets all weights.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::rows;
#[cfg(goldcrest_dsp)]
use super::super::runs::Runs;
#[cfg(goldcrest_dsp)]
use super::HEIGHT;
use super::PIXELS;
use super::multiply::Multiply;
use super::patch::Patch;

/// What computes the tiles of a layer.
pub struct Tiles<'a, const BITS: usize> {
    pub patch: Patch,
    pub tile: &'a [Cell<u32>],
    pub multiply: Multiply<'a, BITS>,
    /// Room for the outputs of a tile of which fewer than four pixels are wanted.
    pub staging: &'a [Cell<i8>],
    /// Output channels.
    pub channels: usize,
}

impl<const BITS: usize> Tiles<'_, BITS> {
    /// Four pixels or more, from the rows under their windows; saturated, not bounded.
    #[cfg(not(goldcrest_dsp))]
    pub fn row(&self, sources: &[&[Cell<i8>]], row: &[Cell<i8>], width: usize) {
        let Some(last) = width.checked_sub(PIXELS) else { return };
        for x in (0..width).step_by(PIXELS) {
            // The last tile may compute some pixels again.
            let x = x.min(last);
            self.patch.fill(self.tile, sources, x, PIXELS);
            self.multiply.run(row.get(x * self.channels..).unwrap_or_default());
        }
    }

    /// Four pixels or more, from the rows under their windows; saturated, not bounded.
    #[cfg(goldcrest_dsp)]
    #[inline(never)]
    pub fn row(&self, sources: &[&[Cell<i8>]], row: &[Cell<i8>], width: usize) {
        let Patch { runs: Runs { height, per_row: runs, step: run_step, pixel_step, .. }, quads, words } =
            self.patch;
        let Some(last) = width.checked_sub(PIXELS) else { return };
        if runs == 0 || quads == 0 || height == 0 || sources.len() != height {
            return;
        }
        let reach = (width - 1) * pixel_step + (runs - 1) * run_step + 4 * quads;
        let complete = sources.iter().all(|source| source.len() >= reach);
        if !complete || self.tile.len() < words || row.len() < width * self.channels {
            return;
        }
        let mut starts = [core::ptr::null(); HEIGHT];
        starts.iter_mut().zip(sources).for_each(|(start, source)| *start = source.as_ptr().cast());
        let (weights, pairs, whole, odd) = self.multiply.parts();
        let mut call = armv7em::Row {
            weights: weights.as_ptr(),
            tile: self.tile.as_ptr().cast_mut().cast(),
            quads,
            step: pixel_step,
            runs,
            run_step,
            height,
            tiles: width / PIXELS,
            outputs: PIXELS * self.channels,
            pairs,
            starts: starts.as_ptr(),
            odd: odd.map_or(core::ptr::null(), core::ptr::from_ref),
            odd_weights: whole.end,
            odd_output: self.channels - 2,
            whole: *whole,
        };
        let target = row.as_ptr().cast_mut().cast::<i8>();
        // SAFETY: the rows hold the runs of all pixels, `pixel_step` apart, in groups of 4 bytes; the tile
        // holds a group of 8 words for each group of each run, as weights and calls expect it, and the row
        // all outputs. The weights are aligned, because the image check saw to it; cells may be written
        // through shared references.
        unsafe { armv7em::row(&call, target, 0) };
        if !width.is_multiple_of(PIXELS) {
            // The last tile computes some pixels again: their patches are still in the rows.
            call.tiles = 1;
            // SAFETY: as above; the tile ends with the row.
            unsafe { armv7em::row(&call, target.add(last * self.channels), last * pixel_step) };
        }
    }

    /// Fewer than four pixels.
    pub fn few(&self, sources: &[&[Cell<i8>]], row: &[Cell<i8>]) {
        let width = row.len().checked_div(self.channels).unwrap_or(0);
        if width > 0 {
            self.patch.fill(self.tile, sources, 0, width);
            self.multiply.run(self.staging);
            rows::copy(self.staging, row);
        }
    }
}

#[cfg(goldcrest_dsp)]
mod armv7em {
    use core::arch::naked_asm;

    use super::super::multiply::armv7em::{Call, Pairs};
    use super::super::patch::armv7em::widen_four;

    /// What the loop needs beside its pointers; the offsets stand in the code below.
    #[repr(C)]
    pub struct Row {
        pub weights: *const i8,
        pub tile: *mut u32,
        /// Groups of four bytes of a run.
        pub quads: usize,
        /// Bytes from one pixel to the next.
        pub step: usize,
        /// Runs per row under the window.
        pub runs: usize,
        /// Bytes from one run to the next.
        pub run_step: usize,
        /// Rows under the window.
        pub height: usize,
        /// Tiles.
        pub tiles: usize,
        /// Bytes from the outputs of a tile to the next.
        pub outputs: usize,
        /// Tile times weights.
        pub pairs: Pairs,
        /// The rows under the window.
        pub starts: *const *const i8,
        /// What an odd last channel needs, or null; its weights and its place behind the first output.
        pub odd: *const Call,
        pub odd_weights: *const i8,
        pub odd_output: usize,
        /// What all whole pairs need.
        pub whole: Call,
    }

    /// A row: r0 [`Row`], r1 outputs, r2 bytes from the start of the rows to the first pixel.
    #[unsafe(naked)]
    pub unsafe extern "C" fn row(call: &Row, outputs: *mut i8, offset: usize) {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r11, lr}}",
            "mov r4, r0",
            "mov r8, r1",
            "mov r7, r2",
            "ldr r11, [r4, #28]",
            "2:", // A tile.
            "ldr r1, [r4, #4]",
            "ldr r5, [r4, #24]",
            "ldr r6, [r4, #40]",
            "3:", // A row under the windows.
            "ldr r10, [r6], #4",
            "ldr r9, [r4, #16]",
            "add r10, r7",
            "4:", // A run.
            "ldrd r2, r3, [r4, #8]",
            "mov r0, r10",
            "bl {widen_four}",
            "ldr r12, [r4, #20]",
            "add r10, r12",
            "subs r9, #1",
            "bne 4b",
            "subs r5, #1",
            "bne 3b",
            "ldrd r0, r1, [r4]",
            "mov r2, r8",
            "add r3, r4, #56",
            "ldr r12, [r4, #36]",
            "blx r12",
            "ldr r3, [r4, #44]",
            "cbz r3, 5f",
            "ldr r0, [r4, #48]",
            "ldr r1, [r4, #4]",
            "ldr r2, [r4, #52]",
            "add r2, r8",
            "ldr r12, [r4, #36]",
            "blx r12",
            "5:",
            "ldr r3, [r4, #12]",
            "add r7, r7, r3, lsl #2",
            "ldr r3, [r4, #32]",
            "add r8, r3",
            "subs r11, #1",
            "bne 2b",
            "pop {{r4-r11, pc}}",
            widen_four = sym widen_four,
        )
    }
}
