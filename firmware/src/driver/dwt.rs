//! The cycle counter of Cortex-M3 and larger cores as a stopwatch (Armv7-M and Armv8-M architecture
//! reference manuals, data watchpoint and trace unit): 32 bits of processor cycles, which stand still while
//! the core sleeps.

use cortex_m::peripheral::{DCB, DWT};

use crate::clock::Stopwatch;

/// The counter.
pub struct Cycles {
    counter: DWT,
    start: u32,
    frequency: u32,
}

impl Cycles {
    /// The counter, switched on, of a core that runs at `frequency` Hz.
    pub fn new(mut debug: DCB, mut counter: DWT, frequency: u32) -> Self {
        debug.enable_trace();
        counter.enable_cycle_counter();
        Self { counter, start: 0, frequency }
    }
}

impl Stopwatch for Cycles {
    fn frequency(&self) -> u32 {
        self.frequency
    }

    fn start(&mut self) {
        self.start = self.counter.cyccnt.read();
    }

    fn ticks(&self) -> u64 {
        self.counter.cyccnt.read().wrapping_sub(self.start).into()
    }
}
