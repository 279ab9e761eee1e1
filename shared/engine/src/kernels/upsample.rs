//! Every value repeated to 2 x 2.

#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::rows::copy;
use super::{Kernel, Needs};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// Every value repeated to 2 x 2.
pub static UPSAMPLE: Kernel = Kernel {
    id: 11,
    name: "upsample",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::Upsample,
        order: packing::as_given,
        overlap: packing::elsewhere,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape, record.output.shape);
    let fits = output.height == 2 * input.height
        && output.width == 2 * input.width
        && output.channels == input.channels;
    fits.then_some(Needs::default())
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (shape, output) = (record.input.shape, record.output.shape);
    let input = arena.values(record.input.offset, shape.len());
    let target = arena.values(record.output.offset, output.len());
    let mut at = 0;
    for row in 0..output.height {
        for column in 0..output.width {
            let source = ((row / 2) * shape.width + column / 2) * shape.channels;
            let (to, from) = (part(target, at, shape.channels), part(input, source, shape.channels));
            copy(from, to);
            at += shape.channels;
        }
    }
}
