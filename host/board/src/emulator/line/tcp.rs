//! A TCP socket on the loopback interface, for systems without Unix sockets. Another process of this computer could
//! connect in QEMU's place, which then finds nobody and ends; so it is not used where there is a better way.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

/// The host's end of the line.
pub type Line = TcpStream;

/// Waits for QEMU.
pub struct Listener(TcpListener);

impl Listener {
    /// Listens at a port that the system chooses.
    pub fn bind(_: &Path) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// What QEMU's `-serial` takes.
    pub fn device(&self) -> io::Result<String> {
        Ok(format!("tcp:{},nodelay=on", self.0.local_addr()?))
    }

    /// QEMU's connection; [`io::ErrorKind::WouldBlock`] before it is there.
    pub fn accept(&self) -> io::Result<Line> {
        let (line, _) = self.0.accept()?;
        line.set_nonblocking(false)?;
        line.set_nodelay(true)?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_connects_where_qemu_is_told_to_is_at_the_other_end() {
        let listener = Listener::bind(Path::new("unused")).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let device = listener.device().unwrap();
        let address = device.strip_prefix("tcp:").and_then(|rest| rest.strip_suffix(",nodelay=on")).unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        let mut qemu = TcpStream::connect(address).unwrap();
        qemu.write_all(b"hello").unwrap();
        let mut line = loop {
            match listener.accept() {
                Ok(line) => break line,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        // A line that still did not block would end here, or earlier.
        line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut heard = [0; 5];
        line.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    }
}
