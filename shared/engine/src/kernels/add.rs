//! Sum of two tensors of one shape. Two channel constants: the multipliers of the inputs.

use super::output::Output;
#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::simd::{pack, unpack};
use super::{Kernel, Needs, SMALL};
use crate::engine::Arena;
use crate::image::{Entry, Record};

/// The sum of two tensors.
pub static ADD: Kernel = Kernel {
    id: 6,
    name: "add",
    needs,
    #[cfg(not(goldcrest_mve))]
    run,
    #[cfg(goldcrest_mve)]
    run: super::mve::add::run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::Add,
        order: packing::as_given,
        overlap: packing::value_by_value,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let shape = record.output.shape;
    let same = record.input.shape == shape && record.second.shape == shape;
    same.then_some(Needs { channels: 2, ..Needs::default() })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let count = record.output.shape.len();
    let [a, b] = [record.input, record.second].map(|slot| arena.values(slot.offset, count));
    let target = arena.values(record.output.offset, count);
    let [ka, kb] = match layer.channels {
        [a, b, ..] => [a.multiplier, b.multiplier],
        _ => return,
    };
    let last = Output::new(record);
    let zeros = i32::from(record.input_zero)
        .wrapping_mul(ka)
        .wrapping_add(i32::from(record.second_zero).wrapping_mul(kb));
    let sum =
        |a: i32, b: i32| last.finish(a.wrapping_mul(ka).wrapping_add(b.wrapping_mul(kb)).wrapping_sub(zeros));
    // Four at once where code may be spent on it.
    let in_words = if SMALL { 0 } else { count & !3 };
    let words = arena.words(record.output.offset, in_words);
    let [va, vb] = [record.input, record.second].map(|slot| arena.words(slot.offset, in_words));
    for ((target, a), b) in words.iter().zip(va).zip(vb) {
        let ([a, c, e, g], [b, d, f, h]) = (unpack(a.get()), unpack(b.get()));
        target.set(pack([sum(a, b), sum(c, d), sum(e, f), sum(g, h)]));
    }
    for ((value, a), b) in target.iter().zip(a).zip(b).skip(in_words) {
        value.set(sum(i32::from(a.get()), i32::from(b.get())));
    }
}
