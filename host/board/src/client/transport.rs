//! Lines to a board.

use std::io;
use std::time::{Duration, Instant};

/// A line of bytes in both directions.
pub trait Transport {
    /// Sends all of `bytes`.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Receives at least one byte, waiting at most `timeout` (never zero): how many came, 0 when the
    /// other end hung up; [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`] when none
    /// came in time.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}

/// Writes all of `bytes` within a time, to an end that may take them one by one.
pub(crate) fn write_within(mut line: impl io::Write, bytes: &[u8], limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    let mut rest = bytes;
    while !rest.is_empty() {
        match line.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What a socket with a time-out says when it is over.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if !rest.is_empty() && Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// Longest time to write to a socket that has no time-out of its own.
const WRITE: Duration = Duration::from_secs(60);

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = self.write_timeout()?.unwrap_or(WRITE);
        write_within(self, bytes, limit)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(timeout))?;
        io::Read::read(self, buffer)
    }
}

impl Transport for std::net::TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = self.write_timeout()?.unwrap_or(WRITE);
        write_within(self, bytes, limit)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(timeout))?;
        io::Read::read(self, buffer)
    }
}
