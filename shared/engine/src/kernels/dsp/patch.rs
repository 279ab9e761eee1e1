//! The patches under four neighbouring output pixels, widened to halfwords for SMLAD.
//!
//! A patch is a list of runs of neighbouring bytes in the rows under the window; each run is filled
//! up to a multiple of 4 (whatever follows it meets weights of 0). Four bytes `k0 k1 k2 k3` of a run
//! become two words `k0 k2` and `k1 k3`. The words of the four pixels stand side by side:
//! `[four bytes][even, odd][pixel]`.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::product;
use super::super::runs::Runs;
use super::super::simd::{even, odd};
use super::PIXELS;
use crate::engine::part;
use crate::image::Record;

/// The patches of a layer in tiles.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    pub runs: Runs,
    /// Groups of four bytes per run.
    pub quads: usize,
    /// Words of a tile.
    #[cfg(goldcrest_dsp)]
    pub words: usize,
}

impl Patch {
    /// The patches of a layer without groups.
    pub fn new(record: &Record) -> Self {
        let runs = Runs::new(record);
        let quads = runs.length.div_ceil(4);
        Self {
            runs,
            quads,
            #[cfg(goldcrest_dsp)]
            words: product([runs.height, runs.per_row, quads, 2 * PIXELS]) as usize,
        }
    }

    /// Groups of four values in the whole patch.
    pub fn quads(&self) -> u64 {
        product([self.runs.height, self.runs.per_row, self.quads])
    }

    /// Scratch bytes of a tile.
    pub fn tile_bytes(&self) -> u64 {
        self.quads().saturating_mul((8 * PIXELS) as u64)
    }

    /// Fills a tile with the patches of `count` output pixels from `first` on; the words of other pixels keep
    /// what they held.
    pub fn fill(&self, tile: &[Cell<u32>], sources: &[&[Cell<i8>]], first: usize, count: usize) {
        let Runs { per_row, step, pixel_step, .. } = self.runs;
        let words = 2 * PIXELS * self.quads;
        let runs = sources.iter().flat_map(|row| (0..per_row).map(move |run| (row, run)));
        for ((row, run), target) in runs.zip(tile.chunks_exact(words.max(1))) {
            for pixel in 0..count.min(PIXELS) {
                let start = (first + pixel) * pixel_step + run * step;
                widen(part(row, start, 4 * self.quads), target, pixel);
            }
        }
    }
}

#[cfg(goldcrest_dsp)]
pub mod armv7em {
    use core::arch::naked_asm;

    /// Four bytes of four pixels. r0 bytes, r1 tile, r3, r12 and lr one, two and three steps.
    macro_rules! quad {
        () => {
            concat!(
                "ldr r9, [r0, r3]\n",
                "ldr r10, [r0, r12]\n",
                "ldr r11, [r0, lr]\n",
                "ldr r8, [r0], #4\n",
                "sxtb16 r4, r8\n",
                "sxtb16 r5, r9\n",
                "sxtb16 r6, r10\n",
                "sxtb16 r7, r11\n",
                "sxtb16 r8, r8, ror #8\n",
                "sxtb16 r9, r9, ror #8\n",
                "sxtb16 r10, r10, ror #8\n",
                "sxtb16 r11, r11, ror #8\n",
                "stm r1!, {{r4-r11}}\n",
            )
        };
    }

    /// Widens `quads` > 0 groups of 4 bytes of four runs, `step` bytes apart, and leaves the end of what it
    /// wrote in r1.
    #[unsafe(naked)]
    pub unsafe extern "C" fn widen_four(bytes: *const i8, tile: *mut u32, quads: usize, step: usize) {
        naked_asm!(
            super::super::cpu!(),
            "push {{r4-r11, lr}}",
            "lsl r12, r3, #1",
            "add lr, r12, r3",
            "lsrs r2, r2, #1",
            "bcc 3f",
            quad!(),
            "cbz r2, 4f",
            "3:",
            quad!(),
            quad!(),
            "subs r2, #1",
            "bne 3b",
            "4:",
            "pop {{r4-r11, pc}}",
        )
    }
}

/// Widens bytes into the words of one pixel of a tile.
#[inline]
fn widen(bytes: &[Cell<i8>], tile: &[Cell<u32>], pixel: usize) {
    let quads = bytes.len() / 4;
    if tile.len() < 2 * PIXELS * quads || pixel >= PIXELS {
        return;
    }
    let mut source = bytes.as_ptr().cast::<u32>();
    let mut target = tile.as_ptr().cast_mut().cast::<u32>().wrapping_add(pixel);
    for _ in 0..quads {
        // SAFETY: `source` stands at one of the `quads` groups of 4 bytes, `target` at word `pixel` < 4
        // of one of as many groups of 8 words; cells may be written through shared references.
        unsafe {
            let word = source.read_unaligned();
            target.write(even(word));
            target.wrapping_add(PIXELS).write(odd(word));
        }
        source = source.wrapping_add(1);
        target = target.wrapping_add(2 * PIXELS);
    }
}
