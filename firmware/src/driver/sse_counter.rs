//! The system counter of Arm's SSE-300 subsystem, read through one of its timers: 64 bits (Arm DDI
//! 0773).

use super::Register;
use crate::clock::Stopwatch;

const CONTROL: usize = 0x00;
const CONTROL_ENABLE: u32 = 1 << 0;
const TIMER_COUNT_LOW: usize = 0x00;
const TIMER_COUNT_HIGH: usize = 0x04;

/// The counter.
pub struct Counter {
    low: Register,
    high: Register,
    start: u64,
    frequency: u32,
}

impl Counter {
    /// The counter with its control frame at one address, switched on, read through a timer at
    /// another, counting at `frequency` Hz.
    ///
    /// # Safety
    /// The two frames lie at these addresses, and nobody else uses them.
    pub unsafe fn new(control: usize, timer: usize, frequency: u32) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            Register::new(control + CONTROL).write(CONTROL_ENABLE);
            let low = Register::new(timer + TIMER_COUNT_LOW);
            Self { low, high: Register::new(timer + TIMER_COUNT_HIGH), start: 0, frequency }
        }
    }

    fn now(&self) -> u64 {
        loop {
            let high = self.high.read();
            let low = self.low.read();
            if self.high.read() == high {
                return u64::from(high) << 32 | u64::from(low);
            }
        }
    }
}

impl Stopwatch for Counter {
    fn frequency(&self) -> u32 {
        self.frequency
    }

    fn start(&mut self) {
        self.start = self.now();
    }

    fn ticks(&self) -> u64 {
        self.now() - self.start
    }
}
