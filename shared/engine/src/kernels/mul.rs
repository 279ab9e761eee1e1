//! Product of two tensors; the second may be `1 x 1 x channels`. One channel constant: the
//! multiplier.

use super::output::Output;
#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::{Kernel, Needs};
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry, Record};

/// The product of two tensors.
pub static MUL: Kernel = Kernel {
    id: 7,
    name: "mul",
    needs,
    #[cfg(not(goldcrest_mve))]
    run,
    #[cfg(goldcrest_mve)]
    run: super::mve::mul::run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::Mul,
        order: packing::as_given,
        overlap: packing::value_by_value,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let (shape, second) = (record.output.shape, record.second.shape);
    let single = (second.height, second.width, second.channels) == (1, 1, shape.channels);
    let fits = record.input.shape == shape && (second == shape || single);
    fits.then_some(Needs { channels: 1, ..Needs::default() })
}

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let shape = record.output.shape;
    let [a, b] = [record.input, record.second].map(|slot| arena.values(slot.offset, slot.shape.len()));
    let target = arena.values(record.output.offset, shape.len());
    let Some(&Channel { multiplier, .. }) = layer.channels.first() else { return };
    let last = Output::new(record);
    let (za, zb) = (i32::from(record.input_zero), i32::from(record.second_zero));
    let (mut at, step) = (0, record.second.shape.len());
    while at < shape.len() {
        for ((value, a), b) in part(target, at, step).iter().zip(part(a, at, step)).zip(b) {
            let product = (i32::from(a.get()) - za) * (i32::from(b.get()) - zb);
            value.set(last.value(product, multiplier));
        }
        at += step;
    }
}
