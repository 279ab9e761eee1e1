//! Sum of two tensors of one shape. Two channel constants: the multipliers of the inputs.

use super::Needs;
use super::output::Output;
use crate::engine::Arena;
use crate::image::{Layer, Record};

pub fn needs(record: &Record) -> Option<Needs> {
    let shape = record.output.shape;
    let same = record.input.shape == shape && record.second.shape == shape;
    same.then_some(Needs { channels: 2, ..Needs::default() })
}

pub fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    let record = &layer.record;
    let [a, b] = [record.input, record.second].map(|slot| arena.values(slot.offset, slot.shape.len()));
    let target = arena.values(record.output.offset, record.output.shape.len());
    let [ka, kb] = match layer.channels {
        [a, b, ..] => [a.multiplier, b.multiplier],
        _ => return,
    };
    let last = Output::new(record);
    let zeros = i32::from(record.input_zero)
        .wrapping_mul(ka)
        .wrapping_add(i32::from(record.second_zero).wrapping_mul(kb));
    for ((value, a), b) in target.iter().zip(a).zip(b) {
        let a = i32::from(a.get()).wrapping_mul(ka);
        let b = i32::from(b.get()).wrapping_mul(kb);
        value.set(last.finish(a.wrapping_add(b).wrapping_sub(zeros)));
    }
}
