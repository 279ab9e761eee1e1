//! One part of a concatenation along channels: the input becomes the output's channels from
//! `first_channel` on.

#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::rows::copy;
use super::{Kernel, Needs};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// A part of a concatenation along channels.
pub static CONCAT: Kernel = Kernel {
    id: 9,
    name: "concat",
    needs,
    run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::Concat,
        order: packing::as_given,
        overlap: packing::elsewhere,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape, record.output.shape);
    let fits = (input.height, input.width) == (output.height, output.width)
        && record.first_channel + input.channels <= output.channels;
    fits.then_some(Needs::default())
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (shape, pitch) = (record.input.shape, record.output.shape.channels);
    let input = arena.values(record.input.offset, shape.len());
    let target = arena.values(record.output.offset, record.output.shape.len());
    for pixel in 0..shape.height * shape.width {
        let from = part(input, pixel * shape.channels, shape.channels);
        let to = part(target, pixel * pitch + record.first_channel, shape.channels);
        copy(from, to);
    }
}
