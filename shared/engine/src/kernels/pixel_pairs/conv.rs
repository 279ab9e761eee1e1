//! Convolution without groups. Weights `[block of four output channels][two taps][channel][tap]`, filled
//! up with zeros to whole blocks and to a multiple of four taps; taps count rows, columns and input
//! channels of the window in this order.

use core::cell::Cell;

use super::super::output::Output;
#[cfg(feature = "pack")]
use super::super::packing::Packing;
use super::super::rows::{self, Rows};
use super::super::{Kernel, Needs, product, window_fits};
use super::multiply::{self, CHANNELS};
use super::tile::{PIXELS, Patch};
use crate::engine::{Arena, part};
use crate::image::{Entry, Layer, Record};

/// Convolution without groups, two pixels per multiplication, on cores without DSP instructions.
pub static PIXEL_PAIR_CONV: Kernel = Kernel {
    id: 16,
    name: "pixel-pair-conv",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing {
        // A tile for less than two pixels is mostly empty.
        suits: |layer| {
            let Record { groups, output, .. } = layer.record;
            layer.is_convolution(8) && groups == 1 && output.shape.width > 1 && !layer.spares_flash()
        },
        order: pack::order,
        overlap: rows::row_by_row,
    },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use super::CHANNELS;
    use crate::kernels::packing::{Constants, LayerSpec};
    use crate::kernels::pixel_pairs::tile::TAPS;

    /// Weights in blocks of channels and pairs of taps.
    pub fn order(layer: &LayerSpec<'_>) -> Constants {
        let (outputs, taps) = (layer.channels.len(), layer.taps().next_multiple_of(TAPS));
        let mut weights = Vec::with_capacity(outputs.next_multiple_of(CHANNELS) * taps);
        for block in (0..outputs).step_by(CHANNELS) {
            for pair in (0..taps).step_by(2) {
                for channel in block..block + CHANNELS {
                    let of_channel = layer.of_channel(channel);
                    weights.extend([pair, pair + 1].map(|tap| of_channel.get(tap).copied().unwrap_or(0)));
                }
            }
        }
        layer.with_weights(weights)
    }
}

fn needs(record: &Record) -> Option<Needs> {
    if !window_fits(record) || record.groups != 1 {
        return None;
    }
    let (patch, outputs) = (Patch::new(record), record.output.shape.channels);
    Some(Needs {
        weights: patch.taps().saturating_mul(outputs.next_multiple_of(CHANNELS) as u64),
        channels: outputs as u64,
        scratch: rows::scratch_bytes(record).saturating_add(patch.tile_bytes()),
    })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let patch = Patch::new(record);
    let tile_bytes = patch.tile_bytes() as usize;
    let tile = arena.words(record.scratch.0, tile_bytes);
    let ring = arena.values(record.scratch.0 + tile_bytes, rows::scratch_bytes(record) as usize);
    let mut rows = Rows::new(record, ring, arena.values(record.input.offset, input.len()));
    let last = Output::new(record);
    let bytes = product([output.width, output.channels]) as usize;
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        for x in (0..output.width).step_by(PIXELS) {
            let count = PIXELS.min(output.width - x);
            patch.fill(tile, &rows, x, count);
            outputs(layer, &last, tile, part(row, x * output.channels, count * output.channels));
        }
    }
}

/// All output channels of the pixels of a tile.
#[inline(never)]
fn outputs(layer: &Layer<'_>, last: &Output, tile: &[Cell<u32>], target: &[Cell<i8>]) {
    if last.is_plain() {
        #[cfg(goldcrest_armv7)]
        multiply::plain(tile, layer.weights, layer.channels, last, target);
        #[cfg(not(goldcrest_armv7))]
        blocks(layer, tile, target, |sum, multiplier| last.plain_value(sum, multiplier));
    } else {
        blocks(layer, tile, target, |sum, multiplier| last.value(sum, multiplier));
    }
}

/// The same by a function from sums and multipliers to values.
fn blocks(layer: &Layer<'_>, tile: &[Cell<u32>], target: &[Cell<i8>], value: impl Fn(i32, i32) -> i8) {
    let pitch = layer.record.output.shape.channels;
    let bytes = tile.len() / (PIXELS / 2) * CHANNELS;
    let (mut weights, mut target) = (layer.weights, target);
    for channels in layer.channels.chunks(CHANNELS) {
        let mut sums = [[0; PIXELS]; CHANNELS];
        multiply::block(tile, part(weights, 0, bytes), channels.len(), &mut sums);
        for (channel, (sums, constants)) in sums.iter().zip(channels).enumerate() {
            let mut at = channel;
            for sum in sums {
                if let Some(place) = target.get(at) {
                    place.set(value(sum.wrapping_add(constants.bias), constants.multiplier));
                }
                at += pitch;
            }
        }
        weights = weights.get(bytes..).unwrap_or_default();
        target = target.get(channels.len()..).unwrap_or_default();
    }
}
