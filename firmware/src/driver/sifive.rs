//! SiFive UART (FE310-G000 manual, chapter 18): 8 bytes of buffer each way; sleeps while it waits.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::{Register, Wake};

const TXDATA: usize = 0x00;
const TXDATA_FULL: u32 = 1 << 31;
const RXDATA: usize = 0x04;
const RXDATA_EMPTY: u32 = 1 << 31;
const TXCTRL: usize = 0x08;
const TXCTRL_ENABLE: u32 = 1 << 0;
const RXCTRL: usize = 0x0c;
/// Enabled, and the interrupt is raised by any byte.
const RXCTRL_ENABLE: u32 = 1 << 0;
const IE: usize = 0x10;
const IE_RX: u32 = 1 << 1;
const DIV: usize = 0x18;

/// The UART.
pub struct Uart {
    sender: Register,
    receiver: Register,
    wake: Wake,
}

impl Uart {
    /// The UART at a base address, switched on, with its interrupt, at a number of bus cycles per bit.
    ///
    /// # Safety
    /// A SiFive UART that nobody else uses lies at `base`.
    pub unsafe fn new(base: usize, wake: Wake, cycles_per_bit: u32) -> Self {
        // SAFETY: as the caller promises.
        let register = |offset| unsafe { Register::new(base + offset) };
        register(DIV).write(cycles_per_bit - 1);
        register(TXCTRL).write(TXCTRL_ENABLE);
        register(RXCTRL).write(RXCTRL_ENABLE);
        register(IE).write(IE_RX);
        Self { sender: register(TXDATA), receiver: register(RXDATA), wake }
    }

    /// The next byte; looking at the buffer takes it out.
    fn next(&self) -> Option<u8> {
        let word = self.receiver.read();
        (word & RXDATA_EMPTY == 0).then_some(word as u8)
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        while let Some(place) = buffer.get_mut(count) {
            // Cleared before the last look, so a byte that comes in now still ends the sleep.
            let byte = self.next().or_else(|| {
                self.wake.clear();
                self.next()
            });
            match byte {
                Some(byte) => {
                    *place = byte;
                    count += 1;
                }
                None if count > 0 => break,
                None => self.wake.sleep(),
            }
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.sender.read() & TXDATA_FULL != 0 {}
            self.sender.write(byte.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
