//! The machine timer of a RISC-V core-local interruptor as a stopwatch: 64 bits (RISC-V ACLINT
//! specification).

use super::Register;
use crate::clock::Stopwatch;

/// Offset of `mtime` in the interruptor's registers.
const MTIME: usize = 0xbff8;

/// The timer.
pub struct Mtime {
    low: Register,
    high: Register,
    start: u64,
    frequency: u32,
}

impl Mtime {
    /// The timer of the interruptor at an address, counting at `frequency` Hz.
    ///
    /// # Safety
    /// An interruptor lies at that address, and nobody sets its timer.
    pub const unsafe fn new(address: usize, frequency: u32) -> Self {
        // SAFETY: as the caller promises.
        let (low, high) = unsafe { (Register::new(address + MTIME), Register::new(address + MTIME + 4)) };
        Self { low, high, start: 0, frequency }
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

impl Stopwatch for Mtime {
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
