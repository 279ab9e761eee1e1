//! How far an output must start before its dying input so that the kernel may run in place.

use crate::image::Record;
use crate::kernels::{self, id};

/// The smallest `input offset - output offset` at which the layer's kernel never overwrites values
/// of input `which` (0 the first, 1 the second) that it still reads; `None` when its output must
/// stand elsewhere.
pub fn distance(record: &Record, which: usize) -> Option<i64> {
    let slot = [record.input, record.second][which.min(1)];
    match record.kernel {
        id::CONV
        | id::INT4_CONV
        | id::DEPTHWISE
        | id::PIXEL_PAIR_CONV
        | id::DSP_CONV
        | id::DSP_DEPTHWISE
        | id::MVE_CONV => Some(row_by_row(record)),
        id::DSP_WINOGRAD => Some(band_by_band(record)),
        id::MAX_POOL | id::AVERAGE_POOL => Some(pixel_by_pixel(record)),
        id::ADD | id::MUL | id::LOOKUP if slot.shape == record.output.shape => Some(0),
        _ => None,
    }
}

/// Kernels behind [`Rows`](crate::kernels) have copied these input rows when they write a row.
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
