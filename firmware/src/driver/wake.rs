//! Sleep until a peripheral has something to say, without interrupt handlers.
//!
//! The interrupt is enabled at its controller while the core takes none: a pending interrupt still
//! ends the sleep, and the driver that waits looks at its peripheral itself. An emulator that sleeps
//! leaves the host's processor to others.

/// One interrupt as a reason to wake up.
pub struct Wake {
    #[cfg_attr(not(target_arch = "arm"), expect(dead_code, reason = "no interrupt controller"))]
    interrupt: u16,
}

#[cfg(target_arch = "arm")]
impl Wake {
    /// Masks interrupts at the core and enables this one at the NVIC.
    pub fn new(interrupt: u16) -> Self {
        cortex_m::interrupt::disable();
        // SAFETY: the core takes no interrupt, so none has to be handled.
        unsafe { cortex_m::peripheral::NVIC::unmask(Number(interrupt)) };
        Self { interrupt }
    }

    /// Sleeps until the interrupt is pending.
    pub fn sleep(&self) {
        cortex_m::asm::wfi();
    }

    /// Makes it no longer pending.
    pub fn clear(&self) {
        cortex_m::peripheral::NVIC::unpend(Number(self.interrupt));
    }
}

#[cfg(target_arch = "arm")]
#[derive(Clone, Copy)]
struct Number(u16);

#[cfg(target_arch = "arm")]
// SAFETY: `number` gives the same value every time, and nobody else makes a critical section of it.
unsafe impl cortex_m::interrupt::InterruptNumber for Number {
    fn number(self) -> u16 {
        self.0
    }
}

#[cfg(not(target_arch = "arm"))]
impl Wake {
    /// No interrupt controller is known here.
    pub fn new(interrupt: u16) -> Self {
        Self { interrupt }
    }

    /// Does not sleep.
    pub fn sleep(&self) {}

    /// Nothing is pending.
    pub fn clear(&self) {}
}
