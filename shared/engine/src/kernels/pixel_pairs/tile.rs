//! The patches under four neighbouring output pixels, as two words per tap: pixels 0 and 1, pixels 2
//! and 3, the first of a pair in the lower half.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::super::rows::Rows;
use super::super::runs::Runs;
use crate::engine::part;
use crate::image::Record;

/// Output pixels in a tile.
pub const PIXELS: usize = 4;

/// Taps per round of the loops: patches are filled up to a multiple of it. What stands there meets
/// weights of 0.
pub const TAPS: usize = 4;

/// Words per tap.
const WORDS: usize = PIXELS / 2;

/// The patches of a layer in tiles.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    runs: Runs,
}

impl Patch {
    /// The patches of a layer without groups.
    pub fn new(record: &Record) -> Self {
        Self { runs: Runs::new(record) }
    }

    /// Taps with those that fill the last round.
    pub fn taps(&self) -> u64 {
        self.runs.values().next_multiple_of(TAPS as u64)
    }

    /// Scratch bytes of a tile.
    pub fn tile_bytes(&self) -> u64 {
        self.taps().saturating_mul(4 * WORDS as u64)
    }

    /// Fills a tile with the patches of four output pixels from `first` on; where only `count` are left,
    /// the last one stands for the others.
    pub fn fill(&self, tile: &[Cell<u32>], rows: &Rows<'_>, first: usize, count: usize) {
        let Runs { height, per_row, length, step, pixel_step } = self.runs;
        let words = WORDS * length;
        let offsets = [0, 1, 2, 3].map(|pixel: usize| pixel.min(count - 1) * pixel_step);
        let mut at = 0;
        for tap in 0..height {
            let row = rows.row(tap);
            for run in 0..per_row {
                let start = first * pixel_step + run * step;
                let values = part(row, start, offsets[PIXELS - 1] + length);
                pair(values, &offsets, part(tile, at, words));
                at += words;
            }
        }
    }
}

/// Two words per value of four runs of one length, which start at rising offsets from 0 on.
#[inline]
fn pair(values: &[Cell<i8>], offsets: &[usize; PIXELS], tile: &[Cell<u32>]) {
    let length = tile.len() / WORDS;
    if offsets[PIXELS - 1] + length > values.len() {
        return;
    }
    let (values, words) = (values.as_ptr().cast::<i8>(), tile.as_ptr().cast_mut().cast::<u32>());
    // SAFETY: every run has `length` values, as the last one has, and the tile as many pairs of words; cells
    // may be written through shared references.
    unsafe {
        #[cfg(goldcrest_armv7)]
        super::armv7m::pair(values, offsets, words, length);
        #[cfg(not(goldcrest_armv7))]
        pair_in_rust(values, offsets, words, length);
    }
}

/// The same in Rust.
///
/// # Safety
/// The values must hold `length` values behind each offset, the tile as many pairs of words to be written.
#[cfg(not(goldcrest_armv7))]
#[inline(never)]
unsafe fn pair_in_rust(values: *const i8, offsets: &[usize; PIXELS], tile: *mut u32, length: usize) {
    /// Values per round of the loop, so that the pointers move once for all of them.
    const UNROLL: usize = 4;
    let mut run = offsets.map(|offset| values.wrapping_add(offset));
    let mut words = tile;
    for _ in 0..length / UNROLL {
        for tap in 0..UNROLL {
            // SAFETY: `UNROLL` more values exist in every run, and as many pairs of words.
            unsafe { pair_tap(&run, words, tap) };
        }
        run = run.map(|run| run.wrapping_add(UNROLL));
        words = words.wrapping_add(UNROLL * WORDS);
    }
    for tap in 0..length % UNROLL {
        // SAFETY: `length % UNROLL` more values exist in every run, and as many pairs of words.
        unsafe { pair_tap(&run, words, tap) };
    }
}

/// The two words of a tap.
///
/// # Safety
/// The runs and the words must hold that tap; the words may be written.
#[cfg(not(goldcrest_armv7))]
#[inline(always)]
unsafe fn pair_tap(run: &[*const i8; PIXELS], words: *mut u32, tap: usize) {
    for word in 0..WORDS {
        // SAFETY: as the caller promises.
        unsafe {
            let [low, high] = [0, 1].map(|half: usize| i32::from(*run[2 * word + half].add(tap)));
            words.add(WORDS * tap + word).write(low.wrapping_add(high << 16) as u32);
        }
    }
}
