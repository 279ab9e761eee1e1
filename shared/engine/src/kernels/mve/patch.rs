//! The patches under four neighbouring pixels, side by side.
//!
//! A patch is what lies under the window: runs of neighbouring bytes, one per kernel row (one per kernel
//! row and column with dilation). Where that takes no more vectors, each run has vectors of its own and is
//! copied straight to its place in the tile; else runs are first gathered behind each other without gaps.
//! Vectors are filled up with whatever the memory held, which meets weights of 0.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::product;
use super::super::rows::Rows;
#[cfg(not(goldcrest_mve))]
use super::super::rows::copy;
use super::super::runs::Runs;
use super::VECTOR;
use super::dot::PIXELS;
#[cfg(not(goldcrest_mve))]
use crate::engine::part;
use crate::image::Record;

/// The patches of a layer in tiles.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    runs: Runs,
    /// Bytes from one run of a patch to the next.
    pitch: usize,
    /// Runs have vectors of their own and tiles are whole, so nothing is gathered.
    straight: bool,
}

/// Whether runs take no more vectors when each has its own.
pub fn apart(runs: &Runs) -> bool {
    let count = runs.height.saturating_mul(runs.per_row);
    product([count, runs.length.div_ceil(VECTOR)]) == product([count, runs.length]).div_ceil(VECTOR as u64)
}

impl Patch {
    /// The patches of a layer without groups.
    pub fn new(record: &Record) -> Self {
        let runs = Runs::new(record);
        let apart = apart(&runs);
        Self {
            runs,
            pitch: if apart { runs.length.next_multiple_of(VECTOR) } else { runs.length },
            straight: apart && record.output.shape.width >= PIXELS,
        }
    }

    /// Vectors of a patch.
    pub fn vectors(&self) -> u64 {
        self.runs.values().div_ceil(VECTOR as u64)
    }

    /// Scratch bytes of a tile of four patches.
    pub fn tile_bytes(&self) -> u64 {
        self.vectors().saturating_mul((PIXELS * VECTOR) as u64)
    }

    /// Scratch bytes in which patches are gathered.
    pub fn gathered_bytes(&self) -> u64 {
        if self.straight { 0 } else { self.tile_bytes() }
    }

    /// Distance from the start of a row to the end of the last run of pixel `last`.
    fn reach(&self, last: usize) -> usize {
        let Runs { per_row, length, step, pixel_step, .. } = self.runs;
        last * pixel_step + per_row.saturating_sub(1) * step + length
    }
}

/// A tile of four patches in scratch memory.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    patch: Patch,
    /// Vectors of a patch; 0 where memory is missing, which a checked image never lets happen.
    pub vectors: usize,
    /// Four patches: `[vector][pixel]`.
    pub words: &'a [Cell<u32>],
    /// The same patches one after the other, where they are gathered.
    gathered: &'a [Cell<i8>],
}

impl<'a> Tile<'a> {
    /// A tile in memory of [`Patch::tile_bytes`] and [`Patch::gathered_bytes`].
    pub fn new(patch: Patch, words: &'a [Cell<u32>], gathered: &'a [Cell<i8>]) -> Self {
        let vectors = patch.vectors() as usize;
        let bytes = vectors * PIXELS * VECTOR;
        let fits = size_of_val(words) >= bytes && (patch.straight || gathered.len() >= bytes);
        Self { patch, vectors: if fits { vectors } else { 0 }, words, gathered }
    }

    /// The patches under an output row of `width` pixels, whose input rows are loaded.
    pub fn row<'r>(&'r self, rows: &'r Rows<'a>, width: usize) -> Row<'r> {
        let runs = self.patch.runs;
        let inside = width > 0 && self.patch.reach(width - 1) <= rows.pitch();
        let some = self.vectors > 0 && runs.height > 0 && runs.per_row > 0 && runs.length > 0;
        Row {
            tile: self,
            width: if inside && some { width } else { 0 },
            #[cfg(not(goldcrest_mve))]
            rows,
            #[cfg(goldcrest_mve)]
            source: helium::Source {
                base: rows.ring().as_ptr().cast(),
                row: rows.start(0),
                row_step: rows.step(),
                ring: rows.ring().len(),
                rows: runs.height,
                runs: runs.per_row,
                run_step: runs.step,
                length: runs.length,
                pixel_step: runs.pixel_step,
            },
            #[cfg(goldcrest_mve)]
            gap: (self.vectors * VECTOR).saturating_sub(runs.height * runs.per_row * self.patch.pitch),
        }
    }
}

/// The patches under an output row.
#[derive(Debug)]
pub struct Row<'r> {
    tile: &'r Tile<'r>,
    /// Pixels; all their runs lie inside the rows.
    width: usize,
    #[cfg(not(goldcrest_mve))]
    rows: &'r Rows<'r>,
    #[cfg(goldcrest_mve)]
    source: helium::Source,
    /// Bytes that fill a patch up to whole vectors.
    #[cfg(goldcrest_mve)]
    gap: usize,
}

impl Row<'_> {
    /// Fills the tile with the patches of `count` pixels, at most four, from `first` on; of other pixels it
    /// may hold anything.
    pub fn fill(&self, first: usize, count: usize) {
        if count == 0 || count > PIXELS || first + count > self.width {
            return;
        }
        match self.tile.patch.straight {
            true => self.spread(first),
            false => {
                self.gather(first, count);
                self.interleave();
            }
        }
    }
}

#[cfg(goldcrest_mve)]
impl Row<'_> {
    /// Puts the runs of each of `count` pixels behind each other.
    fn gather(&self, first: usize, count: usize) {
        let patch = &self.tile.patch;
        let source = self.source.at(first);
        let back = patch.runs.length.next_multiple_of(VECTOR) - patch.pitch;
        let call = helium::Gather { gap: self.gap, count, pitch: patch.pitch, back };
        let short = patch.runs.per_row == 1 && patch.runs.length <= VECTOR;
        let gather = if short { helium::gather_short } else { helium::gather };
        // SAFETY: every run of the row lies in the ring, which `Tile::row` saw and `Rows` keeps; four whole
        // patches fit the memory they are gathered in, which `Tile::new` saw.
        unsafe { gather(self.tile.gathered.as_ptr().cast_mut().cast(), &source, &call) };
    }

    /// Copies the runs of four pixels into the tile.
    fn spread(&self, first: usize) {
        let source = self.source.at(first);
        let tile = self.tile.words.as_ptr().cast_mut().cast();
        // SAFETY: every run of the row lies in the ring, behind which stands the tile, so the last vector of
        // a run may end beyond it; straight patches have four pixels; the tile holds them and is aligned to
        // words.
        unsafe { helium::spread(tile, &source, source.length.div_ceil(VECTOR)) };
    }

    /// Copies the gathered patches into the tile.
    fn interleave(&self) {
        let bytes = self.tile.vectors * VECTOR;
        let source = helium::Source {
            base: self.tile.gathered.as_ptr().cast(),
            row: 0,
            row_step: 0,
            ring: 1,
            rows: 1,
            runs: 1,
            run_step: 0,
            length: bytes,
            pixel_step: bytes,
        };
        let tile = self.tile.words.as_ptr().cast_mut().cast();
        // SAFETY: both hold four patches, which `Tile::new` saw; the tile is aligned to words.
        unsafe { helium::spread(tile, &source, self.tile.vectors) };
    }
}

#[cfg(not(goldcrest_mve))]
impl Row<'_> {
    /// Calls `each` with every run of a pixel.
    fn runs(&self, pixel: usize, each: &mut dyn FnMut(&[Cell<i8>])) {
        let Runs { height, per_row, length, step, pixel_step } = self.tile.patch.runs;
        for row in 0..height {
            for run in 0..per_row {
                let start = pixel * pixel_step + run * step;
                each(part(self.rows.row(row), start, length));
            }
        }
    }

    /// Puts the runs of each of `count` pixels behind each other.
    fn gather(&self, first: usize, count: usize) {
        let patches = self.tile.gathered.chunks_exact(self.tile.vectors * VECTOR);
        for (pixel, patch) in patches.take(count).enumerate() {
            let mut place = patch.chunks(self.tile.patch.pitch);
            self.runs(first + pixel, &mut |run| place.next().into_iter().for_each(|to| copy(run, to)));
        }
    }

    /// Copies the runs of four pixels into the tile.
    fn spread(&self, first: usize) {
        for pixel in 0..PIXELS {
            let mut place = self.tile.words.chunks_exact(VECTOR / 4).skip(pixel).step_by(PIXELS);
            self.runs(first + pixel, &mut |run| {
                run.chunks(VECTOR).zip(&mut place).for_each(|(vector, words)| words_of(vector, words));
            });
        }
    }

    /// Copies the gathered patches into the tile.
    fn interleave(&self) {
        for (pixel, patch) in self.tile.gathered.chunks_exact(self.tile.vectors * VECTOR).enumerate() {
            let place = self.tile.words.chunks_exact(VECTOR / 4).skip(pixel).step_by(PIXELS);
            patch.chunks_exact(VECTOR).zip(place).for_each(|(vector, words)| words_of(vector, words));
        }
    }
}

/// Copies bytes into words; missing ones are 0.
#[cfg(not(goldcrest_mve))]
fn words_of(bytes: &[Cell<i8>], words: &[Cell<u32>]) {
    for (word, bytes) in words.iter().zip(bytes.chunks(4)) {
        let byte = |at: usize| bytes.get(at).map_or(0, |byte| byte.get() as u8);
        word.set(u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]));
    }
}

#[cfg(goldcrest_mve)]
mod helium {
    use core::arch::naked_asm;

    /// Where runs stand, in the order of the registers that load it.
    #[derive(Clone, Copy, Debug)]
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

    impl Source {
        /// The same from a pixel on.
        #[inline]
        pub fn at(&self, pixel: usize) -> Self {
            Self { base: self.base.wrapping_add(pixel * self.pixel_step), ..*self }
        }
    }

    /// How runs and patches follow each other.
    #[repr(C)]
    pub struct Gather {
        /// Bytes that fill a patch up to whole vectors.
        pub gap: usize,
        /// Patches, at least one.
        pub count: usize,
        /// Bytes from one run to the next.
        pub pitch: usize,
        /// Bytes of the last vector of a run that are not of the run but of the next.
        pub back: usize,
    }

    /// Advances r4 to the next row: r5 step, r6 bytes of the ring.
    macro_rules! next_row {
        () => {
            "add r4, r4, r5\ncmp r4, r6\nit hs\nsubhs r4, r4, r6\n"
        };
    }

    /// Puts runs of up to 16 bytes, one per row, behind each other. r3 base, r7 rows, r10 pitch, r11 pixel
    /// step.
    #[unsafe(naked)]
    pub unsafe extern "C" fn gather_short(patches: *mut i8, source: &Source, call: &Gather) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "ldm r1, {{r3-r11}}",
            "ldrd r8, r9, [r2]",
            "vctp.8 r10",
            "ldr r10, [r2, #8]",
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
            "ldr r12, [r2, #12]",
            "subs r8, #1",
            "sub r0, r0, r12",
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

    /// Copies runs of `vectors` vectors of four pixels into a tile. r3 base, r7 rows left, r8 runs left,
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
