//! The patches under four neighbouring pixels, side by side.
//!
//! A patch is what lies under the window: runs of neighbouring bytes, one per kernel row (one per kernel
//! row and column with dilation). Runs follow each other without gaps; the last vector is filled with
//! whatever the memory held, which meets weights of 0.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::product;
use super::super::rows::Rows;
use super::VECTOR;
use super::dot::PIXELS;
use crate::engine::part;
use crate::image::Record;

/// Where the values of a patch stand in the rows under the window.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// Kernel rows.
    height: usize,
    /// Runs per row.
    runs: usize,
    /// Bytes per run.
    length: usize,
    /// Bytes from one run of a row to the next.
    run_step: usize,
    /// Bytes from one pixel to the next.
    pixel_step: usize,
    /// Runs are whole vectors and tiles are whole, so runs go straight into tiles.
    straight: bool,
}

impl Patch {
    /// The patch of a layer without groups.
    pub fn new(record: &Record) -> Self {
        let (window, channels) = (&record.window, record.input.shape.channels);
        let [height, width] = window.kernel;
        let (runs, length) = if window.dilation[1] == 1 { (1, width * channels) } else { (width, channels) };
        Self {
            height,
            runs,
            length,
            run_step: window.dilation[1] * channels,
            pixel_step: window.stride[1] * channels,
            straight: length.is_multiple_of(VECTOR) && record.output.shape.width >= PIXELS,
        }
    }

    /// Vectors of a patch.
    pub fn vectors(&self) -> u64 {
        product([self.height, self.runs, self.length]).div_ceil(VECTOR as u64)
    }

    /// Scratch bytes of a tile of four patches.
    pub fn tile_bytes(&self) -> u64 {
        self.vectors().saturating_mul((PIXELS * VECTOR) as u64)
    }

    /// Scratch bytes of the list of runs.
    pub fn list_bytes(&self) -> u64 {
        product([self.height, self.runs, 4])
    }

    /// Scratch bytes in which patches are put together.
    pub fn gathering_bytes(&self) -> u64 {
        if self.straight { 0 } else { self.tile_bytes() }
    }

    /// Writes where the runs of the first pixel of an output row stand in the ring.
    pub fn list(&self, rows: &Rows<'_>, list: &[Cell<u32>]) {
        for (row, list) in list.chunks(self.runs.max(1)).enumerate() {
            let start = rows.start(row);
            list.iter().enumerate().for_each(|(run, place)| place.set((start + run * self.run_step) as u32));
        }
    }

    /// Fills a tile with the patches of `count` pixels from `first` on; of other pixels it may hold anything.
    pub fn fill(&self, ring: &[Cell<i8>], list: &[Cell<u32>], room: Room<'_>, first: usize, count: usize) {
        let Room { tile, gathering } = room;
        let offset = first * self.pixel_step;
        if self.straight {
            return self.spread(ring, list, offset, self.length / VECTOR, self.pixel_step, tile);
        }
        let bytes = self.vectors() as usize * VECTOR;
        for pixel in 0..count.min(PIXELS) {
            self.gather(ring, list, offset + pixel * self.pixel_step, part(gathering, pixel * bytes, bytes));
        }
        self.spread(gathering, &[Cell::new(0)], 0, bytes / VECTOR, bytes, tile);
    }

    /// Puts the runs of one pixel behind each other.
    fn gather(&self, ring: &[Cell<i8>], list: &[Cell<u32>], offset: usize, patch: &[Cell<i8>]) {
        #[cfg(goldcrest_mve)]
        {
            let last = list.iter().map(|run| run.get() as usize).max().unwrap_or(0);
            let fits = last + offset + self.length <= ring.len() && list.len() * self.length <= patch.len();
            if fits && self.length > 0 && !list.is_empty() {
                let call = helium::Gather { list: list.as_ptr().cast(), runs: list.len(), length: self.length };
                let source = ring.as_ptr().wrapping_add(offset);
                // SAFETY: every run lies in the ring, all of them fit the patch, as just looked at.
                unsafe { helium::gather(source.cast(), patch.as_ptr().cast_mut().cast(), &call) };
            }
        }
        #[cfg(not(goldcrest_mve))]
        for (run, patch) in list.iter().zip(patch.chunks_exact(self.length.max(1))) {
            super::super::rows::copy(part(ring, run.get() as usize + offset, self.length), patch);
        }
    }

    /// Copies runs of four pixels, `step` bytes apart, of `vectors` whole vectors each, into a tile.
    fn spread(
        &self,
        source: &[Cell<i8>],
        list: &[Cell<u32>],
        offset: usize,
        vectors: usize,
        step: usize,
        tile: &[Cell<u32>],
    ) {
        #[cfg(goldcrest_mve)]
        {
            let last = list.iter().map(|run| run.get() as usize).max().unwrap_or(0);
            let fits = last + offset + (PIXELS - 1) * step + vectors * VECTOR <= source.len()
                && list.len() * vectors * PIXELS * (VECTOR / 4) <= tile.len();
            if fits && vectors > 0 && !list.is_empty() {
                let call = helium::Spread { list: list.as_ptr().cast(), runs: list.len(), vectors, step };
                let source = source.as_ptr().wrapping_add(offset);
                // SAFETY: every run of the four pixels lies in the source, all of them fit the tile, as just
                // looked at; the tile is aligned to words.
                unsafe { helium::spread(source.cast(), tile.as_ptr().cast_mut().cast(), &call) };
            }
        }
        #[cfg(not(goldcrest_mve))]
        for (run, tile) in list.iter().zip(tile.chunks_exact((vectors * PIXELS * (VECTOR / 4)).max(1))) {
            for (index, words) in tile.chunks_exact(VECTOR / 4).enumerate() {
                let (vector, pixel) = (index / PIXELS, index % PIXELS);
                let start = run.get() as usize + offset + pixel * step + vector * VECTOR;
                for (word, bytes) in words.iter().zip(part(source, start, VECTOR).as_chunks::<4>().0) {
                    word.set(u32::from_le_bytes(core::array::from_fn(|byte| bytes[byte].get() as u8)));
                }
            }
        }
    }
}

/// Scratch memory of a tile.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Four patches: `[vector][pixel]`.
    pub tile: &'a [Cell<u32>],
    /// The same patches one after the other, where needed.
    pub gathering: &'a [Cell<i8>],
}

#[cfg(goldcrest_mve)]
mod helium {
    use core::arch::naked_asm;

    /// A list of runs and their length in bytes.
    #[repr(C)]
    pub struct Gather {
        pub list: *const u32,
        pub runs: usize,
        pub length: usize,
    }

    /// Copies runs (at offsets from r0) to r1, one behind the other.
    #[unsafe(naked)]
    pub unsafe extern "C" fn gather(source: *const i8, patch: *mut i8, call: &Gather) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r7, lr}}",
            "ldrd r3, r4, [r2]",
            "ldr r5, [r2, #8]",
            "2:",
            "ldr r6, [r3], #4",
            "mov r7, r1",
            "add r6, r6, r0",
            "dlstp.8 lr, r5",
            "3:",
            "vldrb.u8 q0, [r6], #16",
            "vstrb.8 q0, [r7], #16",
            "letp lr, 3b",
            "add r1, r1, r5",
            "subs r4, #1",
            "bne 2b",
            "pop {{r4-r7, pc}}",
        )
    }

    /// A list of runs, their length in vectors, the bytes from one pixel to the next.
    #[repr(C)]
    pub struct Spread {
        pub list: *const u32,
        pub runs: usize,
        pub vectors: usize,
        pub step: usize,
    }

    /// Copies runs (at offsets from r0) of four pixels to r1.
    #[unsafe(naked)]
    pub unsafe extern "C" fn spread(source: *const i8, tile: *mut u32, call: &Spread) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r10, lr}}",
            "ldm r2, {{r3-r6}}",
            "2:",
            "ldr r7, [r3], #4",
            "add r7, r7, r0",
            "add r8, r7, r6",
            "add r9, r8, r6",
            "add r10, r9, r6",
            "dls lr, r5",
            "3:",
            "vldrb.u8 q0, [r7], #16",
            "vstrw.32 q0, [r1], #64",
            "vldrb.u8 q1, [r8], #16",
            "vstrw.32 q1, [r1, #-48]",
            "vldrb.u8 q2, [r9], #16",
            "vstrw.32 q2, [r1, #-32]",
            "vldrb.u8 q3, [r10], #16",
            "vstrw.32 q3, [r1, #-16]",
            "le lr, 3b",
            "subs r4, #1",
            "bne 2b",
            "pop {{r4-r10, pc}}",
        )
    }
}
