//! UART of SiFive's E300 and U500 series (SiFive E300 platform reference manual, chapter 17). 8 bytes
//! of buffer each way.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::Register;

const TX_DATA: usize = 0x00;
const TX_DATA_FULL: u32 = 1 << 31;
const RX_DATA: usize = 0x04;
const RX_DATA_EMPTY: u32 = 1 << 31;
const TX_CONTROL: usize = 0x08;
const RX_CONTROL: usize = 0x0c;
const CONTROL_ENABLE: u32 = 1 << 0;
const DIVISOR: usize = 0x18;

/// The UART.
pub struct Uart {
    tx: Register,
    rx: Register,
}

impl Uart {
    /// The UART at a base address, switched on; `divisor` is the bus clock
    /// by the baud rate, less one.
    ///
    /// # Safety
    /// A SiFive UART that nobody else uses lies at `base`.
    pub unsafe fn new(base: usize, divisor: u32) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(DIVISOR).write(divisor);
        register(TX_CONTROL).write(CONTROL_ENABLE);
        register(RX_CONTROL).write(CONTROL_ENABLE);
        Self { tx: register(TX_DATA), rx: register(RX_DATA) }
    }

    fn byte(&self) -> Option<u8> {
        let word = self.rx.read();
        (word & RX_DATA_EMPTY == 0).then_some(word as u8)
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some((first, rest)) = buffer.split_first_mut() else {
            return Ok(0);
        };
        // Without sleep: this part's interrupt controller loses wake-ups in QEMU 7.
        *first = loop {
            if let Some(byte) = self.byte() {
                break byte;
            }
        };
        let mut count = 1;
        for place in rest {
            let Some(byte) = self.byte() else { break };
            *place = byte;
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.tx.read() & TX_DATA_FULL != 0 {}
            self.tx.write(byte.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
