//! The last input rows of a sliding window, copied into scratch memory and padded.
//!
//! A convolution that reads its input only through here may write its output over it: a row is
//! copied before the first output row that needs it is written. It also meets no border: padding
//! is in the copy.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::product;
use crate::engine::part;
use crate::image::Record;
use crate::shape::{Shape, Window};

/// Bytes behind each row that word-wise readers may read and ignore.
const SLACK: usize = 4;

/// A ring of padded rows. Row `v` counts in the padded input: 0 is the first row of padding.
#[derive(Debug)]
pub struct Rows<'a> {
    ring: &'a [Cell<i8>],
    input: &'a [Cell<i8>],
    shape: Shape,
    window: Window,
    zero: i8,
    /// Rows in the ring.
    count: usize,
    /// Bytes from one row of the ring to the next.
    pitch: usize,
    /// Rows copied so far.
    loaded: usize,
    /// Where in the ring row `loaded` goes.
    slot: usize,
    /// Where in the ring the first row of the current output row stands.
    first: usize,
    /// The first row of the current output row.
    top: usize,
}

/// Rows a window covers.
fn reach(window: &Window) -> usize {
    window.kernel[0].saturating_sub(1).saturating_mul(window.dilation[0]).saturating_add(1)
}

/// Bytes of one padded row with its slack, a multiple of 4.
fn pitch(input: Shape, window: &Window) -> u64 {
    let columns = input.width as u64 + window.padding.left as u64 + window.padding.right as u64;
    columns.saturating_mul(input.channels as u64).saturating_add(SLACK as u64).next_multiple_of(4)
}

/// Scratch bytes of the ring.
pub fn scratch_bytes(record: &Record) -> u64 {
    pitch(record.input.shape, &record.window).saturating_mul(reach(&record.window) as u64)
}

/// How far an output must start before its input, when its rows are written one after the other and the rows
/// under their windows were copied before.
#[cfg(feature = "pack")]
pub fn row_by_row(record: &Record, _which: usize) -> Option<i64> {
    let rows = (0..record.output.shape.height).map(|row| (row, row + 1));
    Some(distance(record, rows))
}

/// The distance for a kernel that has copied the rows under the window of an output row (the first of each
/// pair) when it writes output rows up to another one (the second).
#[cfg(feature = "pack")]
pub fn distance(record: &Record, rows: impl Iterator<Item = (usize, usize)>) -> i64 {
    let (input, output, window) = (record.input.shape, record.output.shape, &record.window);
    let copied = |row: usize| {
        let rows = (row * window.stride[0] + reach(window)).saturating_sub(window.padding.top);
        product([rows.min(input.height), input.width, input.channels]) as usize
    };
    let distances = rows.map(|(row, end)| (copied(row), end * output.width * output.channels));
    // Where all rows are copied before the first is written, anywhere over the input will do.
    distances
        .filter(|&(copied, _)| copied < input.len())
        .map(|(copied, written)| written as i64 - copied as i64)
        .max()
        .unwrap_or(-(output.len() as i64))
}

impl<'a> Rows<'a> {
    /// An empty ring in scratch memory of [`scratch_bytes`].
    pub fn new(record: &Record, scratch: &'a [Cell<i8>], input: &'a [Cell<i8>]) -> Self {
        let (shape, window) = (record.input.shape, record.window);
        let (count, pitch) = (reach(&window), pitch(shape, &window) as usize);
        let ring = part(scratch, 0, count * pitch);
        // What lies between the margins is copied before it is read.
        let inner = shape.width * shape.channels;
        for row in ring.chunks(pitch.max(1)) {
            let (left, rest) = row.split_at(row.len().min(window.padding.left * shape.channels));
            let margins = left.iter().chain(rest.get(inner..).unwrap_or_default());
            margins.for_each(|value| value.set(record.input_zero));
        }
        let zero = record.input_zero;
        Self { ring, input, shape, window, zero, count, pitch, loaded: 0, slot: 0, first: 0, top: 0 }
    }

    /// Copies the rows that an output row needs; to be called with 0, 1, 2, ...
    pub fn load(&mut self, output_row: usize) {
        let top = output_row * self.window.stride[0];
        self.first += top - self.top;
        self.top = top;
        // A stride beyond the window skips rows, which then are never copied.
        if self.loaded < top {
            self.slot += top - self.loaded;
            self.loaded = top;
        }
        self.first = wrap(self.first, self.count);
        self.slot = wrap(self.slot, self.count);
        while self.loaded < top + self.count {
            self.copy();
        }
    }

    fn copy(&mut self) {
        let bytes = product([self.shape.width, self.shape.channels]) as usize;
        let margin = self.window.padding.left * self.shape.channels;
        let target = part(self.ring, self.slot * self.pitch + margin, bytes);
        match self.loaded.checked_sub(self.window.padding.top) {
            Some(row) if row < self.shape.height => {
                copy(part(self.input, row * bytes, bytes), target);
            }
            _ => target.iter().for_each(|to| to.set(self.zero)),
        }
        self.loaded += 1;
        self.slot = wrap(self.slot + 1, self.count);
    }

    /// The padded row that row `tap` of the kernel sees at the current output row.
    #[inline]
    pub fn row(&self, tap: usize) -> &'a [Cell<i8>] {
        part(self.ring, self.start(tap), self.pitch)
    }

    /// Where in the ring that row starts.
    #[inline]
    pub fn start(&self, tap: usize) -> usize {
        let slot = self.first + tap * self.window.dilation[0];
        let slot = if slot >= self.count { slot - self.count } else { slot };
        slot * self.pitch
    }

    /// Bytes from a row under the window to the next, which begins again at the end of the ring.
    #[cfg(goldcrest_mve)]
    pub fn step(&self) -> usize {
        self.window.dilation[0] * self.pitch
    }

    /// The ring itself.
    #[cfg(goldcrest_mve)]
    pub fn ring(&self) -> &'a [Cell<i8>] {
        self.ring
    }

    /// Bytes of a row.
    pub fn pitch(&self) -> usize {
        self.pitch
    }
}

/// Copies as many values as both slices have, words at a time. The slices do not overlap: one of them is
/// scratch memory.
pub fn copy(from: &[Cell<i8>], to: &[Cell<i8>]) {
    let count = from.len().min(to.len());
    let (from, to) = (from.as_ptr().cast::<i8>(), to.as_ptr().cast_mut().cast::<i8>());
    #[cfg(all(goldcrest_dsp, not(goldcrest_mve)))]
    use super::dsp::copy::copy;
    #[cfg(goldcrest_mve)]
    use super::mve::copy::copy;
    #[cfg(not(any(goldcrest_dsp, goldcrest_mve)))]
    unsafe fn copy(to: *mut i8, from: *const i8, count: usize) {
        // SAFETY: as the caller promises; this form also allows an overlap.
        unsafe { core::ptr::copy(from, to, count) }
    }
    // SAFETY: both slices hold `count` values and do not overlap, and cells may be written through shared
    // references.
    unsafe { copy(to, from, count) }
}

/// `slot` modulo `count`, for a slot that is rarely beyond twice the count: cores without a divider
/// subtract faster.
#[inline]
fn wrap(mut slot: usize, count: usize) -> usize {
    while slot >= count && count > 0 {
        slot -= count;
    }
    slot
}
