//! How far a command of several stages is, on standard error.

use goldcrest_train::training::Progress;

use super::progress;
use super::train::Watcher;

/// Shows one stage after another.
pub struct Screen {
    watcher: Watcher,
}

impl Screen {
    /// Nothing to see yet.
    pub fn new() -> Self {
        Self { watcher: Watcher::new("test") }
    }

    /// A stage starts; `what` says what it does.
    pub fn stage(&mut self, what: &str) {
        self.watcher.bar.finish_and_clear();
        say!("{what}");
    }

    /// Training goes on.
    pub fn training(&mut self, progress: Progress) {
        self.watcher.see(progress);
    }

    /// A stage starts to go through `count` images; the result is told how many more are done.
    pub fn images(&mut self, count: usize) -> impl Fn(usize) + Sync + use<> {
        let bar = progress::images("", count);
        move |done| {
            bar.inc(done as u64);
            if bar.position() >= count as u64 {
                bar.finish_and_clear();
            }
        }
    }
}
