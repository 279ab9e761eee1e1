//! Progress bars on standard error.

use std::sync::{Mutex, PoisonError};

use goldcrest_data::progress::{Event, Unit};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar over a number of images. It draws nothing where standard error is not a terminal.
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

/// Shows the slow steps of opening a data set.
pub fn data(event: &Event<'_>) {
    static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);
    let mut bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    match *event {
        Event::Begin { what, length, unit } => {
            let counts = match unit {
                Unit::Images => "{human_pos}/{human_len}",
                Unit::Bytes => "{bytes}/{total_bytes} {bytes_per_sec}",
            };
            let style = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {counts} {{eta}}"));
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            *bar = Some(ProgressBar::new(length).with_style(style).with_message(what));
        }
        Event::At(at) => {
            if let Some(bar) = bar.as_ref() {
                bar.set_position(at);
            }
        }
        Event::End => {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        }
        Event::Remark(line) => match bar.as_ref() {
            Some(bar) => bar.suspend(|| say!("{line}")),
            None => say!("{line}"),
        },
        _ => {}
    }
}
