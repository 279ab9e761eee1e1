//! Convolution of any window and any groups with weights of four bits.

use core::cell::Cell;

use super::super::block::{self, PIXELS};
use super::super::conv;
use super::super::output::Output;
use super::super::rows::Rows;
use super::super::{Needs, product};
use super::{accumulate_packed, packed_bytes};
use crate::engine::{Arena, part};
use crate::image::{Entry, Layer, Record};

pub fn needs(record: &Record) -> Option<Needs> {
    let needs = conv::needs(record)?;
    let [height, width] = record.window.kernel;
    let depth = record.input.shape.channels.checked_div(record.groups)?;
    let outputs = record.output.shape.channels.checked_div(record.groups)?;
    let each = packed_bytes(outputs, product([height, width, depth]));
    Some(Needs { weights: each.saturating_mul(record.groups as u64), ..needs })
}

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let scratch = arena.values(record.scratch.0, record.scratch.1);
    let mut rows = Rows::new(record, scratch, arena.values(record.input.offset, input.len()));
    let pixels = Pixels::new(layer);
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

/// What the pixels of a layer share.
struct Pixels<'a> {
    layer: &'a Layer<'a>,
    last: Output,
    /// Input channels of a group.
    depth: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Taps of an output channel.
    taps: usize,
}

impl<'a> Pixels<'a> {
    fn new(layer: &'a Layer<'a>) -> Self {
        let Record { window, groups, .. } = layer.record;
        let depth = layer.record.input.shape.channels.checked_div(groups).unwrap_or(0);
        Self {
            layer,
            last: Output::new(&layer.record),
            depth,
            outputs: layer.record.output.shape.channels.checked_div(groups).unwrap_or(0),
            taps: window.kernel[0] * window.kernel[1] * depth,
        }
    }

    /// All output channels of `P` pixels from pixel `x` on.
    fn run<const P: usize>(&self, rows: &Rows<'_>, x: usize, target: &[Cell<i8>]) {
        let record = &self.layer.record;
        let mut weights = self.layer.weights;
        let mut channel = 0;
        for group in 0..record.groups {
            let first = x * record.window.stride[1] * record.input.shape.channels + group * self.depth;
            let mut left = self.outputs;
            while left > 0 {
                let width = block::width(left);
                let bytes = packed_bytes(width, self.taps as u64) as usize;
                let block = part(weights, 0, bytes);
                match width {
                    4 => self.block::<4, P>(rows, first, block, channel, target),
                    2 => self.block::<2, P>(rows, first, block, channel, target),
                    _ => self.block::<1, P>(rows, first, block, channel, target),
                }
                weights = weights.get(bytes..).unwrap_or_default();
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
        block: &[i8],
        channel: usize,
        target: &[Cell<i8>],
    ) {
        let Record { window, groups, .. } = self.layer.record;
        let pitch = self.layer.record.input.shape.channels;
        // Without groups and dilation the columns under the window lie side by side.
        let dense = groups == 1 && window.dilation[1] == 1;
        let (runs, length) =
            if dense { (1, window.kernel[1] * self.depth) } else { (window.kernel[1], self.depth) };
        let channels = part(self.layer.channels, channel, N);
        let mut sums = [[0; N]; P];
        for sums in &mut sums {
            sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum = channel.bias);
        }
        let mut weight = 0;
        for tap in 0..window.kernel[0] {
            let row = rows.row(tap);
            for run in 0..runs {
                let start = first + run * window.dilation[1] * pitch;
                let values =
                    core::array::from_fn(|pixel| part(row, start + pixel * window.stride[1] * pitch, length));
                accumulate_packed(&mut sums, values, block, weight);
                weight += length * N;
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
