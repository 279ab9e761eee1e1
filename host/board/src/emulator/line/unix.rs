//! A Unix socket in the emulation's folder, which nobody else enters.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::qemu::quote;

/// The host's end of the line.
pub type Line = UnixStream;

/// Waits for QEMU.
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at a socket in the emulation's folder.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join("serial");
        let socket = UnixListener::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// What QEMU's `-serial` takes.
    pub fn device(&self) -> io::Result<String> {
        Ok(format!("unix:{}", quote(&self.path)))
    }

    /// QEMU's connection; [`io::ErrorKind::WouldBlock`] before it is there.
    pub fn accept(&self) -> io::Result<Line> {
        let (line, _) = self.socket.accept()?;
        line.set_nonblocking(false)?;
        Ok(line)
    }
}
