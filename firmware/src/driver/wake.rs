//! Sleep until a peripheral has something to say, without interrupt handlers.
//!
//! The interrupt is enabled at its controller while the core takes none: a pending interrupt still
//! ends the sleep, and the driver that waits looks at its peripheral itself. An emulator that sleeps
//! leaves the host's processor to others.

#[cfg(target_arch = "arm")]
pub use nvic::{Irq, Wake};
#[cfg(target_arch = "riscv32")]
pub use plic::Wake;

#[cfg(target_arch = "arm")]
mod nvic {
    use cortex_m::peripheral::NVIC;

    /// One interrupt as a reason to wake up.
    pub struct Wake(Irq);

    /// Number of an interrupt at the NVIC.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Irq(pub u16);

    // SAFETY: `number` gives the same value every time.
    unsafe impl cortex_m::interrupt::InterruptNumber for Irq {
        fn number(self) -> u16 {
            self.0
        }
    }

    impl Wake {
        /// Masks interrupts at the core and enables this one at the NVIC.
        pub fn nvic(interrupt: u16) -> Self {
            cortex_m::interrupt::disable();
            // SAFETY: the core takes no interrupt, so no critical section is broken by this one.
            unsafe { NVIC::unmask(Irq(interrupt)) };
            Self(Irq(interrupt))
        }

        /// Sleeps until the interrupt is pending.
        pub fn sleep(&self) {
            cortex_m::asm::wfi();
        }

        /// Makes it no longer pending, once its peripheral has no reason left.
        pub fn clear(&self) {
            NVIC::unpend(self.0);
        }
    }
}

#[cfg(target_arch = "riscv32")]
mod plic {
    use super::super::Register;

    /// One interrupt as a reason to wake up.
    pub struct Wake {
        claim: Register,
    }

    // Offsets of the platform-level interrupt controller; context 0 is machine mode of hart 0.
    const PRIORITY: usize = 0;
    const ENABLE: usize = 0x2000;
    const THRESHOLD: usize = 0x20_0000;
    const CLAIM: usize = 0x20_0004;

    impl Wake {
        /// Enables this interrupt at the PLIC, and external interrupts as a reason to wake up. The
        /// core takes none: machine interrupts stay disabled.
        ///
        /// # Safety
        /// A PLIC that nobody else uses lies at `base`.
        pub unsafe fn plic(base: usize, interrupt: usize) -> Self {
            // SAFETY: as the caller promises.
            let register = |offset| unsafe { Register::<u32>::new(base + offset) };
            register(PRIORITY + 4 * interrupt).write(1);
            register(ENABLE + 4 * (interrupt / 32)).write(1 << (interrupt % 32));
            register(THRESHOLD).write(0);
            // SAFETY: interrupts stay disabled in mstatus, so none is taken.
            unsafe { riscv::register::mie::set_mext() };
            Self { claim: register(CLAIM) }
        }

        /// Sleeps until the interrupt is pending.
        pub fn sleep(&self) {
            riscv::asm::wfi();
        }

        /// Makes it no longer pending, once its peripheral has no reason left.
        pub fn clear(&self) {
            let claimed = self.claim.read();
            self.claim.write(claimed);
        }
    }
}
