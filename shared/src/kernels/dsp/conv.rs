//! Convolution without groups. Weights per pair of output channels: where the sums start (`bias a`, then
//! `256 bias b + bias a`), `[run][four taps][even, odd]`, each a word of two taps and two channels, and the
//! multipliers; an odd last channel is paired with the one before it again.

use super::super::output::Output;
use super::super::rows::{self, Rows};
use super::super::{Needs, product, window_fits};
use super::multiply::{Multiply, pair_bytes};
use super::patch::Patch;
use super::{PIXELS, bounds};
use crate::engine::{Arena, part};
use crate::image::{Layer, Record};

/// Bytes for the outputs of a tile where the rows have fewer than four pixels.
fn staging_bytes(record: &Record) -> u64 {
    let output = record.output.shape;
    if output.width < PIXELS { product([PIXELS, output.channels]).next_multiple_of(4) } else { 0 }
}

pub fn needs(record: &Record) -> Option<Needs> {
    let outputs = record.output.shape.channels;
    if !window_fits(record) || record.groups != 1 || outputs < 2 {
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

pub fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let patch = Patch::new(record);
    let (tile_bytes, staging_bytes) = (patch.tile_bytes() as usize, staging_bytes(record) as usize);
    let scratch = record.scratch.0;
    let tile = arena.words(scratch, tile_bytes);
    let staging = arena.values(scratch + tile_bytes, staging_bytes);
    let ring = arena.values(scratch + tile_bytes + staging_bytes, rows::scratch_bytes(record) as usize);
    let mut rows = Rows::new(record, ring, arena.values(record.input.offset, input.len()));
    let last = Output::new(record);
    let multiply = Multiply::new(layer, &last, patch.quads() as usize, output.channels);
    let bytes = output.width * output.channels;
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        if output.width < PIXELS {
            patch.fill(tile, &rows, 0, output.width);
            multiply.run(tile, staging);
            rows::copy(staging, row);
            bounds::apply(&last, row);
            continue;
        }
        let mut x = 0;
        while x < output.width {
            // The last tile of a row may repeat pixels: their patches are still in the ring.
            x = x.min(output.width - PIXELS);
            patch.fill(tile, &rows, x, PIXELS);
            multiply.run(tile, part(row, x * output.channels, PIXELS * output.channels));
            x += PIXELS;
        }
        bounds::apply(&last, row);
    }
}
