//! Fully connected layer: a convolution whose window is its whole input. Weights
//! `[output channel][input value]`.

use super::conv::dot;
use super::output::Output;
use super::{Needs, product};
use crate::engine::{Arena, part};
use crate::image::{Layer, Record};
use crate::shape::Padding;

pub fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape, record.output.shape);
    let whole = record.window.kernel == [input.height, input.width]
        && record.window.padding == Padding::default()
        && record.groups == 1;
    if !whole || (output.height, output.width) != (1, 1) {
        return None;
    }
    let weights = product([output.channels, input.height, input.width, input.channels]);
    Some(Needs { weights, channels: output.channels as u64, scratch: 0 })
}

pub fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    let record = &layer.record;
    let count = record.input.shape.len();
    let input = arena.values(record.input.offset, count);
    let target = arena.values(record.output.offset, record.output.shape.len());
    let last = Output::new(record);
    let mut weights = layer.weights;
    for (value, channel) in target.iter().zip(layer.channels) {
        let acc = channel.bias.wrapping_add(dot(input, part(weights, 0, count)));
        value.set(last.value(acc, channel.multiplier));
        weights = weights.get(count..).unwrap_or_default();
    }
}
