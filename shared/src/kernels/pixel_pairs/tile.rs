//! The patches under four neighbouring output pixels, as two words per tap: pixels 0 and 1, pixels 2
//! and 3, the first of a pair in the lower half.

use core::cell::Cell;

use super::super::product;
use super::super::rows::Rows;
use crate::engine::part;
use crate::image::Record;

/// Output pixels in a tile.
pub const PIXELS: usize = 4;

/// Taps per round of the loops: patches are filled up to a multiple of it. What stands there meets
/// weights of 0.
pub const TAPS: usize = 4;

/// Words per tap.
const WORDS: usize = PIXELS / 2;

/// Where the values of a patch stand in the rows under the window.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// Kernel rows.
    height: usize,
    /// Runs of neighbouring values per row.
    runs: usize,
    /// Values per run.
    length: usize,
    /// Values from one run to the next.
    run_step: usize,
    /// Values from one pixel to the next.
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
            length,
            run_step: window.dilation[1] * channels,
            pixel_step: window.stride[1] * channels,
        }
    }

    /// Taps with those that fill the last round.
    pub fn taps(&self) -> u64 {
        product([self.height, self.runs, self.length]).next_multiple_of(TAPS as u64)
    }

    /// Scratch bytes of a tile.
    pub fn tile_bytes(&self) -> u64 {
        self.taps().saturating_mul(4 * WORDS as u64)
    }

    /// Fills a tile with the patches of four output pixels from `first` on; where only `count` are left,
    /// the last one stands for the others.
    pub fn fill(&self, tile: &[Cell<u32>], rows: &Rows<'_>, first: usize, count: usize) {
        let words = WORDS * self.length;
        let mut at = 0;
        for tap in 0..self.height {
            let row = rows.row(tap);
            for run in 0..self.runs {
                let start = first * self.pixel_step + run * self.run_step;
                let values = [0, 1, 2, 3].map(|pixel: usize| {
                    part(row, start + pixel.min(count - 1) * self.pixel_step, self.length)
                });
                pair(values, part(tile, at, words));
                at += words;
            }
        }
    }
}

/// Two words per value of four runs of one length.
#[inline(always)]
fn pair([a, b, c, d]: [&[Cell<i8>]; PIXELS], tile: &[Cell<u32>]) {
    let word = |low: &Cell<i8>, high: &Cell<i8>| {
        i32::from(low.get()).wrapping_add(i32::from(high.get()) << 16) as u32
    };
    let values = a.iter().zip(b).zip(c.iter().zip(d));
    for ([first, second], ((a, b), (c, d))) in tile.as_chunks::<WORDS>().0.iter().zip(values) {
        first.set(word(a, b));
        second.set(word(c, d));
    }
}
