//! Arm PrimeCell UART (PL011, Arm DDI 0183). 16 bytes of buffer each way; sleeps while it waits.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::{Register, Wake};

const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const FLAGS_RX_EMPTY: u32 = 1 << 4;
const FLAGS_TX_FULL: u32 = 1 << 5;
const LINE_CONTROL: usize = 0x2c;
const LINE_CONTROL_8_BITS: u32 = 0b11 << 5;
const LINE_CONTROL_FIFO: u32 = 1 << 4;
const CONTROL: usize = 0x30;
const CONTROL_ENABLE: u32 = 1 << 0;
const CONTROL_TX: u32 = 1 << 8;
const CONTROL_RX: u32 = 1 << 9;
const INTERRUPT_MASK: usize = 0x38;
const INTERRUPT_RX: u32 = 1 << 4;
const INTERRUPT_RX_TIMEOUT: u32 = 1 << 6;
const INTERRUPT_CLEAR: usize = 0x44;
const INTERRUPT_ALL: u32 = 0x7ff;

/// The UART.
pub struct Uart {
    data: Register,
    flags: Register,
    wake: Wake,
}

impl Uart {
    /// The UART at a base address, switched on, with its interrupt.
    ///
    /// # Safety
    /// A PL011 that nobody else uses lies at `base`, with its clock on.
    pub unsafe fn new(base: usize, wake: Wake) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(LINE_CONTROL).write(LINE_CONTROL_8_BITS | LINE_CONTROL_FIFO);
        // A byte that came in before this, from a host that was there first, was thrown away with the
        // buffer's new size, but its interrupt was not: QEMU's interrupt controller, which only sees
        // edges, would sleep through every later byte. Reading the data register makes QEMU look
        // at its line again.
        register(DATA).read();
        register(INTERRUPT_CLEAR).write(INTERRUPT_ALL);
        register(INTERRUPT_MASK).write(INTERRUPT_RX | INTERRUPT_RX_TIMEOUT);
        register(CONTROL).write(CONTROL_ENABLE | CONTROL_TX | CONTROL_RX);
        Self { data: register(DATA), flags: register(FLAGS), wake }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.flags.read() & FLAGS_RX_EMPTY != 0 {
            // Unpended before the last look, so a byte that comes in now still ends the sleep.
            self.wake.clear();
            if self.flags.read() & FLAGS_RX_EMPTY != 0 {
                self.wake.sleep();
            }
        }
        let mut count = 0;
        for place in buffer {
            if self.flags.read() & FLAGS_RX_EMPTY != 0 {
                break;
            }
            *place = self.data.read() as u8;
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.flags.read() & FLAGS_TX_FULL != 0 {}
            self.data.write(byte.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
