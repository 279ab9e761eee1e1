//! Depthwise convolution: every output channel reads one input channel. Weights `[row][column][output
//! channel]`; with `m` output channels per input channel, output `o` reads input `o / m`.

use super::output::Output;
#[cfg(feature = "pack")]
use super::packing::Packing;
use super::rows::{self, Rows};
use super::{Kernel, Needs, product, window_fits};
use crate::engine::{Arena, part};
use crate::image::{Entry, Record};

/// Depthwise convolution.
pub static DEPTHWISE: Kernel = Kernel {
    id: 2,
    name: "depthwise",
    needs,
    #[cfg(not(goldcrest_mve))]
    run,
    #[cfg(goldcrest_mve)]
    run: super::mve::depthwise::run,
    #[cfg(feature = "pack")]
    packing: Packing {
        suits: |layer| layer.is_convolution(8) && layer.is_depthwise(),
        order: pack::order,
        overlap: rows::row_by_row,
    },
};

#[cfg(feature = "pack")]
mod pack {
    use crate::kernels::packing::{Constants, LayerSpec};

    /// Weights tap by tap.
    pub fn order(layer: &LayerSpec<'_>) -> Constants {
        let of_tap = |tap| (0..layer.channels.len()).map(move |channel| layer.of_channel(channel)[tap]);
        layer.with_weights((0..layer.taps()).flat_map(of_tap).collect())
    }
}

fn needs(record: &Record) -> Option<Needs> {
    let (input, output) = (record.input.shape.channels, record.output.shape.channels);
    if !window_fits(record) || record.groups != input || !output.is_multiple_of(record.groups) {
        return None;
    }
    let [height, width] = record.window.kernel;
    let weights = product([output, height, width]);
    Some(Needs { weights, channels: output as u64, scratch: rows::scratch_bytes(record) })
}

pub fn run(entry: &Entry<'_>, arena: Arena<'_>) {
    let layer = &entry.layer();
    let record = &layer.record;
    let (input, output) = (record.input.shape, record.output.shape);
    let target = arena.values(record.output.offset, output.len());
    let scratch = arena.values(record.scratch.0, record.scratch.1);
    let mut rows = Rows::new(record, scratch, arena.values(record.input.offset, input.len()));
    let last = Output::new(record);
    let Record { window, .. } = record;
    let outputs = output.channels.checked_div(input.channels).unwrap_or(0);
    let bytes = output.width * output.channels;
    for y in 0..output.height {
        rows.load(y);
        let row = part(target, y * bytes, bytes);
        for x in 0..output.width {
            let pixel = part(row, x * output.channels, output.channels);
            let (mut source, mut left) = (x * window.stride[1] * input.channels, outputs);
            for (index, (value, channel)) in pixel.iter().zip(layer.channels).enumerate() {
                if left == 0 {
                    (source, left) = (source + 1, outputs);
                }
                left -= 1;
                let mut acc = channel.bias;
                let mut weight = index;
                for tap in 0..window.kernel[0] {
                    let row = rows.row(tap);
                    for column in 0..window.kernel[1] {
                        let at = source + column * window.dilation[1] * input.channels;
                        let value = row.get(at).map_or(0, |value| i32::from(value.get()));
                        let factor = layer.weights.get(weight).map_or(0, |&weight| i32::from(weight));
                        acc = acc.wrapping_add(value * factor);
                        weight += output.channels;
                    }
                }
                value.set(last.value(acc, channel.multiplier));
            }
        }
    }
}
