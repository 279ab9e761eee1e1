//! Convolution of any window and any groups. Weights `[group][block of output channels][row][column]
//! [input channel][output channel of the block]`, blocks as [`block::width`] cuts them, each from a new byte
//! on.

use super::block::{self, PIXELS, accumulate};
use super::output::Output;
#[cfg(feature = "pack")]
use super::packing::Packing;
use super::rows::{self, Rows};
use super::runs::Runs;
use super::{Kernel, Needs, product, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Entry, Layer, Record};

/// Convolution of any window and any groups, weights of eight bits.
pub static CONV: Kernel = Kernel {
    id: 1,
    name: "conv",
    needs: needs::<8>,
    run: run::<8>,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.is_convolution(8) && !layer.is_depthwise(),
        order: block::order::<8>,
        overlap: rows::row_by_row,
    },
};

/// Convolution of any window and any groups, weights of four bits.
pub static INT4_CONV: Kernel = Kernel {
    id: 12,
    name: "int4-conv",
    needs: needs::<4>,
    run: run::<4>,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.is_convolution(4),
        order: block::order::<4>,
        overlap: rows::row_by_row,
    },
};

fn needs<const BITS: usize>(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape.channels, record.output.shape.channels);
    let depth = input.checked_div(record.groups)?;
    if !window_fits(record) || depth * record.groups != input || !output.is_multiple_of(record.groups) {
        return None;
    }
    let [height, width] = record.window.kernel;
    let each =
        block::weight_bytes::<BITS>(output.checked_div(record.groups)?, product([height, width, depth]));
    let weights = each.saturating_mul(record.groups as u64);
    Some(Needs { weights, channels: output as u64, scratch: rows::scratch_bytes(record) })
}

fn run<const BITS: usize>(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let scratch = arena.values(record.scratch.0, record.scratch.1);
    let mut rows = Rows::new(record, scratch, arena.values(record.input.offset, input.len()));
    let pixels = Pixels::<BITS>::new(layer);
    let bytes = output.width * output.channels;
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        let mut x = 0;
        while x < output.width {
            let place = row.get(x * output.channels..).unwrap_or_default();
            if x + PIXELS <= output.width {
                pixels.run::<PIXELS>(&rows, x, place);
                x += PIXELS;
            } else {
                pixels.run::<1>(&rows, x, place);
                x += 1;
            }
        }
    }
}

/// What the pixels of a layer share: where the values under the window stand, and the weights.
struct Pixels<'a, const BITS: usize> {
    layer: &'a Layer<'a>,
    last: Output,
    /// The values under the window of a group.
    runs: Runs,
    /// Input channels of a group.
    depth: usize,
    /// Output channels of a group.
    outputs: usize,
}

impl<'a, const BITS: usize> Pixels<'a, BITS> {
    fn new(layer: &'a Layer<'a>) -> Self {
        let groups = layer.record.groups;
        let depth = layer.record.input.shape.channels.checked_div(groups).unwrap_or(0);
        Self {
            layer,
            last: Output::new(&layer.record),
            runs: Runs::of_group(&layer.record, depth),
            depth,
            outputs: layer.record.output.shape.channels.checked_div(groups).unwrap_or(0),
        }
    }

    /// All output channels of `P` pixels from pixel `x` on.
    fn run<const P: usize>(&self, rows: &Rows<'_>, x: usize, target: &[core::cell::Cell<i8>]) {
        let mut weights = self.layer.weights;
        let mut channel = 0;
        for group in 0..self.layer.record.groups {
            let first = x * self.runs.pixel_step + group * self.depth;
            let mut left = self.outputs;
            while left > 0 {
                let width = block::width(left);
                let taps = self.runs.height * self.runs.per_row * self.runs.length;
                let block = part(weights, 0, block::bytes::<BITS>(width * taps));
                match width {
                    4 => self.block::<4, P>(rows, first, block, channel, target),
                    2 => self.block::<2, P>(rows, first, block, channel, target),
                    _ => self.block::<1, P>(rows, first, block, channel, target),
                }
                weights = weights.get(block.len()..).unwrap_or_default();
                (left, channel) = (left - width, channel + width);
            }
        }
    }

    /// `N` output channels from `channel` on of `P` pixels whose values start at `first`.
    #[inline(never)]
    fn block<const N: usize, const P: usize>(
        &self,
        rows: &Rows<'_>,
        first: usize,
        weights: &[i8],
        channel: usize,
        target: &[core::cell::Cell<i8>],
    ) {
        let channels = part(self.layer.channels, channel, N);
        let mut sums = [[0; N]; P];
        for sums in &mut sums {
            sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum = channel.bias);
        }
        let mut weight = 0;
        let runs = &self.runs;
        for tap in 0..runs.height {
            let row = rows.row(tap);
            for run in 0..runs.per_row {
                let start = first + run * runs.step;
                let values =
                    core::array::from_fn(|pixel| part(row, start + pixel * runs.pixel_step, runs.length));
                accumulate::<BITS, N, P>(&mut sums, values, weights, weight);
                weight += N * runs.length;
            }
        }
        let pitch = self.layer.record.output.shape.channels;
        for (pixel, sums) in sums.iter().enumerate() {
            let place = part(target, pixel * pitch + channel, N);
            for ((value, sum), channel) in place.iter().zip(sums).zip(channels) {
                value.set(self.last.value(*sum, channel.multiplier));
            }
        }
    }
}
