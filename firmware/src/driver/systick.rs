//! The processor's own timer as a stopwatch: 24 bits that count down at its clock, and the number of times
//! they passed zero, which an exception counts.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

use crate::clock::Stopwatch;

/// Ticks of one round.
const ROUND: u32 = 1 << 24;

static ROUNDS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    ROUNDS.store(ROUNDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The timer.
pub struct SysTick {
    timer: SYST,
    frequency: u32,
}

impl SysTick {
    /// The timer of a processor of some Hz.
    pub fn new(mut timer: SYST, frequency: u32) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(ROUND - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Self { timer, frequency }
    }
}

impl Stopwatch for SysTick {
    fn frequency(&self) -> u32 {
        self.frequency
    }

    fn start(&mut self) {
        self.timer.disable_counter();
        self.timer.clear_current();
        ROUNDS.store(0, Ordering::Relaxed);
        self.timer.enable_counter();
    }

    fn ticks(&self) -> u64 {
        loop {
            // Read again where a round ended between the two.
            let (before, value, after) =
                (ROUNDS.load(Ordering::Relaxed), SYST::get_current(), ROUNDS.load(Ordering::Relaxed));
            if before == after {
                return u64::from(before) * u64::from(ROUND) + u64::from(ROUND - 1 - value);
            }
        }
    }
}
