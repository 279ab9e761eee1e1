//! QEMU's SiFive E machine, a HiFive1: FE310-G000, one RV32IMAC hart.

use super::Peripherals;
use crate::app::update::NoSlot;
use crate::driver::Wake;
use crate::driver::minstret::Minstret;
use crate::driver::sifive::Uart;
use crate::led::NoLed;
use crate::start::Region;

/// UART0, and the instruction counter.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "sifive-e";
    type Line = Uart;
    type Watch = Minstret;
    type Led = NoLed;
    type Slot = NoSlot;

    fn take() -> Peripherals<Self> {
        // Instructions per second of virtual time with `-icount shift=8`: 10^9 / 2^8.
        let watch = Minstret::new(3_906_250);
        // SAFETY: the addresses of the machine's memory map; `start::run` is the only caller. 16 MHz after
        // reset.
        let line = unsafe { Uart::new(0x1001_3000, Wake::plic(0x0c00_0000, 3), 16_000_000 / 115_200) };
        Peripherals { line, watch, led: NoLed }
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
