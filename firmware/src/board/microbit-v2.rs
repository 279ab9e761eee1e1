//! BBC micro:bit v2: nRF52833, Cortex-M4F at 64 MHz. UARTE0 through the interface chip on the board: P0.06
//! sends, P1.08 receives. The light is the upper left one of the 25: row 1 (P0.21) drives it, column 1
//! (P0.28) takes its current.

use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embedded_hal::digital::{ErrorType, OutputPin};

use super::Peripherals;
use crate::driver::dwt::Cycles;
use crate::driver::nrf52::{self, FlashSlot, Line};
use crate::start::Region;

/// UARTE0 and the cycle counter.
pub enum Board {}

/// One light of the matrix.
pub struct Light {
    row: Output<'static>,
    /// Low for as long as it lives.
    _column: Output<'static>,
}

impl ErrorType for Light {
    type Error = <Output<'static> as ErrorType>::Error;
}

impl OutputPin for Light {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        OutputPin::set_low(&mut self.row)
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        OutputPin::set_high(&mut self.row)
    }
}

impl super::Board for Board {
    const NAME: &'static str = "microbit-v2";
    const AHEAD_BYTES: u32 = nrf52::AHEAD_BYTES;
    type Line = Line;
    type Watch = Cycles;
    type Led = Light;
    type Slot = FlashSlot;

    fn take() -> Peripherals<Self> {
        let (parts, watch) = nrf52::take();
        let channels = (parts.PPI_CH0, parts.PPI_CH1);
        let line =
            Line::new(parts.UARTE0, parts.TIMER1, channels, parts.PPI_GROUP0, parts.P1_08, parts.P0_06);
        let led = Light {
            row: Output::new(parts.P0_21, Level::Low, OutputDrive::Standard),
            _column: Output::new(parts.P0_28, Level::Low, OutputDrive::Standard),
        };
        Peripherals { line, watch, led }
    }

    unsafe fn spare(slot: Region) -> Option<FlashSlot> {
        // SAFETY: the slots are whole pages, and the caller promises the rest.
        unsafe { nrf52::spare(slot) }
    }
}
