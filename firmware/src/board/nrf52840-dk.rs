//! Nordic nRF52840 DK (PCA10056): nRF52840, Cortex-M4F at 64 MHz. UARTE0 through the debugger on the board:
//! P0.06 sends, P0.08 receives. LED1 hangs between the supply and P0.13.

use embassy_nrf::gpio::{Level, Output, OutputDrive};

use super::Peripherals;
use crate::driver::dwt::Cycles;
use crate::driver::nrf52::{self, FlashSlot, Line};
use crate::led::ActiveLow;
use crate::start::Region;

/// UARTE0 and the cycle counter.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "nrf52840-dk";
    const AHEAD_BYTES: u32 = nrf52::AHEAD_BYTES;
    type Line = Line;
    type Watch = Cycles;
    type Led = ActiveLow<Output<'static>>;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let (parts, watch) = nrf52::take();
        let channels = (parts.PPI_CH0, parts.PPI_CH1);
        let line =
            Line::new(parts.UARTE0, parts.TIMER1, channels, parts.PPI_GROUP0, parts.P0_08, parts.P0_06);
        let led = ActiveLow(Output::new(parts.P0_13, Level::High, OutputDrive::Standard));
        Peripherals { line, watch, led }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole pages, and the caller promises the rest.
        unsafe { nrf52::spare(slot) }
    }
}
