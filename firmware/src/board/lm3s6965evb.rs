//! Texas Instruments (Luminary) LM3S6965 evaluation board: Cortex-M3 at 12.5 MHz after reset.

use super::Peripherals;
use crate::app::update::NoSlot;
use crate::driver::cmsdk::Watchdog;
use crate::driver::pl011::Uart;
use crate::driver::{Register, Wake};
use crate::led::NoLed;
use crate::start::Region;

/// UART0, and the watchdog, the only counter that QEMU lets a program read.
pub enum Board {}

// Run mode clock gating: which peripherals have a clock.
const CLOCKS_0: usize = 0x400f_e100;
const CLOCKS_0_WATCHDOG: u32 = 1 << 3;
const CLOCKS_1: usize = 0x400f_e104;
const CLOCKS_1_UART0: u32 = 1 << 0;

impl super::Board for Board {
    const NAME: &'static str = "lm3s6965evb";
    type Line = Uart;
    type Watch = Watchdog;
    type Led = NoLed;
    type Slot = NoSlot;

    fn take() -> Peripherals<Self> {
        // SAFETY: the addresses of the part's memory map; `start::run` is the only caller.
        unsafe {
            Register::new(CLOCKS_0).write(CLOCKS_0_WATCHDOG);
            Register::new(CLOCKS_1).write(CLOCKS_1_UART0);
            Peripherals {
                line: Uart::new(0x4000_c000, Wake::nvic(5)),
                watch: Watchdog::new(0x4000_0000, 12_500_000),
                led: NoLed,
            }
        }
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
