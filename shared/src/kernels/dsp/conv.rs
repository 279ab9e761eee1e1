//! Convolution without groups. Weights per pair of output channels: where the sums start (`bias a`, then
//! `256 bias b + bias a`), `[run][four taps][even, odd]`, each a word of two taps and two channels, the
//! multipliers, and `0x7fff` plus the zero point in the upper half; an odd last channel is paired with the one before it again.

use core::cell::Cell;

use super::super::output::Output;
use super::super::rows::{self, Rows};
use super::super::{Needs, product, window_fits};
use super::multiply::{Multiply, pair_bytes};
use super::patch::Patch;
use super::{HEIGHT, PIXELS, bounds};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record, Slot};
use crate::shape::Padding;

/// Bytes for the outputs of a tile where the rows have fewer than four pixels.
fn staging_bytes(record: &Record) -> u64 {
    let output = record.output.shape;
    if output.width < PIXELS { product([PIXELS, output.channels]).next_multiple_of(4) } else { 0 }
}

pub fn needs(record: &Record) -> Option<Needs> {
    let outputs = record.output.shape.channels;
    if !window_fits(record) || record.groups != 1 || outputs < 2 || record.window.kernel[0] > HEIGHT {
        return None;
    }
    let (patch, pairs) = (Patch::new(record), outputs.div_ceil(2));
    let scratch = [rows::scratch_bytes(record), patch.tile_bytes(), staging_bytes(record)];
    Some(Needs {
        weights: pair_bytes(patch.quads()).saturating_mul(pairs as u64),
        channels: 0,
        scratch: scratch.into_iter().fold(0, u64::saturating_add),
    })
}

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let patch = Patch::new(record);
    let (tile_bytes, staging_bytes) = (patch.tile_bytes() as usize, staging_bytes(record) as usize);
    let scratch = record.scratch.0;
    let tile = arena.words(scratch, tile_bytes);
    let staging = arena.values(scratch + tile_bytes, staging_bytes);
    let ring = arena.values(scratch + tile_bytes + staging_bytes, rows::scratch_bytes(record) as usize);
    let values = arena.values(record.input.offset, input.len());
    let mut rows = Rows::new(record, ring, values);
    let last = Output::new(record);
    let Some(multiply) = Multiply::new(layer, &last, patch.quads() as usize, tile) else { return };
    let bytes = output.width * output.channels;
    let in_place = reads_in_place(record);
    for y in 0..output.height {
        let mut sources = [&[][..]; HEIGHT];
        if in_place {
            let length = input.width * input.channels;
            sources[0] = part(values, y * record.window.stride[0] * length, length);
        } else {
            rows.load(y);
            sources
                .iter_mut()
                .zip(0..record.window.kernel[0])
                .for_each(|(source, tap)| *source = rows.row(tap));
        }
        let row = part(target, y * bytes, bytes);
        if output.width < PIXELS {
            patch.fill_some(tile, &sources, output.width);
            multiply.run(staging);
            rows::copy(staging, row);
        } else {
            tiles(&patch, tile, &multiply, &sources, row, output.channels);
        }
        bounds::apply(&last, row);
    }
}

/// Whether rows need no copy: a window of one value meets no border, its output lies elsewhere, and whole words
/// are read.
fn reads_in_place(record: &Record) -> bool {
    let end = |slot: &Slot| slot.offset + slot.shape.len();
    let apart = end(&record.input) <= record.output.offset || end(&record.output) <= record.input.offset;
    let single = record.window.kernel == [1, 1] && record.window.padding == Padding::default();
    single && apart && record.input.shape.channels.is_multiple_of(4)
}

/// A row of four outputs or more. A function of its own, so that what the loop needs finds room in registers.
#[inline(never)]
fn tiles(
    patch: &Patch,
    tile: &[Cell<u32>],
    multiply: &Multiply<'_>,
    sources: &[&[Cell<i8>]; HEIGHT],
    row: &[Cell<i8>],
    channels: usize,
) {
    let width = row.len() / channels;
    let mut x = 0;
    loop {
        patch.fill(tile, sources, x);
        multiply.run(row.get(x * channels..).unwrap_or_default());
        if x + PIXELS >= width {
            return;
        }
        // The last tile may repeat pixels: their patches are still in the ring.
        x = (x + PIXELS).min(width - PIXELS);
    }
}
