//! Progress bars on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over a number of images. It draws nothing where standard error is no terminal.
pub fn images(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style).with_message(what)
}

/// A spinner over steps of unknown number.
pub fn steps(what: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style).with_message(what)
}
