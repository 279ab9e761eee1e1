//! The MPS2 with FPGA image AN385 again, for a firmware of Armv6-M instructions.
//!
//! Armv6-M is a subset of Armv7-M, so a Cortex-M3 executes what a Cortex-M0+ would, instruction by
//! instruction. No board that QEMU emulates has a Cortex-M0+ and the memory for larger models.

use super::Peripherals;
use crate::app::update::NoSlot;
use crate::driver::cmsdk::{Timer, Uart};
use crate::led::NoLed;
use crate::start::Region;

/// UART0 and timer 0 of the subsystem.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "mps2-an385-v6m";
    type Line = Uart;
    type Watch = Timer;
    type Led = NoLed;
    type Slot = NoSlot;

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

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
