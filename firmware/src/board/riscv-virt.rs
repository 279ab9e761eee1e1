//! QEMU's `virt` machine with one RV32IMAC hart.

use super::Peripherals;
use crate::app::update::NoSlot;
use crate::driver::Wake;
use crate::driver::minstret::Minstret;
use crate::driver::ns16550::Uart;
use crate::led::NoLed;
use crate::start::Region;

/// The first UART, and the instruction counter.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "riscv-virt";
    type Line = Uart;
    type Watch = Minstret;
    type Led = NoLed;
    type Slot = NoSlot;

    fn take() -> Peripherals<Self> {
        // Instructions per second of virtual time with `-icount shift=8`: 10^9 / 2^8.
        let watch = Minstret::new(3_906_250);
        // SAFETY: the addresses of the machine's memory map; `start::run` is the only caller.
        unsafe {
            Peripherals { line: Uart::new(0x1000_0000, Wake::plic(0x0c00_0000, 10)), watch, led: NoLed }
        }
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
