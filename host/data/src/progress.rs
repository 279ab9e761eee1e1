//! What slow steps tell while they run.

use std::sync::atomic::{AtomicU64, Ordering};

/// Hears of slow steps, from any thread; the default of [`Options`](super::Options) listens to nothing.
pub type Progress = fn(&Event<'_>);

/// What happens in a slow step. One step runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step begins.
    Begin {
        /// What it does, such as `decoding`.
        what: &'static str,
        /// How many units it takes.
        length: u64,
        /// What is counted.
        unit: Unit,
    },
    /// So many units are done.
    At(u64),
    /// The step ended, well or not.
    End,
    /// Something worth knowing, in one line.
    Remark(&'a str),
}

/// What a step counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Images.
    Images,
    /// Bytes.
    Bytes,
}

/// A step over images that many threads share; it ends when this is dropped.
pub(super) struct Images {
    progress: Progress,
    done: AtomicU64,
}

impl Images {
    pub(super) fn begin(progress: Progress, what: &'static str, length: usize) -> Self {
        progress(&Event::Begin { what, length: length as u64, unit: Unit::Images });
        Self { progress, done: AtomicU64::new(0) }
    }

    /// One more is done.
    pub(super) fn one(&self) {
        (self.progress)(&Event::At(1 + self.done.fetch_add(1, Ordering::Relaxed)));
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        (self.progress)(&Event::End);
    }
}
