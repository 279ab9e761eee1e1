//! The RP2040's timer as a stopwatch: microseconds (RP2040 datasheet, section 4.6). Its Cortex-M0+ has no
//! cycle counter.

use crate::clock::Stopwatch;
use crate::driver::Register;

/// The lower half of the count, without latching the upper.
const COUNT: usize = 0x4005_4028;
/// Hz that the clock set-up lets it count.
const FREQUENCY: u32 = 1_000_000;

/// The timer: 32 bits of microseconds.
pub struct Timer {
    count: Register,
    start: u32,
}

impl Timer {
    /// The timer of a part whose clocks are set up.
    pub fn running() -> Self {
        // SAFETY: on an RP2040, the only part that this is built for, the register lies there; reading it
        // changes nothing.
        Self { count: unsafe { Register::new(COUNT) }, start: 0 }
    }
}

impl Stopwatch for Timer {
    fn frequency(&self) -> u32 {
        FREQUENCY
    }

    fn start(&mut self) {
        self.start = self.count.read();
    }

    fn ticks(&self) -> u64 {
        self.count.read().wrapping_sub(self.start).into()
    }
}
