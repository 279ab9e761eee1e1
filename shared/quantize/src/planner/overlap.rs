//! How far an output must start before its dying input so that the kernel may run in place.

use goldcrest_engine::image::Record;
use goldcrest_engine::kernels::{self, id};

/// The smallest `input offset - output offset` at which the layer's kernel never overwrites values
/// of input `which` (0 the first, 1 the second) that it still reads; `None` when its output must
/// stand elsewhere.
pub fn distance(record: &Record, which: usize) -> Option<i64> {
    let slot = [record.input, record.second][which.min(1)];
    match record.kernel {
        id::DSP_CONV | id::DSP_INT4_CONV if kernels::dsp_conv_is_flat(record) => Some(four_by_four(record)),
        id::CONV
        | id::INT4_CONV
        | id::DEPTHWISE
        | id::PIXEL_PAIR_CONV
        | id::DSP_CONV
        | id::DSP_INT4_CONV
        | id::DSP_DEPTHWISE
        | id::DSP_DEPTHWISE_DIRECT
        | id::MVE_CONV => Some(row_by_row(record)),
        id::DSP_WINOGRAD => Some(band_by_band(record)),
        id::MAX_POOL | id::AVERAGE_POOL => Some(pixel_by_pixel(record)),
        id::ADD | id::MUL | id::LOOKUP if slot.shape == record.output.shape => Some(0),
        _ => None,
    }
}

/// Kernels behind [`Rows`](goldcrest_engine::kernels) have copied these input rows when they write a row.
fn row_by_row(record: &Record) -> i64 {
    let output = record.output.shape;
    let row_bytes = output.width * output.channels;
    let whole = record.input.shape.len();
    (0..output.height)
        .map(|row| (row, kernels::loaded_bytes(record, row)))
        .filter(|&(_, loaded)| loaded < whole)
        .map(|(row, loaded)| ((row + 1) * row_bytes) as i64 - loaded as i64)
        .max()
        // All rows are copied before the first is written: anywhere over the input will do.
        .unwrap_or(-(record.output.shape.len() as i64))
}

/// A convolution with a window of one value reads four pixels before it writes their outputs.
fn four_by_four(record: &Record) -> i64 {
    let (input, output) = (record.input.shape.channels as i64, record.output.shape.channels as i64);
    let pixels = (record.output.shape.height * record.output.shape.width) as i64;
    // Behind each four but the last; the greatest distance is behind the first or behind the last of them.
    let [first, last] = [4, (pixels - 1) / 4 * 4].map(|read| read * (output - input));
    if pixels <= 4 { -(record.output.shape.len() as i64) } else { first.max(last) }
}

/// Winograd's kernel writes two rows at once; the last two may begin at an odd row.
fn band_by_band(record: &Record) -> i64 {
    let (output, band) = (record.output.shape, kernels::winograd::band(record));
    let row_bytes = output.width * output.channels;
    let whole = record.input.shape.len();
    (0..output.height)
        .step_by(2)
        .map(|row| row.min(output.height - 2))
        .map(|row| (row, kernels::loaded_bytes(&band, row)))
        .filter(|&(_, loaded)| loaded < whole)
        .map(|(row, loaded)| ((row + 2) * row_bytes) as i64 - loaded as i64)
        .max()
        .unwrap_or(-(output.len() as i64))
}

/// Pools write a value after they read all values under its window, channel by channel.
fn pixel_by_pixel(record: &Record) -> i64 {
    let output = record.output.shape;
    let pixels = output.height * output.width;
    let mut distance = i64::MIN;
    let mut least = i64::MAX;
    for pixel in (0..pixels).rev() {
        if let Some(first) = kernels::first_value(record, pixel / output.width, pixel % output.width) {
            least = least.min(first as i64);
        }
        if least < i64::MAX {
            distance = distance.max((pixel * output.channels) as i64 - least);
        }
    }
    distance.max(-(output.len() as i64))
}
