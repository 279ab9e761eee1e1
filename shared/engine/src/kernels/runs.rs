//! Where the values under a window stand in the padded rows of its input.
//!
//! The patch under a window is a list of runs: neighbouring values of a row, one run per kernel row, or one
//! per kernel row and column where columns do not lie side by side.

use super::product;
use crate::image::Record;

/// The runs of a layer's patches. Steps and lengths count values, which are bytes.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// Kernel rows.
    pub height: usize,
    /// Runs per row.
    pub per_row: usize,
    /// Values per run.
    pub length: usize,
    /// Values from one run of a row to the next.
    pub step: usize,
    /// Values from one pixel to the next.
    pub pixel_step: usize,
}

impl Runs {
    /// The runs of a layer without groups: without dilation the columns under its window lie side by side.
    pub fn new(record: &Record) -> Self {
        Self::from(record, record.input.shape.channels, record.window.dilation[1] == 1)
    }

    /// The runs of a layer whose groups read `depth` channels each, for its first group.
    pub fn of_group(record: &Record, depth: usize) -> Self {
        Self::from(record, depth, record.groups == 1 && record.window.dilation[1] == 1)
    }

    fn from(record: &Record, depth: usize, dense: bool) -> Self {
        let (window, channels) = (&record.window, record.input.shape.channels);
        let [height, width] = window.kernel;
        let (per_row, length) = if dense { (1, width * depth) } else { (width, depth) };
        let (step, pixel_step) = (window.dilation[1] * channels, window.stride[1] * channels);
        Self { height, per_row, length, step, pixel_step }
    }

    /// Values of a patch.
    pub fn values(&self) -> u64 {
        product([self.height, self.per_row, self.length])
    }
}
