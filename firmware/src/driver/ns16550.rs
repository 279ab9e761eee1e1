//! National Semiconductor 16550 UART with byte-wide registers. 16 bytes of buffer each way; sleeps
//! while it waits.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::{Register, Wake};

const DATA: usize = 0;
const INTERRUPT_ENABLE: usize = 1;
const INTERRUPT_ENABLE_RX: u8 = 1 << 0;
const FIFO_CONTROL: usize = 2;
const FIFO_CONTROL_ENABLE: u8 = 1 << 0;
const LINE_CONTROL: usize = 3;
const LINE_CONTROL_8_BITS: u8 = 0b11;
const LINE_STATUS: usize = 5;
const LINE_STATUS_DATA_READY: u8 = 1 << 0;
const LINE_STATUS_TX_EMPTY: u8 = 1 << 5;

/// The UART.
pub struct Uart {
    data: Register<u8>,
    status: Register<u8>,
    wake: Wake,
}

impl Uart {
    /// The UART at a base address, switched on, with its interrupt.
    ///
    /// # Safety
    /// A 16550 that nobody else uses lies at `base`.
    pub unsafe fn new(base: usize, wake: Wake) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(LINE_CONTROL).write(LINE_CONTROL_8_BITS);
        register(FIFO_CONTROL).write(FIFO_CONTROL_ENABLE);
        register(INTERRUPT_ENABLE).write(INTERRUPT_ENABLE_RX);
        Self { data: register(DATA), status: register(LINE_STATUS), wake }
    }

    fn has_data(&self) -> bool {
        self.status.read() & LINE_STATUS_DATA_READY != 0
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
        while !self.has_data() {
            // Cleared before the last look, so a byte that comes in now still ends the sleep.
            self.wake.clear();
            if !self.has_data() {
                self.wake.sleep();
            }
        }
        let mut count = 0;
        for place in buffer {
            if !self.has_data() {
                break;
            }
            *place = self.data.read();
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.status.read() & LINE_STATUS_TX_EMPTY == 0 {}
            self.data.write(byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
