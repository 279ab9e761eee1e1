//! QEMU's `virt` machine with one RV32IMAC hart.

use crate::driver::Wake;
use crate::driver::mtime::Mtime;
use crate::driver::ns16550::Uart;

/// The first UART, and the core-local interruptor's timer.
pub enum Board {}

impl super::Board for Board {
    const NAME: &'static str = "riscv-virt";
    const FRAME_BYTES: usize = 4096;
    type Line = Uart;
    type Watch = Mtime;

    fn take() -> (Uart, Mtime) {
        // SAFETY: the addresses of the machine's memory map; `start::run` is the only caller.
        unsafe { (Uart::new(0x1000_0000, Wake::plic(0x0c00_0000, 10)), Mtime::new(0x0200_0000, 10_000_000)) }
    }
}
