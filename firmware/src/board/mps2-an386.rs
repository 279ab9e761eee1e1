//! Arm MPS2 with FPGA image AN386: Cortex-M4F at 25 MHz (Arm DAI 0386).

use super::Peripherals;
use crate::driver::cmsdk::{Timer, Uart};
use crate::driver::ram_slot::RamSlot;
use crate::led::NoLed;
use crate::start::Region;

/// UART0 and timer 0 of the subsystem.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "mps2-an386";
    type Line = Uart;
    type Watch = Timer;
    type Led = NoLed;
    type Slot = RamSlot;

    fn take() -> Peripherals<Self> {
        // SAFETY: the addresses of the board's memory map; `start::run` is the only caller.
        unsafe {
            Peripherals {
                line: Uart::new(0x4000_4000, 0),
                watch: Timer::new(0x4000_0000, 25_000_000),
                led: NoLed,
            }
        }
    }

    unsafe fn spare(slot: Region) -> Option<RamSlot> {
        // SAFETY: the slots lie in RAM, and the caller promises that this one is nobody else's.
        Some(unsafe { RamSlot::new(slot) })
    }
}
