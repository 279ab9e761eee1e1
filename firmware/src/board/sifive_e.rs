//! SiFive E (FE310-G000, HiFive1): RV32IMAC at about 14 MHz from its ring oscillator after reset.

use crate::app::update::NoSlot;
use crate::driver::Register;
use crate::driver::minstret::Minstret;
use crate::driver::sifive_uart::Uart;
use crate::start::Region;

/// UART0, and the instruction counter.
pub enum Board {}

// Pins 16 and 17 to UART0.
const PINS_FUNCTION: usize = 0x1001_2038;
const PINS_FUNCTION_UART0: u32 = 0b11 << 16;
const CLOCK: u32 = 14_000_000;

impl super::Board for Board {
    const NAME: &'static str = "sifive-e";
    const FRAME_BYTES: usize = 2048;
    type Line = Uart;
    type Watch = Minstret;
    type Slot = NoSlot;

    fn take() -> (Uart, Minstret) {
        // Instructions per second of virtual time with `-icount shift=8`: 10^9 / 2^8.
        let watch = Minstret::new(3_906_250);
        // SAFETY: the addresses of the part's memory map; `start::run` is the only caller.
        unsafe {
            Register::new(PINS_FUNCTION).write(PINS_FUNCTION_UART0);
            (Uart::new(0x1001_3000, CLOCK / 115_200 - 1), watch)
        }
    }

    unsafe fn spare(_: Region) -> Option<NoSlot> {
        None
    }
}
