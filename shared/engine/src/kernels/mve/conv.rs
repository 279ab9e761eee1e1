//! Convolution without groups. Weights `[pair of output channels][vector of 16 taps][channel]`, taps as
//! `[row][column][input channel]`, or in vectors of their own for each run where that takes no more of them;
//! vectors and the last pair are filled with zeros. Channel constants fill whole blocks of eight.

#[cfg(feature = "pack")]
use super::super::Family;
#[cfg(feature = "pack")]
use super::super::packing::Packing;
use super::super::rows::{self, Rows};
#[cfg(feature = "pack")]
use super::super::runs::Runs;
use super::super::{Kernel, Needs, product, window_fits};
use super::VECTOR;
use super::dot::{PIXELS, dot};
use super::finish::{self, Finish};
#[cfg(feature = "pack")]
use super::patch::apart;
use super::patch::{Patch, Tile};
#[cfg(feature = "pack")]
use super::vectors::interleaved;
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// Convolution without groups on cores with vector instructions.
pub static MVE_CONV: Kernel = Kernel {
    id: 64,
    name: "mve-conv",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| {
            let mve = layer.preferences.family == Family::Mve;
            mve && layer.is_convolution(8) && layer.record.groups == 1
        },
        order: |layer| {
            let runs = Runs::new(&layer.record);
            interleaved(layer, 2, if apart(&runs) { runs.length } else { layer.taps() })
        },
        overlap: rows::row_by_row,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    if !window_fits(record) || record.groups != 1 {
        return None;
    }
    let (patch, pairs) = (Patch::new(record), record.output.shape.channels.div_ceil(2));
    Some(Needs {
        weights: patch.vectors().saturating_mul(product([pairs, 2 * VECTOR])),
        channels: finish::constants(record),
        scratch: scratch(record, &patch).into_iter().fold(0, u64::saturating_add),
    })
}

/// Bytes of the ring of rows, the tile, the gathered patches and the sums.
fn scratch(record: &Record, patch: &Patch) -> [u64; 4] {
    let (ring, sums) = (rows::scratch_bytes(record), finish::sum_bytes(record, PIXELS));
    [ring, patch.tile_bytes(), patch.gathered_bytes(), sums]
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let patch = Patch::new(record);
    let mut end = record.scratch.0;
    let places = scratch(record, &patch).map(|bytes| {
        let bytes = bytes as usize;
        end += bytes;
        (end - bytes, bytes)
    });
    let [ring, tile, gathered, sums] = places;
    let tile = Tile::new(patch, arena.words(tile.0, tile.1), arena.values(gathered.0, gathered.1));
    let sums = arena.words(sums.0, sums.1);
    let mut rows =
        Rows::new(record, arena.values(ring.0, ring.1), arena.values(record.input.offset, input.len()));
    let pairs = output.channels.div_ceil(2);
    let count = PIXELS.min(output.width);
    let finish = Finish::new(layer, PIXELS, count);
    let bytes = output.width * output.channels;
    for y in 0..output.height {
        rows.load(y);
        let patches = tile.row(&rows, output.width);
        let row = part(target, y * bytes, bytes);
        let mut x = 0;
        while x < output.width {
            // The last tile of a row may repeat pixels: their patches are still in the ring.
            x = x.min(output.width - count);
            patches.fill(x, count);
            dot(layer.weights, tile.words, sums, tile.vectors, pairs);
            finish.run(sums, part(row, x * output.channels, count * output.channels));
            x += PIXELS;
        }
    }
}
