//! The serial line between an emulated board and the host: a socket that QEMU connects to.

#[cfg(any(not(unix), test))]
mod tcp;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use tcp::{Line, Listener};
#[cfg(unix)]
pub use unix::{Line, Listener};
