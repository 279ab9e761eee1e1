//! Convolution of any window and any groups. Weights `[group][block of output channels][row][column]
//! [input channel][output channel of the block]`, blocks as [`block::width`] cuts them, each from a new byte on.

use super::block::{self, PIXELS, accumulate};
use super::output::Output;
use super::rows::{self, Rows};
use super::{Needs, product, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Entry, Layer, Record};

pub fn needs<const BITS: usize>(record: &Record) -> Option<Needs> {
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

pub fn run<const BITS: usize>(entry: &Entry<'_>, arena: Arena<'_>) {
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
    /// Kernel rows.
    height: usize,
    /// Runs of neighbouring values per row.
    runs: usize,
    /// Values per run.
    length: usize,
    /// Values from one run to the next.
    run_step: usize,
    /// Values from one pixel to the next.
    pixel_step: usize,
    /// Input channels of a group.
    depth: usize,
    /// Output channels of a group.
    outputs: usize,
}

impl<'a, const BITS: usize> Pixels<'a, BITS> {
    fn new(layer: &'a Layer<'a>) -> Self {
        let Record { window, groups, .. } = layer.record;
        let channels = layer.record.input.shape.channels;
        let depth = channels.checked_div(groups).unwrap_or(0);
        let [height, width] = window.kernel;
        // Without groups and dilation the columns under the window lie side by side.
        let dense = groups == 1 && window.dilation[1] == 1;
        let (runs, length) = if dense { (1, width * depth) } else { (width, depth) };
        Self {
            layer,
            last: Output::new(&layer.record),
            height,
            runs,
            length,
            run_step: window.dilation[1] * channels,
            pixel_step: window.stride[1] * channels,
            depth,
            outputs: layer.record.output.shape.channels.checked_div(groups).unwrap_or(0),
        }
    }

    /// All output channels of `P` pixels from pixel `x` on.
    fn run<const P: usize>(&self, rows: &Rows<'_>, x: usize, target: &[core::cell::Cell<i8>]) {
        let mut weights = self.layer.weights;
        let mut channel = 0;
        for group in 0..self.layer.record.groups {
            let first = x * self.pixel_step + group * self.depth;
            let mut left = self.outputs;
            while left > 0 {
                let width = block::width(left);
                let taps = self.height * self.runs * self.length;
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
        for tap in 0..self.height {
            let row = rows.row(tap);
            for run in 0..self.runs {
                let start = first + run * self.run_step;
                let values =
                    core::array::from_fn(|pixel| part(row, start + pixel * self.pixel_step, self.length));
                accumulate::<BITS, N, P>(&mut sums, values, weights, weight);
                weight += N * self.length;
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
