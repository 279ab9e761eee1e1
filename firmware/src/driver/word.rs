//! Serial ports of HALs, which give and take one word at a time, as a line of bytes.

use embedded_hal_nb::nb;
use embedded_hal_nb::serial::{self, Error as _};
use embedded_io::{ErrorKind, ErrorType, Read, Write};

use super::Wake;

/// A serial port `S`; sleeps while it waits for a byte.
pub struct Words<S> {
    serial: S,
    wake: Wake,
}

impl<S> Words<S> {
    /// A port whose receive interrupt is on, and that interrupt.
    pub const fn new(serial: S, wake: Wake) -> Self {
        Self { serial, wake }
    }
}

/// What happened to a byte on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineError(serial::ErrorKind);

impl core::fmt::Display for LineError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for LineError {}

impl embedded_io::Error for LineError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl<S> ErrorType for Words<S> {
    type Error = LineError;
}

impl<S: serial::Read<u8>> Read for Words<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LineError> {
        let Some(first) = buffer.first_mut() else {
            return Ok(0);
        };
        loop {
            // Cleared before the look at the port, so a byte that comes in after it still ends the sleep.
            self.wake.clear();
            match self.serial.read() {
                Ok(byte) => {
                    *first = byte;
                    return Ok(1);
                }
                Err(nb::Error::WouldBlock) => self.wake.sleep(),
                Err(nb::Error::Other(error)) => return Err(LineError(error.kind())),
            }
        }
    }
}

impl<S: serial::Write<u8>> Write for Words<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        for &byte in bytes {
            nb::block!(self.serial.write(byte)).map_err(|error| LineError(error.kind()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), LineError> {
        nb::block!(self.serial.flush()).map_err(|error| LineError(error.kind()))
    }
}
