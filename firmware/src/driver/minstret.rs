//! RISC-V's counter of retired instructions as a stopwatch: 64 bits, exact.

use crate::clock::Stopwatch;
use crate::start::known;

/// The counter `minstret`.
pub struct Minstret {
    start: u64,
    frequency: u32,
}

impl Minstret {
    /// The counter of a core that retires some instructions per second.
    ///
    /// QEMU 7 counts nanoseconds there, later ones and silicon count instructions; work of a known number
    /// of instructions tells which.
    pub fn new(instructions_per_second: u32) -> Self {
        let mut counter = Self { start: 0, frequency: 0 };
        let mut ticks = |rounds| {
            counter.start();
            known::rounds(rounds);
            counter.ticks()
        };
        let few = ticks(1);
        // 1,000 rounds of two instructions more.
        let per_instruction = (ticks(1001) - few) / 2000;
        counter.frequency = instructions_per_second.saturating_mul(per_instruction as u32);
        counter
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
