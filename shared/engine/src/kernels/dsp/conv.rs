//! Convolution without groups. Weights per pair of output channels: where the sums start (`bias a`, then
//! `256 bias b + bias a`), `[run][four taps][even, odd]`, each a word of two taps and two channels, the
//! multipliers, and `0x7fff` plus the zero point in the upper half; an odd last channel is paired with the
//! one before it again. With weights of four bits a word holds four taps of both channels, and the second sum
//! starts at `16 bias b + bias a`.

use super::super::output::Output;
#[cfg(feature = "pack")]
use super::super::packing::Packing;
use super::super::rows::{self, Rows};
use super::super::{Kernel, Needs, product, window_fits};
use super::multiply::{Multiply, pair_bytes};
use super::patch::Patch;
use super::tiles::Tiles;
use super::{HEIGHT, PIXELS, bounds};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record, Slot};
use crate::shape::Padding;

/// Convolution without groups on cores with DSP instructions.
pub static DSP_CONV: Kernel = Kernel {
    id: 34,
    name: "dsp-conv",
    needs: needs::<8>,
    run: run::<8>,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits::<8>, order: pack::order::<8>, overlap: pack::overlap },
};

/// The same for weights of four bits.
pub static DSP_INT4_CONV: Kernel = Kernel {
    id: 40,
    name: "dsp-int4-conv",
    needs: needs::<4>,
    run: run::<4>,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits::<4>, order: pack::order::<4>, overlap: pack::overlap },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use super::{HEIGHT, is_flat};
    use crate::image::Record;
    use crate::kernels::dsp::packing::{self, le_bytes, pair_constants, pairs, run_words};
    use crate::kernels::packing::{Constants, LayerSpec};
    use crate::kernels::rows;
    use crate::kernels::runs::Runs;

    pub fn suits<const BITS: usize>(layer: &LayerSpec<'_>) -> bool {
        let record = &layer.record;
        let small =
            record.window.kernel[0] <= HEIGHT && record.groups == 1 && record.output.shape.channels > 1;
        packing::is_convolution(layer, BITS) && packing::fits_pairs(layer) && small
    }

    /// Pairs of channels with their constants.
    pub fn order<const BITS: usize>(layer: &LayerSpec<'_>) -> Constants {
        let length = Runs::new(&layer.record).length;
        let mut weights = Vec::new();
        for first in pairs(layer.channels.len()) {
            let [a, b] = pair_constants::<BITS>(layer.channel(first), layer.channel(first + 1));
            let runs = layer.of_channel(first).chunks(length).zip(layer.of_channel(first + 1).chunks(length));
            weights.extend(le_bytes([a.bias, b.bias]));
            weights.extend(runs.flat_map(|(a, b)| run_words::<BITS>(a, b)).flatten());
            weights.extend(le_bytes([a.multiplier, b.multiplier, packing::rounding(layer)]));
        }
        Constants { weights, channels: Vec::new() }
    }

    /// Where the whole input is like one row, four pixels are read before their outputs are written.
    pub fn overlap(record: &Record, which: usize) -> Option<i64> {
        if !is_flat(record) {
            return rows::row_by_row(record, which);
        }
        let (input, output) = (record.input.shape.channels as i64, record.output.shape.channels as i64);
        let pixels = (record.output.shape.height * record.output.shape.width) as i64;
        // Behind each four but the last; the greatest distance is behind the first or behind the last of
        // them.
        let [first, last] = [4, (pixels - 1) / 4 * 4].map(|read| read * (output - input));
        Some(if pixels <= 4 { -(record.output.shape.len() as i64) } else { first.max(last) })
    }
}

/// Bytes for the outputs of a tile where fewer than four pixels are wanted.
fn staging_bytes(record: &Record) -> u64 {
    let output = record.output.shape;
    let partial = if is_flat(record) {
        !(output.height * output.width).is_multiple_of(PIXELS)
    } else {
        output.width < PIXELS
    };
    if partial { product([PIXELS, output.channels]).next_multiple_of(4) } else { 0 }
}

/// Bytes of the ring of rows.
fn ring_bytes(record: &Record) -> u64 {
    if is_flat(record) { 0 } else { rows::scratch_bytes(record) }
}

fn needs<const BITS: usize>(record: &Record) -> Option<Needs> {
    let outputs = record.output.shape.channels;
    if !window_fits(record) || record.groups != 1 || outputs < 2 || record.window.kernel[0] > HEIGHT {
        return None;
    }
    let (patch, pairs) = (Patch::new(record), outputs.div_ceil(2));
    let scratch = [ring_bytes(record), patch.tile_bytes(), staging_bytes(record)];
    Some(Needs {
        weights: pair_bytes::<BITS>(patch.quads()).saturating_mul(pairs as u64),
        channels: 0,
        scratch: scratch.into_iter().fold(0, u64::saturating_add),
    })
}

fn run<const BITS: usize>(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let patch = Patch::new(record);
    let (tile_bytes, staging_bytes) = (patch.tile_bytes() as usize, staging_bytes(record) as usize);
    let scratch = record.scratch.0;
    let tile = arena.words(scratch, tile_bytes);
    let staging = arena.values(scratch + tile_bytes, staging_bytes);
    let values = arena.values(record.input.offset, input.len());
    let last = Output::new(record);
    let Some(multiply) = Multiply::<BITS>::new(layer, &last, patch.quads() as usize, tile) else { return };
    let tiles = Tiles { patch, tile, multiply, staging, channels: output.channels };
    if is_flat(record) {
        let pixels = output.height * output.width;
        let whole = pixels - pixels % PIXELS;
        tiles.row(&[values], target, whole);
        let rest = values.get(whole * input.channels..).unwrap_or_default();
        tiles.few(&[rest], target.get(whole * output.channels..).unwrap_or_default());
        bounds::apply(&last, target);
        return;
    }
    let ring = arena.values(scratch + tile_bytes + staging_bytes, ring_bytes(record) as usize);
    let mut rows = Rows::new(record, ring, values);
    let bytes = output.width * output.channels;
    let (in_place, height) = (reads_in_place(record), record.window.kernel[0]);
    for y in 0..output.height {
        let mut sources = [&[][..]; HEIGHT];
        if in_place {
            let length = input.width * input.channels;
            sources[0] = part(values, y * record.window.stride[0] * length, length);
        } else {
            rows.load(y);
            sources.iter_mut().zip(0..height).for_each(|(source, tap)| *source = rows.row(tap));
        }
        let sources = part(&sources, 0, height);
        let row = part(target, y * bytes, bytes);
        if output.width < PIXELS {
            tiles.few(sources, row);
        } else {
            tiles.row(sources, row, output.width);
        }
        bounds::apply(&last, row);
    }
}

/// Whether a window sees one value and meets no border, and whole words are read.
fn is_single(record: &Record) -> bool {
    let single = record.window.kernel == [1, 1] && record.window.padding == Padding::default();
    single && record.input.shape.channels.is_multiple_of(4)
}

/// Whether the whole input is like one row that needs no copy: every four pixels are read before the outputs
/// of these four are written.
fn is_flat(record: &Record) -> bool {
    is_single(record) && record.window.stride == [1, 1]
}

/// Whether rows need no copy, because the output lies elsewhere.
fn reads_in_place(record: &Record) -> bool {
    let end = |slot: &Slot| slot.offset + slot.shape.len();
    let apart = end(&record.input) <= record.output.offset || end(&record.output) <= record.input.offset;
    apart && is_single(record)
}
