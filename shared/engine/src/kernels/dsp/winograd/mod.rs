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
use super::super::rows::{self, Rows};
use super::super::{Needs, window_fits};
use super::bounds;
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};
use input::Tiles;
use product::Product;

/// Fewest input channels with which the kernel is faster than others.
#[cfg(feature = "pack")]
pub const CHANNELS: usize = 8;

/// Positions of a transformed tile.
const POSITIONS: usize = 16;
/// Tiles that are computed at once, side by side.
const TILES: usize = 4;
/// Rows and columns of outputs of these tiles.
const BAND: [usize; 2] = [2, 2 * TILES];

/// The layer with four rows under its window: those under two neighbouring windows.
pub fn band(record: &Record) -> Record {
    let mut band = *record;
    band.window.kernel[0] = 4;
    band
}

/// Whether the kernel computes a layer of these shapes.
pub fn suits(record: &Record) -> bool {
    let (window, output) = (&record.window, record.output.shape);
    let dense = window.kernel == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
    dense && record.groups == 1 && output.height >= BAND[0] && output.width >= BAND[1] && output.channels >= 2
}

/// What the layer needs.
pub fn needs(record: &Record) -> Option<Needs> {
    if !window_fits(record) || !suits(record) {
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

pub(crate) fn run(entry: &Entry<'_>, arena: Arena<'_>) {
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
