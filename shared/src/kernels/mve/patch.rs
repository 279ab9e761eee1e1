//! The patches under four neighbouring pixels, side by side.
//!
//! A patch is what lies under the window: runs of neighbouring bytes, one per kernel row (one per kernel
//! row and column with dilation). Runs follow each other without gaps; the last vector is filled with
//! whatever the memory held, which meets weights of 0. Runs of whole vectors are copied straight to their
//! places in the tile; others are first gathered behind each other.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::product;
use super::super::rows::Rows;
use super::VECTOR;
use super::dot::PIXELS;
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
    /// Runs are whole vectors and tiles are whole, so nothing is gathered.
    straight: bool,
}

/// Scratch memory of a tile.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Four patches: `[vector][pixel]`.
    pub tile: &'a [Cell<u32>],
    /// The same patches one after the other, where they are gathered.
    pub gathered: &'a [Cell<i8>],
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

    /// Scratch bytes in which patches are gathered.
    pub fn gathered_bytes(&self) -> u64 {
        if self.straight { 0 } else { self.tile_bytes() }
    }

    /// Fills a tile with the patches of `count` pixels from `first` on; of other pixels it may hold
    /// anything.
    pub fn fill(&self, rows: &Rows<'_>, room: Room<'_>, first: usize, count: usize) {
        let tile_bytes = self.tile_bytes() as usize;
        if size_of_val(room.tile) < tile_bytes
            || size_of_val(room.gathered) < self.gathered_bytes() as usize
            || self.vectors() == 0
        {
            return;
        }
        match self.straight {
            true => self.spread(rows, room.tile, first),
            false => {
                self.gather(rows, room.gathered, first, count.min(PIXELS));
                interleave(room.gathered, room.tile, tile_bytes / PIXELS);
            }
        }
    }

    /// The runs of `count` pixels from `first` on lie in the rows of the ring.
    #[cfg(goldcrest_mve)]
    fn inside(&self, rows: &Rows<'_>, first: usize, count: usize) -> bool {
        let last = (first + count - 1) * self.pixel_step + (self.runs - 1) * self.run_step;
        count > 0 && self.height > 0 && self.runs > 0 && self.length > 0 && last + self.length <= rows.pitch()
    }

    /// Where the runs of a pixel stand.
    #[cfg(goldcrest_mve)]
    fn source(&self, rows: &Rows<'_>, first: usize) -> helium::Source {
        helium::Source {
            base: rows.ring().as_ptr().cast::<i8>().wrapping_add(first * self.pixel_step),
            row: rows.start(0),
            row_step: rows.step(),
            ring: rows.ring().len(),
            rows: self.height,
            runs: self.runs,
            run_step: self.run_step,
            length: self.length,
            pixel_step: self.pixel_step,
        }
    }

    /// Puts the runs of each of `count` pixels behind each other.
    fn gather(&self, rows: &Rows<'_>, gathered: &[Cell<i8>], first: usize, count: usize) {
        let bytes = self.vectors() as usize * VECTOR;
        #[cfg(goldcrest_mve)]
        if self.inside(rows, first, count) {
            let source = self.source(rows, first);
            let call = helium::Gather { gap: bytes - self.height * self.runs * self.length, count };
            let gather =
                if self.runs == 1 && self.length <= VECTOR { helium::gather_short } else { helium::gather };
            // SAFETY: every run lies in a row of the ring, which `inside` saw and `Rows` keeps; `count`
            // patches of `bytes` bytes lie in `gathered`, which `fill` saw.
            unsafe { gather(gathered.as_ptr().cast_mut().cast(), &source, &call) };
        }
        #[cfg(not(goldcrest_mve))]
        for (pixel, patch) in gathered.chunks_exact(bytes).take(count).enumerate() {
            let mut runs = patch.chunks_exact(self.length.max(1));
            for (row, run) in (0..self.height).flat_map(|row| (0..self.runs).map(move |run| (row, run))) {
                let start = (first + pixel) * self.pixel_step + run * self.run_step;
                let values = crate::engine::part(rows.row(row), start, self.length);
                runs.next().into_iter().for_each(|run| super::super::rows::copy(values, run));
            }
        }
    }

    /// Copies runs of whole vectors of four pixels into a tile.
    fn spread(&self, rows: &Rows<'_>, tile: &[Cell<u32>], first: usize) {
        #[cfg(goldcrest_mve)]
        if self.inside(rows, first, PIXELS) {
            let source = self.source(rows, first);
            // SAFETY: every run lies in a row of the ring, which `inside` saw and `Rows` keeps; the tile holds
            // them all, which `fill` saw, and is aligned to words.
            unsafe { helium::spread(tile.as_ptr().cast_mut().cast(), &source, self.length / VECTOR) };
        }
        #[cfg(not(goldcrest_mve))]
        {
            let mut vectors = tile.chunks_exact(PIXELS * VECTOR / 4);
            for (row, run) in (0..self.height).flat_map(|row| (0..self.runs).map(move |run| (row, run))) {
                let start = first * self.pixel_step + run * self.run_step;
                for (at, words) in (start..).step_by(VECTOR).zip(vectors.by_ref().take(self.length / VECTOR))
                {
                    for (pixel, words) in words.chunks_exact(VECTOR / 4).enumerate() {
                        words_of(
                            crate::engine::part(rows.row(row), at + pixel * self.pixel_step, VECTOR),
                            words,
                        );
                    }
                }
            }
        }
    }
}

/// Copies four patches of `bytes` bytes, which stand one after the other, into a tile.
fn interleave(gathered: &[Cell<i8>], tile: &[Cell<u32>], bytes: usize) {
    #[cfg(goldcrest_mve)]
    {
        let source = helium::Source {
            base: gathered.as_ptr().cast(),
            row: 0,
            row_step: 0,
            ring: 1,
            rows: 1,
            runs: 1,
            run_step: 0,
            length: bytes,
            pixel_step: bytes,
        };
        // SAFETY: `fill` saw that both hold four patches; the tile is aligned to words.
        unsafe { helium::spread(tile.as_ptr().cast_mut().cast(), &source, bytes / VECTOR) };
    }
    #[cfg(not(goldcrest_mve))]
    for (vector, words) in tile.chunks_exact(PIXELS * VECTOR / 4).take(bytes / VECTOR).enumerate() {
        for (pixel, words) in words.chunks_exact(VECTOR / 4).enumerate() {
            words_of(crate::engine::part(gathered, pixel * bytes + vector * VECTOR, VECTOR), words);
        }
    }
}

/// Copies bytes into words.
#[cfg(not(goldcrest_mve))]
fn words_of(bytes: &[Cell<i8>], words: &[Cell<u32>]) {
    for (word, bytes) in words.iter().zip(bytes.as_chunks::<4>().0) {
        word.set(u32::from_le_bytes(core::array::from_fn(|byte| bytes[byte].get() as u8)));
    }
}

#[cfg(goldcrest_mve)]
mod helium {
    use core::arch::naked_asm;

    /// Where runs stand, in the order of the registers that load it.
    #[repr(C)]
    pub struct Source {
        /// The ring, at the first pixel.
        pub base: *const i8,
        /// The first row in the ring, in bytes.
        pub row: usize,
        /// Bytes to the next row.
        pub row_step: usize,
        /// Bytes of the ring.
        pub ring: usize,
        /// Rows.
        pub rows: usize,
        /// Runs per row.
        pub runs: usize,
        /// Bytes to the next run.
        pub run_step: usize,
        /// Bytes of a run.
        pub length: usize,
        /// Bytes to the next pixel.
        pub pixel_step: usize,
    }

    /// How patches follow each other.
    #[repr(C)]
    pub struct Gather {
        /// Bytes that fill a patch up to whole vectors.
        pub gap: usize,
        /// Patches, at least one.
        pub count: usize,
    }

    /// Advances r4 to the next row: r5 step, r6 bytes of the ring.
    macro_rules! next_row {
        () => {
            "add r4, r4, r5\ncmp r4, r6\nit hs\nsubhs r4, r4, r6\n"
        };
    }

    /// Puts runs of up to 16 bytes, one per row, behind each other. r3 base, r7 rows, r10 length, r11 pixel step.
    #[unsafe(naked)]
    pub unsafe extern "C" fn gather_short(patches: *mut i8, source: &Source, call: &Gather) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "ldm r1, {{r3-r11}}",
            "ldrd r8, r9, [r2]",
            "vctp.8 r10",
            "2:",
            "ldr r4, [r1, #4]",
            "dls lr, r7",
            "3:",
            "add r12, r3, r4",
            "vpstt",
            "vldrbt.u8 q0, [r12]",
            "vstrbt.8 q0, [r0]",
            "add r0, r0, r10",
            next_row!(),
            "le lr, 3b",
            "add r0, r0, r8",
            "add r3, r3, r11",
            "subs r9, #1",
            "bne 2b",
            "pop {{r4-r11, pc}}",
        )
    }

    /// Puts runs behind each other. r3 base, r7 rows left, r8 runs left, r9 run step, r10 length, r11 run.
    #[unsafe(naked)]
    pub unsafe extern "C" fn gather(patches: *mut i8, source: &Source, call: &Gather) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "ldr r12, [r2, #4]",
            "sub sp, #4",
            "ldr r3, [r1]",
            "2:",
            "str r12, [sp]",
            "ldrd r4, r5, [r1, #4]",
            "ldrd r6, r7, [r1, #12]",
            "ldrd r9, r10, [r1, #24]",
            "3:",
            "ldr r8, [r1, #20]",
            "add r11, r3, r4",
            "4:",
            "mov r12, r11",
            "add r11, r11, r9",
            "dlstp.8 lr, r10",
            "5:",
            "vldrb.u8 q0, [r12], #16",
            "vstrb.8 q0, [r0], #16",
            "letp lr, 5b",
            // The last vector may have been a part of one.
            "rsb r12, r10, #0",
            "and r12, r12, #15",
            "sub r0, r0, r12",
            "subs r8, #1",
            "bne 4b",
            next_row!(),
            "subs r7, #1",
            "bne 3b",
            "ldr r8, [r2]",
            "ldr r9, [r1, #32]",
            "add r0, r0, r8",
            "add r3, r3, r9",
            "ldr r12, [sp]",
            "subs r12, #1",
            "bne 2b",
            "add sp, #4",
            "pop {{r4-r11, pc}}",
        )
    }

    /// Copies runs of `vectors` whole vectors of four pixels into a tile. r3 base, r7 rows left, r8 runs left,
    /// r9-r12 the runs of the pixels.
    #[unsafe(naked)]
    pub unsafe extern "C" fn spread(tile: *mut u32, source: &Source, vectors: usize) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "ldm r1, {{r3-r7}}",
            "2:",
            "ldr r8, [r1, #20]",
            "add r9, r3, r4",
            "3:",
            "ldr r12, [r1, #32]",
            "add r10, r9, r12",
            "add r11, r10, r12",
            "add r12, r12, r11",
            "dls lr, r2",
            "4:",
            "vldrb.u8 q0, [r9], #16",
            "vstrw.32 q0, [r0], #64",
            "vldrb.u8 q1, [r10], #16",
            "vstrw.32 q1, [r0, #-48]",
            "vldrb.u8 q2, [r11], #16",
            "vstrw.32 q2, [r0, #-32]",
            "vldrb.u8 q3, [r12], #16",
            "vstrw.32 q3, [r0, #-16]",
            "le lr, 4b",
            "subs r8, #1",
            "beq 5f",
            // On to the next run of the row.
            "sub r9, r9, r2, lsl #4",
            "ldr r12, [r1, #24]",
            "add r9, r9, r12",
            "b 3b",
            "5:",
            next_row!(),
            "subs r7, #1",
            "bne 2b",
            "pop {{r4-r11, pc}}",
        )
    }
}
