//! Progress bars of slow steps, on standard error.

use indicatif::{ProgressBar, ProgressStyle};

use super::Options;

/// A bar over a number of items; hidden unless progress is wanted.
pub(super) fn count(options: &Options, what: &'static str, length: usize) -> ProgressBar {
    bar(options.progress, what, length as u64, "{msg} {wide_bar} {human_pos}/{human_len} {eta}")
}

/// A bar over a number of bytes.
pub(super) fn bytes(visible: bool, what: &'static str, length: u64) -> ProgressBar {
    bar(visible, what, length, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

fn bar(visible: bool, what: &'static str, length: u64, template: &str) -> ProgressBar {
    if !visible {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(what)
}
