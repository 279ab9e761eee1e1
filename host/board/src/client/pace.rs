//! How long answers take on a line, and so how long to wait for one before it counts as lost.

use std::time::Duration;

/// The pace of one kind of question.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest wait.
    limit: Duration,
    /// Time of an answer per byte sent, once one has come.
    per_byte: Option<Duration>,
    /// Silences in a row.
    silences: u32,
}

impl Pace {
    /// Bytes that stand for the answer and the board's own time.
    const ANSWER: u32 = 64;
    /// Wait of the first question, where nothing is known.
    const FIRST: Duration = Duration::from_secs(2);
    /// An answer may take this much longer than those before it.
    const PATIENCE: u32 = 4;
    /// A host that is busy elsewhere notices an answer late.
    const LATENCY: Duration = Duration::from_millis(50);

    /// Nothing known yet; waits at most `limit`.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, per_byte: None, silences: 0 }
    }

    /// How long to wait for the answer to a question of some bytes. Every silence doubles it.
    pub fn wait(&self, bytes: usize) -> Duration {
        let bytes = Self::ANSWER + bytes as u32;
        let wait = match self.per_byte {
            Some(time) => time * bytes * Self::PATIENCE + Self::LATENCY,
            None => Self::FIRST,
        };
        (wait * (1 << self.silences.min(10))).min(self.limit)
    }

    /// An answer came.
    pub fn answered(&mut self, bytes: usize, time: Duration) {
        let now = time / (Self::ANSWER + bytes as u32);
        // Slower at once, faster by and by.
        let before = self.per_byte.unwrap_or(now);
        self.per_byte = Some(now.max((before * 7 + now) / 8));
        self.silences = 0;
    }

    /// None came.
    pub fn silent(&mut self) {
        self.silences += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_answers_and_grows_with_silence() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(60 * second);
        assert_eq!(pace.wait(100), 2 * second);
        pace.answered(64, Duration::from_millis(128));
        assert_eq!(pace.wait(64), Duration::from_millis(4 * 128 + 50));
        pace.silent();
        assert_eq!(pace.wait(64), Duration::from_millis(2 * (4 * 128 + 50)));
        pace.answered(64, Duration::from_millis(1));
        assert!(pace.wait(64) > Duration::from_millis(400), "one quick answer is not a proof");
        (0..20).for_each(|_| pace.silent());
        assert_eq!(pace.wait(64), 60 * second);
    }
}
