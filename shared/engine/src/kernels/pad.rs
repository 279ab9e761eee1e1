//! Rows and columns of the zero point around the input.

#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::rows::copy;
use super::{Kernel, Needs};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// Rows and columns around a tensor.
pub static PAD: Kernel = Kernel {
    id: 10,
    name: "pad",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::Pad,
        order: packing::as_given,
        overlap: packing::elsewhere,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let (input, output, padding) = (record.input.shape, record.output.shape, record.window.padding);
    let fits = output.height == input.height + padding.top + padding.bottom
        && output.width == input.width + padding.left + padding.right
        && output.channels == input.channels;
    fits.then_some(Needs::default())
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (shape, output, padding) = (record.input.shape, record.output.shape, record.window.padding);
    let input = arena.values(record.input.offset, shape.len());
    let target = arena.values(record.output.offset, output.len());
    target.iter().for_each(|value| value.set(record.output_zero));
    let bytes = shape.width * shape.channels;
    for row in 0..shape.height {
        let start = ((row + padding.top) * output.width + padding.left) * output.channels;
        let (to, from) = (part(target, start, bytes), part(input, row * bytes, bytes));
        copy(from, to);
    }
}
