//! RISC-V's counter of retired instructions as a stopwatch: 64 bits, exact.

use crate::clock::Stopwatch;

/// The counter `minstret`.
pub struct Minstret {
    start: u64,
    frequency: u32,
}

impl Minstret {
    /// The counter of a core that retires `frequency` instructions per second.
    pub const fn new(frequency: u32) -> Self {
        Self { start: 0, frequency }
    }
}

impl Stopwatch for Minstret {
    fn frequency(&self) -> u32 {
        self.frequency
    }

    fn start(&mut self) {
        self.start = riscv::register::minstret::read64();
    }

    fn ticks(&self) -> u64 {
        riscv::register::minstret::read64() - self.start
    }
}
