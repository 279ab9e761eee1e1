//! The part of a sliding window that lies inside its input: pools skip padding.

use crate::image::Record;

/// The input values under a window at one output position, for one channel after the other.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Taps {
    /// Rows inside the input.
    pub rows: usize,
    /// Columns inside the input.
    pub columns: usize,
    /// Values from one row of the window to the next.
    pub row_step: usize,
    /// Values from one column of the window to the next.
    pub column_step: usize,
    /// First value, at channel 0.
    pub first: usize,
}

/// How far the output of a pool must start before its input, when a value is written after all values under
/// its window were read, channel by channel.
#[cfg(feature = "pack")]
pub fn pixel_by_pixel(record: &Record, _which: usize) -> Option<i64> {
    let output = record.output.shape;
    let mut distance = i64::MIN;
    let mut least = i64::MAX;
    for pixel in (0..output.height * output.width).rev() {
        let taps = Taps::new(record, pixel / output.width, pixel % output.width);
        if taps.rows > 0 && taps.columns > 0 {
            least = least.min(taps.first as i64);
        }
        if least < i64::MAX {
            distance = distance.max((pixel * output.channels) as i64 - least);
        }
    }
    Some(distance.max(-(output.len() as i64)))
}

impl Taps {
    /// The taps of output position `(y, x)`.
    #[inline]
    pub fn new(record: &Record, y: usize, x: usize) -> Self {
        let (input, window) = (record.input.shape, &record.window);
        let (row, rows) = inside(
            y * window.stride[0],
            window.padding.top,
            window.kernel[0],
            window.dilation[0],
            input.height,
        );
        let (column, columns) = inside(
            x * window.stride[1],
            window.padding.left,
            window.kernel[1],
            window.dilation[1],
            input.width,
        );
        Self {
            rows,
            columns,
            first: (row * input.width + column) * input.channels,
            row_step: window.dilation[0] * input.width * input.channels,
            column_step: window.dilation[1] * input.channels,
        }
    }

    /// Whether there are taps, and all of them lie in an input of that many values and channels.
    #[cfg(goldcrest_mve)]
    pub fn inside(&self, values: usize, channels: usize) -> bool {
        let (Some(rows), Some(columns)) = (self.rows.checked_sub(1), self.columns.checked_sub(1)) else {
            return false;
        };
        self.first + rows * self.row_step + columns * self.column_step + channels <= values
    }
}

/// First coordinate inside the input and how many taps are inside.
fn inside(start: usize, padding: usize, taps: usize, dilation: usize, size: usize) -> (usize, usize) {
    let (mut position, mut left) = (start, taps);
    while position < padding && left > 0 {
        position += dilation;
        left -= 1;
    }
    let position = position.saturating_sub(padding);
    let mut count = 0;
    while count < left && position + count * dilation < size {
        count += 1;
    }
    (if count == 0 { 0 } else { position }, count)
}
