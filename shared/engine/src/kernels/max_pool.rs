//! Maximum over a window; padding never wins.

#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::simd::{load, max, store};
use super::taps::Taps;
use super::{Kernel, Needs, SMALL, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// Cores without byte-wise instructions are faster one by one.
const FOUR_AT_ONCE: bool = cfg!(any(goldcrest_dsp, test)) && !SMALL;

/// The maximum over a window.
pub static MAX_POOL: Kernel = Kernel {
    id: 4,
    name: "max-pool",
    needs,
    #[cfg(not(goldcrest_mve))]
    run,
    #[cfg(goldcrest_mve)]
    run: super::mve::max_pool::run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::MaxPool,
        order: packing::as_given,
        overlap: super::taps::pixel_by_pixel,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let same = record.input.shape.channels == record.output.shape.channels;
    (same && window_fits(record)).then_some(Needs::default())
}

fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let output = record.output.shape;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, output.len());
    let mut at = 0;
    for y in 0..output.height {
        for x in 0..output.width {
            let taps = Taps::new(record, y, x);
            let mut channel = 0;
            while FOUR_AT_ONCE && channel + 4 <= output.channels {
                let mut four = u32::from_le_bytes([i8::MIN as u8; 4]);
                for row in 0..taps.rows {
                    let mut source = taps.first + channel + row * taps.row_step;
                    for _ in 0..taps.columns {
                        four = max(four, load(input, source));
                        source += taps.column_step;
                    }
                }
                store(target, at + channel, four);
                channel += 4;
            }
            let rest = part(target, at + channel, output.channels - channel);
            for (channel, value) in (channel..).zip(rest) {
                let mut largest = i8::MIN;
                for row in 0..taps.rows {
                    let mut source = taps.first + channel + row * taps.row_step;
                    for _ in 0..taps.columns {
                        largest = largest.max(input.get(source).map_or(i8::MIN, |value| value.get()));
                        source += taps.column_step;
                    }
                }
                value.set(largest);
            }
            at += output.channels;
        }
    }
}
