//! Arm MPS2 with FPGA image AN500: Cortex-M7 at 25 MHz (Arm DAI 0500).

use crate::driver::Wake;
use crate::driver::cmsdk::{Timer, Uart};
use crate::driver::ram_slot::RamSlot;
use crate::start::Region;

/// UART0 and timer 0 of the subsystem.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "mps2-an500";
    const FRAME_BYTES: usize = 4096;
    type Line = Uart;
    type Watch = Timer;
    type Slot = RamSlot;

    fn take() -> (Uart, Timer) {
        // SAFETY: the addresses of the board's memory map; `start::run` is the only caller.
        unsafe { (Uart::new(0x4000_4000, Wake::nvic(0)), Timer::new(0x4000_0000, 25_000_000)) }
    }

    unsafe fn spare(slot: Region) -> Option<RamSlot> {
        // SAFETY: the slots lie in RAM, and the caller promises that this one is nobody else's.
        Some(unsafe { RamSlot::new(slot) })
    }
}
