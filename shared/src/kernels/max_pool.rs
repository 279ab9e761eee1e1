//! Maximum over a window; padding never wins.

use super::taps::Taps;
use super::{Needs, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Layer, Record};

pub fn needs(record: &Record) -> Option<Needs> {
    let same = record.input.shape.channels == record.output.shape.channels;
    (same && window_fits(record)).then_some(Needs::default())
}

pub fn run(layer: &Layer<'_>, arena: Arena<'_>) {
    let record = &layer.record;
    let output = record.output.shape;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, output.len());
    let mut at = 0;
    for y in 0..output.height {
        for x in 0..output.width {
            let taps = Taps::new(record, y, x);
            for (channel, value) in part(target, at, output.channels).iter().enumerate() {
                let mut max = record.low;
                for row in 0..taps.rows {
                    let mut source = taps.first + channel + row * taps.row_step;
                    for _ in 0..taps.columns {
                        max = max.max(input.get(source).map_or(i8::MIN, |value| value.get()));
                        source += taps.column_step;
                    }
                }
                value.set(max);
            }
            at += output.channels;
        }
    }
}
