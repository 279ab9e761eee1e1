//! Raspberry Pi Pico: RP2040, the first of its Cortex-M0+ at 125 MHz, 2 MiB of flash. The line is the
//! USB port, or UART0: GP0 (pin 1) sends, GP1 (pin 2) receives. The light is on GP25.

use embassy_rp::gpio::{Level, Output};

use super::Peripherals;
use crate::driver::rp::timer::Timer;
use crate::driver::rp::{self, FlashSlot, Line};
use crate::start::Region;

/// The two lines and the timer.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "pico";
    const AHEAD_BYTES: u32 = rp::AHEAD_BYTES;
    type Line = Line;
    type Watch = Timer;
    type Led = Output<'static>;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        // The crystal of 12 MHz, which the default set-up expects, gives the cores 125 MHz.
        let parts = embassy_rp::init(embassy_rp::config::Config::default());
        let line = Line::new(parts.UART0, parts.PIN_0, parts.PIN_1, parts.USB);
        Peripherals { line, watch: Timer::running(), led: Output::new(parts.PIN_25, Level::Low) }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole sectors, and the caller promises the rest.
        unsafe { rp::spare(slot) }
    }
}

#[cfg(feature = "camera")]
impl super::Camera for Board {
    type Source = rp::camera::Camera;

    fn camera(sums: &'static mut [u64]) -> (Self::Source, Self::Led) {
        rp::camera::take(sums)
    }
}
