//! Mean over a window; padding counts as zero. One channel constant: the multiplier.

use super::dsp::sums;
use super::output::Output;
#[cfg(feature = "pack")]
use super::packing::{self, Operator, Packing};
use super::simd::{pack, store};
use super::taps::Taps;
use super::{Kernel, Needs, SMALL, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Channel, Entry, Record};

/// Cores without halfword-wise additions are faster one by one.
const FOUR_AT_ONCE: bool = cfg!(any(goldcrest_dsp, test)) && !SMALL;

/// The mean over a window.
pub static AVERAGE_POOL: Kernel = Kernel {
    id: 5,
    name: "average-pool",
    needs,
    #[cfg(not(goldcrest_mve))]
    run,
    #[cfg(goldcrest_mve)]
    run: super::mve::average_pool::run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.operator == Operator::AveragePool,
        order: packing::as_given,
        overlap: super::taps::pixel_by_pixel,
    },
};

fn needs(record: &Record) -> Option<Needs> {
    let same = record.input.shape.channels == record.output.shape.channels;
    (same && window_fits(record)).then_some(Needs { channels: 1, ..Needs::default() })
}

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let output = record.output.shape;
    let input = arena.values(record.input.offset, record.input.shape.len());
    let target = arena.values(record.output.offset, output.len());
    let Some(&Channel { multiplier, .. }) = layer.channels.first() else { return };
    let last = Output::new(record);
    let zero = i32::from(record.input_zero);
    let mut at = 0;
    for y in 0..output.height {
        for x in 0..output.width {
            let taps = Taps::new(record, y, x);
            let bias = zero.wrapping_mul(-((taps.rows * taps.columns) as i32));
            let mut channel = 0;
            while FOUR_AT_ONCE && channel + 4 <= output.channels {
                let Some(sums) = sums::four_channels(input, &taps, channel) else { break };
                let values = sums.map(|sum| last.value(bias.wrapping_add(sum), multiplier));
                store(target, at + channel, pack(values));
                channel += 4;
            }
            let rest = part(target, at + channel, output.channels - channel);
            for (channel, value) in (channel..).zip(rest) {
                let mut sum = bias;
                for row in 0..taps.rows {
                    let mut source = taps.first + channel + row * taps.row_step;
                    for _ in 0..taps.columns {
                        sum = sum.wrapping_add(input.get(source).map_or(0, |value| i32::from(value.get())));
                        source += taps.column_step;
                    }
                }
                value.set(last.value(sum, multiplier));
            }
            at += output.channels;
        }
    }
}
