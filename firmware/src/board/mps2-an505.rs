//! Arm MPS2 with FPGA image AN505: Cortex-M33 at 20 MHz (Arm DAI 0505). Secure state throughout, so
//! all addresses are the secure aliases.

use super::Peripherals;
use crate::app::update::NoSlot;
use crate::driver::cmsdk::{Timer, Uart};
use crate::led::NoLed;
use crate::start::Region;

/// UART0 and timer 0 of the subsystem.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "mps2-an505";
    type Line = Uart;
    type Watch = Timer;
    type Led = NoLed;
    type Slot = NoSlot;

    fn take() -> Peripherals<Self> {
        // SAFETY: the addresses of the board's memory map; `start::run` is the only caller.
        unsafe {
            Peripherals {
                line: Uart::new(0x5020_0000, 32),
                watch: Timer::new(0x5000_0000, 20_000_000),
                led: NoLed,
            }
        }
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
