//! Convolution of any window and any groups. Weights OHWI.

use core::cell::Cell;

use super::output::Output;
use super::rows::{self, Rows};
use super::{Needs, product, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Layer, Record};

pub fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape.channels, record.output.shape.channels);
    let depth = input.checked_div(record.groups)?;
    if !window_fits(record) || depth * record.groups != input || !output.is_multiple_of(record.groups) {
        return None;
    }
    let [height, width] = record.window.kernel;
    let weights = product([output, height, width, depth]);
    Some(Needs { weights, channels: output as u64, scratch: rows::scratch_bytes(record) })
}

pub fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let scratch = arena.values(record.scratch.0, record.scratch.1);
    let mut rows = Rows::new(record, scratch, arena.values(record.input.offset, input.len()));
    let last = Output::new(record);
    let shape = Patch::new(record);
    let step = record.window.stride[1] * input.channels;
    let bytes = output.width * output.channels;
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        for x in 0..output.width {
            let pixel = part(row, x * output.channels, output.channels);
            let mut weights = layer.weights;
            let mut group = Group { first: x * step, left: shape.outputs };
            for (value, channel) in pixel.iter().zip(layer.channels) {
                group.enter(&shape);
                let acc = shape.dot(&rows, group.first, part(weights, 0, shape.weights));
                value.set(last.value(channel.bias.wrapping_add(acc), channel.multiplier));
                weights = weights.get(shape.weights..).unwrap_or_default();
            }
        }
    }
}

/// Which input channels the current output channel reads.
struct Group {
    /// First value of the patch in its row.
    first: usize,
    /// Output channels left in the group.
    left: usize,
}

impl Group {
    #[inline]
    fn enter(&mut self, patch: &Patch) {
        if self.left == 0 {
            self.first += patch.depth;
            self.left = patch.outputs;
        }
        self.left -= 1;
    }
}

/// The values one accumulator sums: runs of neighbours in the rows under the window.
struct Patch {
    /// Kernel rows.
    height: usize,
    /// Runs per row.
    runs: usize,
    /// Values per run.
    length: usize,
    /// Values from one run to the next.
    step: usize,
    /// Input channels of a group.
    depth: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Weights of one output channel.
    weights: usize,
}

impl Patch {
    fn new(record: &Record) -> Self {
        let Record { window, groups, .. } = record;
        let channels = record.input.shape.channels;
        let depth = channels.checked_div(*groups).unwrap_or(0);
        let outputs = record.output.shape.channels.checked_div(*groups).unwrap_or(0);
        let [height, width] = window.kernel;
        // Without groups and dilation the columns under the window lie side by side.
        let dense = *groups == 1 && window.dilation[1] == 1;
        let (runs, length) = if dense { (1, width * depth) } else { (width, depth) };
        let step = window.dilation[1] * channels;
        Self { height, runs, length, step, depth, outputs, weights: height * width * depth }
    }

    #[inline]
    fn dot(&self, rows: &Rows<'_>, first: usize, mut weights: &[i8]) -> i32 {
        let mut acc = 0i32;
        for tap in 0..self.height {
            let row = rows.row(tap);
            for run in 0..self.runs {
                let values = part(row, first + run * self.step, self.length);
                acc = acc.wrapping_add(dot(values, weights));
                weights = weights.get(self.length..).unwrap_or_default();
            }
        }
        acc
    }
}

/// Sum of products.
#[inline]
pub fn dot(values: &[Cell<i8>], weights: &[i8]) -> i32 {
    let products =
        values.iter().zip(weights).map(|(value, &weight)| i32::from(value.get()) * i32::from(weight));
    products.fold(0, i32::wrapping_add)
}
