//! Any function of one value. Weights: the outputs for -128, -127, ..., 127.

#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::{Kernel, Needs};
use crate::engine::Arena;
use crate::image::{Entry, Record};

/// Any function of one value, as a table.
pub static LOOKUP: Kernel = Kernel {
    id: 8,
    name: "lookup",
    needs,
    #[cfg(not(goldcrest_mve))]
    run,
    #[cfg(goldcrest_mve)]
    run: super::mve::lookup::run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::Lookup,
        order: packing::as_given,
        overlap: packing::value_by_value,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    (record.input.shape == record.output.shape).then_some(Needs { weights: 256, ..Needs::default() })
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, record.output.shape.len());
    let Some(table) = layer.weights.first_chunk::<256>() else { return };
    for (value, input) in target.iter().zip(input) {
        value.set(table[usize::from(input.get() as u8 ^ 0x80)]);
    }
}
