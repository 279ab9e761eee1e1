//! Arm MPS3 with FPGA image AN547: Cortex-M55 with MVE at 32 MHz (Arm DAI 0547). Secure state
//! throughout, so peripherals are at their secure aliases.

use super::Peripherals;
use crate::app::update::NoSlot;
use crate::driver::cmsdk::Uart;
use crate::driver::sse_counter::Counter;
use crate::led::NoLed;
use crate::start::Region;

/// UART0, and the system counter through system timer 0.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "mps3-an547";
    type Line = Uart;
    type Watch = Counter;
    type Led = NoLed;
    type Slot = NoSlot;

    fn take() -> Peripherals<Self> {
        // SAFETY: the addresses of the board's memory map; `start::run` is the only caller.
        unsafe {
            Peripherals {
                line: Uart::new(0x5930_3000, 33),
                watch: Counter::new(0x5810_0000, 0x5800_0000, 32_000_000),
                led: NoLed,
            }
        }
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
