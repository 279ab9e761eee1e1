//! Fully connected layer: a convolution whose window is its whole input. Weights `[block of
//! outputs][input value][output of the block]`, blocks as [`block::width`] cuts them, each from a new
//! byte on.

use core::cell::Cell;

use super::block::{self, accumulate};
use super::output::Output;
#[cfg(feature = "pack")]
use super::packing::{self, Packing};
use super::{Kernel, Needs, product};
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry, Record};
use crate::shape::Padding;

/// Fully connected, weights of eight bits.
pub static FULLY_CONNECTED: Kernel = Kernel {
    id: 3,
    name: "fully-connected",
    needs: needs::<8>,
    run: run::<8>,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.is_fully_connected(8),
        order: block::order::<8>,
        overlap: packing::elsewhere,
    },
};

/// Fully connected, weights of four bits.
pub static INT4_FULLY_CONNECTED: Kernel = Kernel {
    id: 13,
    name: "int4-fully-connected",
    needs: needs::<4>,
    run: run::<4>,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.is_fully_connected(4),
        order: block::order::<4>,
        overlap: packing::elsewhere,
    },
};

pub fn needs<const BITS: usize>(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape, record.output.shape);
    let whole = record.window.kernel == [input.height, input.width]
        && record.window.padding == Padding::default()
        && record.groups == 1;
    if !whole || (output.height, output.width) != (1, 1) {
        return None;
    }
    let taps = product([input.height, input.width, input.channels]);
    let weights = block::weight_bytes::<BITS>(output.channels, taps);
    Some(Needs { weights, channels: output.channels as u64, scratch: 0 })
}

fn run<const BITS: usize>(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let mut target = arena.values(record.output.offset, record.output.shape.len());
    let last = Output::new(record);
    let (mut weights, mut channels) = (layer.weights, layer.channels);
    while !target.is_empty() {
        let width = block::width(target.len());
        let block = part(weights, 0, block::bytes::<BITS>(width * input.len()));
        match width {
            4 => outputs::<BITS, 4>(input, block, channels, &last, target),
            2 => outputs::<BITS, 2>(input, block, channels, &last, target),
            _ => outputs::<BITS, 1>(input, block, channels, &last, target),
        }
        weights = weights.get(block.len()..).unwrap_or_default();
        channels = channels.get(width..).unwrap_or_default();
        target = target.get(width..).unwrap_or_default();
    }
}

/// The first `N` outputs.
fn outputs<const BITS: usize, const N: usize>(
    input: &[Cell<i8>],
    weights: &[i8],
    channels: &[Channel],
    last: &Output,
    target: &[Cell<i8>],
) {
    let mut sums = [[0; N]];
    sums[0].iter_mut().zip(channels).for_each(|(sum, channel)| *sum = channel.bias);
    accumulate::<BITS, N, 1>(&mut sums, [input], weights, 0);
    for ((value, sum), channel) in target.iter().zip(sums[0]).zip(channels) {
        value.set(last.value(sum, channel.multiplier));
    }
}
