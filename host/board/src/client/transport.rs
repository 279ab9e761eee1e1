//! Lines to a board.

use std::io;
use std::time::Duration;

/// A line of bytes in both directions.
pub trait Transport {
    /// Sends all of `bytes`.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Receives at least one byte, waiting at most `timeout` (never zero): how many came, 0 when the
    /// other end hung up; [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`] when none
    /// came in time.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(timeout))?;
        io::Read::read(self, buffer)
    }
}

impl Transport for std::net::TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(timeout))?;
        io::Read::read(self, buffer)
    }
}
