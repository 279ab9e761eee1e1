//! Where a child cannot be handed descriptors: boards are not emulated there.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::process::{Child, Command, Output};

/// The host's end of an emulated board's serial line.
pub type Line = TcpStream;

/// An open file or socket that a child gets: there is none.
pub(crate) enum Handed {}

fn unsupported() -> io::Error {
    let message = "boards are emulated on Linux and macOS; on Windows, run goldcrest in WSL";
    io::Error::new(io::ErrorKind::Unsupported, message)
}

/// A serial line: the host's end, and the child's.
pub(crate) fn line() -> io::Result<(Line, Handed)> {
    Err(unsupported())
}

/// What QEMU's `-chardev` takes for its end of a serial line.
pub(crate) fn socket(end: &Handed) -> String {
    match *end {}
}

/// A file without a name that holds `bytes`.
pub(crate) fn nameless(_: &[u8]) -> io::Result<Handed> {
    Err(unsupported())
}

/// A file for a child to read or write.
pub(crate) fn hand(_: File) -> io::Result<Handed> {
    Err(unsupported())
}

/// What a child opens the file by.
pub(crate) fn path(file: &Handed) -> String {
    match *file {}
}

/// Starts a process with open files.
pub(crate) fn spawn(_: Command, _: Vec<Handed>) -> io::Result<Child> {
    Err(unsupported())
}

/// Runs a process and collects what it writes.
pub(crate) fn output(mut command: Command) -> io::Result<Output> {
    command.output()
}
