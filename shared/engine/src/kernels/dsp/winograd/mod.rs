//! Convolution with windows of 3 x 3, one row and column apart, as Winograd's F(2 x 2, 3 x 3) in exact
//! integers (Lavin and Gray: Fast Algorithms for Convolutional Neural Networks, 2015).
//!
//! A tile of 4 x 4 input values gives 2 x 2 outputs with 16 multiplications instead of 36: the tile becomes
//! `V = B^T d B`, the weights are stored as `U = (2 G) g (2 G)^T`, and `A^T (sum of U V over channels) A` is
//! exactly four times the sums of the convolution. `|U| <= 9 * 127` and `|V| <= 4 * 128` fit the halfwords of
//! SMLAD.
//!
//! Weights per pair of output channels: `4 bias a`, `4 bias b`, both multipliers, then `U` as `[position]
//! [four channels][even, odd][a, b]`, each a word of two channels, `c0 c2` or `c1 c3`; an odd last channel is
//! paired with the one before it again.

mod input;
mod product;

use super::super::output::Output;
#[cfg(feature = "pack")]
use super::super::packing::Packing;
use super::super::rows::{self, Rows};
use super::super::{Kernel, Needs, window_fits};
use super::bounds;
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};
use input::Tiles;
use product::Product;

/// Convolution of 3 x 3 as Winograd computes it, on cores with DSP instructions.
pub static DSP_WINOGRAD: Kernel = Kernel {
    id: 36,
    name: "dsp-winograd",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing { suits: pack::suits, order: pack::order, overlap: pack::overlap },
};

#[cfg(feature = "pack")]
mod pack {
    use alloc::vec::Vec;

    use super::{BAND, POSITIONS, band, computes};
    use crate::image::Record;
    use crate::kernels::dsp::packing::{self, halfwords, le_bytes, pairs};
    use crate::kernels::packing::{Constants, LayerSpec, Winograd};
    use crate::kernels::rows;

    /// Fewest input channels with which the transformations save more than they take.
    const CHANNELS: usize = 8;

    pub fn suits(layer: &LayerSpec<'_>) -> bool {
        let wanted = layer.preferences.winograd == Winograd::Auto && !layer.spares_flash();
        let fits = packing::is_convolution(layer, 8) && packing::fits_pairs(layer) && computes(&layer.record);
        wanted && fits && layer.record.input.shape.channels >= CHANNELS
    }

    /// Pairs of channels with their constants and transformed weights.
    pub fn order(layer: &LayerSpec<'_>) -> Constants {
        let depth = layer.record.input.shape.channels;
        let mut weights = Vec::new();
        for first in pairs(layer.channels.len()) {
            let [a, b] = [layer.channel(first), layer.channel(first + 1)];
            let starts = [a, b].map(|channel| channel.bias.wrapping_mul(4));
            weights.extend(le_bytes(starts).chain(le_bytes([a.multiplier, b.multiplier])));
            let transformed = [first, first + 1].map(|output| -> Vec<[i16; POSITIONS]> {
                let taps = layer.of_channel(output);
                (0..depth)
                    .map(|channel| transform(core::array::from_fn(|tap| taps[tap * depth + channel].into())))
                    .collect()
            });
            for position in 0..POSITIONS {
                for channel in (0..depth.next_multiple_of(4)).step_by(4) {
                    for low in [channel, channel + 1] {
                        let value = |output: &[[i16; POSITIONS]], channel: usize| {
                            output.get(channel).map_or(0, |tile| tile[position])
                        };
                        let words = transformed
                            .iter()
                            .flat_map(|output| [value(output, low), value(output, low + 2)]);
                        weights.extend(halfwords(words));
                    }
                }
            }
        }
        Constants { weights, channels: Vec::new() }
    }

    /// `(2 G) g (2 G)^T` of a window of 3 x 3.
    fn transform(window: [i16; 9]) -> [i16; POSITIONS] {
        let across = |[a, b, c]: [i16; 3]| [2 * a, a + b + c, a - b + c, 2 * c];
        let rows: [[i16; 4]; 3] =
            core::array::from_fn(|row| across([0, 1, 2].map(|column| window[3 * row + column])));
        let columns: [[i16; 4]; 4] = core::array::from_fn(|column| across(rows.map(|row| row[column])));
        core::array::from_fn(|position| columns[position % 4][position / 4])
    }

    /// Two rows are written at once; the last two may begin at an odd row.
    pub fn overlap(record: &Record, _which: usize) -> Option<i64> {
        let height = record.output.shape.height;
        let firsts = (0..height).step_by(BAND[0]).map(|row| row.min(height - BAND[0]));
        Some(rows::distance(&band(record), firsts.map(|row| (row, row + BAND[0]))))
    }
}

/// Positions of a transformed tile.
const POSITIONS: usize = 16;
/// Tiles that are computed at once, side by side.
const TILES: usize = 4;
/// Rows and columns of outputs of these tiles.
const BAND: [usize; 2] = [2, 2 * TILES];

/// The layer with four rows under its window: those under two neighbouring windows.
fn band(record: &Record) -> Record {
    let mut band = *record;
    band.window.kernel[0] = 4;
    band
}

/// Whether the kernel computes a layer of these shapes.
fn computes(record: &Record) -> bool {
    let (window, output) = (&record.window, record.output.shape);
    let dense = window.kernel == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
    dense && record.groups == 1 && output.height >= BAND[0] && output.width >= BAND[1] && output.channels >= 2
}

fn needs(record: &Record) -> Option<Needs> {
    if !window_fits(record) || !computes(record) {
        return None;
    }
    let (quads, pairs) = (record.input.shape.channels.div_ceil(4), record.output.shape.channels.div_ceil(2));
    let scratch = [Tiles::bytes(quads), Product::BYTES, rows::scratch_bytes(&band(record))];
    Some(Needs {
        weights: Product::pair_bytes(quads).saturating_mul(pairs as u64),
        channels: 0,
        scratch: scratch.into_iter().fold(0, u64::saturating_add),
    })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let (band, quads) = (band(record), input.channels.div_ceil(4));
    let (tile_bytes, product_bytes) = (Tiles::bytes(quads) as usize, Product::BYTES as usize);
    let scratch = record.scratch.0;
    let tiles = Tiles::new(arena.words(scratch, tile_bytes), quads, input.channels);
    let sums = arena.words(scratch + tile_bytes, product_bytes);
    let ring = arena.values(scratch + tile_bytes + product_bytes, rows::scratch_bytes(&band) as usize);
    let mut rows = Rows::new(&band, ring, arena.values(record.input.offset, input.len()));
    let last = Output::new(record);
    let product = Product::new(layer, &last, quads, sums);
    let bytes = output.width * output.channels;
    let mut y = 0;
    while y < output.height {
        // The last band of rows, and the last tiles of a band, may repeat outputs.
        y = y.min(output.height - BAND[0]);
        rows.load(y);
        let place = part(target, y * bytes, BAND[0] * bytes);
        let mut x = 0;
        while x < output.width {
            x = x.min(output.width - BAND[1]);
            tiles.fill(&rows, x);
            product.run(&tiles, place.get(x * output.channels..).unwrap_or_default(), bytes);
            x += BAND[1];
        }
        bounds::apply(&last, place);
        y += BAND[0];
    }
}
