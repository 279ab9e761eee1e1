//! Fully connected layer with weights of four bits: a convolution whose window is its whole input.

use super::super::block;
use super::super::fully_connected;
use super::super::output::Output;
use super::super::{Needs, product};
use super::{accumulate_packed, packed_bytes};
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry, Record};

pub fn needs(record: &Record) -> Option<Needs> {
    let shape = record.input.shape;
    let taps = product([shape.height, shape.width, shape.channels]);
    let weights = packed_bytes(record.output.shape.channels, taps);
    fully_connected::needs(record).map(|needs| Needs { weights, ..needs })
}

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let mut target = arena.values(record.output.offset, record.output.shape.len());
    let last = Output::new(record);
    let (mut weights, mut channels) = (layer.weights, layer.channels);
    while !target.is_empty() {
        let width = block::width(target.len());
        let bytes = packed_bytes(width, input.len() as u64) as usize;
        let block = part(weights, 0, bytes);
        let values = match width {
            4 => sums::<4>(input, block, channels),
            2 => sums::<2>(input, block, channels),
            _ => sums::<1>(input, block, channels),
        };
        for ((value, sum), channel) in target.iter().take(width).zip(values).zip(channels) {
            value.set(last.value(sum, channel.multiplier));
        }
        weights = weights.get(bytes..).unwrap_or_default();
        channels = channels.get(width..).unwrap_or_default();
        target = target.get(width..).unwrap_or_default();
    }
}

/// The accumulators of the first `N` outputs; the others are 0.
fn sums<const N: usize>(
    input: &[core::cell::Cell<i8>],
    block: &[i8],
    channels: &[Channel],
) -> [i32; block::CHANNELS] {
    let mut sums = [[0; N]];
    sums[0].iter_mut().zip(channels).for_each(|(sum, channel)| *sum = channel.bias);
    accumulate_packed(&mut sums, [input], block, 0);
    let mut all = [0; block::CHANNELS];
    all.iter_mut().zip(sums[0]).for_each(|(all, sum)| *all = sum);
    all
}
