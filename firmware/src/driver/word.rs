//! Serial ports of HALs, which take one word at a time, as a line of bytes.

use embedded_hal_nb::nb;
use embedded_hal_nb::serial::{self, Error as _};
use embedded_io::{ErrorKind, ErrorType, Read, Write};

use super::reception::Queue;

/// A serial port with the sender `S`; what it receives waits in the queue.
pub struct Words<S> {
    sender: S,
    queue: Queue,
}

impl<S> Words<S> {
    /// Both directions of a port.
    pub const fn new(sender: S, queue: Queue) -> Self {
        Self { sender, queue }
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

impl<S> Read for Words<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LineError> {
        Ok(self.queue.read(buffer))
    }
}

impl<S: serial::Write<u8>> Write for Words<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        for &byte in bytes {
            nb::block!(self.sender.write(byte)).map_err(|error| LineError(error.kind()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), LineError> {
        nb::block!(self.sender.flush()).map_err(|error| LineError(error.kind()))
    }
}
