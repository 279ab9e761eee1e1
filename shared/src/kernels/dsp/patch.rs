//! The patches under four neighbouring output pixels, widened to halfwords for SMLAD.
//!
//! A patch is a list of runs of neighbouring bytes in the rows under the window; each run is filled
//! up to a multiple of 4 (whatever follows it meets weights of 0). Four bytes `k0 k1 k2 k3` of a run
//! become two words `k0 k2` and `k1 k3`. The words of the four pixels stand side by side:
//! `[four bytes][even, odd][pixel]`.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::product;
use super::super::rows::Rows;
use super::super::simd::{even, odd};
use crate::engine::part;
use crate::image::Record;

/// Output pixels in a tile.
pub const PIXELS: usize = 4;

/// Where the values of a patch stand in the rows under the window.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// Kernel rows.
    height: usize,
    /// Runs per row.
    runs: usize,
    /// Groups of four bytes per run.
    quads: usize,
    /// Bytes from one run to the next.
    run_step: usize,
    /// Bytes from one pixel to the next.
    pixel_step: usize,
}

impl Patch {
    /// The patch of a layer without groups.
    pub fn new(record: &Record) -> Self {
        let (window, channels) = (&record.window, record.input.shape.channels);
        let [height, width] = window.kernel;
        // Without dilation the columns under the window lie side by side.
        let (runs, length) = if window.dilation[1] == 1 { (1, width * channels) } else { (width, channels) };
        Self {
            height,
            runs,
            quads: length.div_ceil(4),
            run_step: window.dilation[1] * channels,
            pixel_step: window.stride[1] * channels,
        }
    }

    /// Groups of four values in the whole patch.
    pub fn quads(&self) -> u64 {
        product([self.height, self.runs, self.quads])
    }

    /// Scratch bytes of a tile.
    pub fn tile_bytes(&self) -> u64 {
        self.quads().saturating_mul((8 * PIXELS) as u64)
    }

    /// Fills a tile with the patches of `count` output pixels from `first` on; the words of other pixels keep
    /// what they held.
    pub fn fill(&self, tile: &[Cell<u32>], rows: &Rows<'_>, first: usize, count: usize) {
        let words = 2 * PIXELS * self.quads;
        let mut run_start = 0;
        for tap in 0..self.height {
            let row = rows.row(tap);
            for run in 0..self.runs {
                let target = part(tile, run_start, words);
                run_start += words;
                let start = first * self.pixel_step + run * self.run_step;
                if count == PIXELS {
                    widen_four(part(row, start, 3 * self.pixel_step + 4 * self.quads), target, self);
                    continue;
                }
                for pixel in 0..count.min(PIXELS) {
                    widen(part(row, start + pixel * self.pixel_step, 4 * self.quads), target, pixel);
                }
            }
        }
    }
}

/// Widens the runs of four pixels, `pixel_step` apart, into a tile.
#[inline]
fn widen_four(bytes: &[Cell<i8>], tile: &[Cell<u32>], patch: &Patch) {
    #[cfg(goldcrest_dsp)]
    {
        let (quads, step) = (patch.quads, patch.pixel_step);
        if bytes.len() < 3 * step + 4 * quads || tile.len() < 2 * PIXELS * quads || quads == 0 {
            return;
        }
        // SAFETY: four runs of `quads` groups of 4 bytes, `step` apart, are in `bytes`; `quads` groups of
        // 8 words are in `tile`; cells may be written through shared references.
        unsafe {
            core::arch::asm!(
                "2:",
                "ldr r8, [{source}]",
                "ldr r9, [{source}, {step}]",
                "ldr r10, [{source}, {step}, lsl #1]",
                "ldr r11, [{source}, {three}]",
                "add {source}, #4",
                "sxtb16 r2, r8",
                "sxtb16 r3, r9",
                "sxtb16 r4, r10",
                "sxtb16 r5, r11",
                "sxtb16 r8, r8, ror #8",
                "sxtb16 r9, r9, ror #8",
                "sxtb16 r10, r10, ror #8",
                "sxtb16 r11, r11, ror #8",
                "subs {quads}, #1",
                "stm {target}!, {{r2, r3, r4, r5, r8, r9, r10, r11}}",
                "bne 2b",
                source = inout(reg) bytes.as_ptr() => _,
                target = inout(reg) tile.as_ptr() => _,
                quads = inout(reg) quads => _,
                step = in(reg) step,
                three = in(reg) 3 * step,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                options(nostack),
            );
        }
    }
    #[cfg(not(goldcrest_dsp))]
    for pixel in 0..PIXELS {
        widen(part(bytes, pixel * patch.pixel_step, 4 * patch.quads), tile, pixel);
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
