//! BBC micro:bit, first version: nRF51822, Cortex-M0 at 16 MHz, 16 KB of RAM.

use crate::driver::Wake;
use crate::driver::nrf51::{Timer, Uart};

/// The UART to the interface chip, and TIMER0.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "microbit";
    const FRAME_BYTES: usize = 1024;
    type Line = Uart;
    type Watch = Timer;

    fn take() -> (Uart, Timer) {
        // SAFETY: the addresses of the part's memory map and the board's pins; `start::run` is the
        // only caller.
        unsafe { (Uart::new(0x4000_2000, 24, 25, Wake::nvic(2)), Timer::new(0x4000_8000)) }
    }
}
