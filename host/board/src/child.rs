//! Processes that do not outlive this one, and that are handed open files instead of paths.
//!
//! Nothing that an emulation needs has a name in the file system: its device image is a file without a name,
//! its serial line one end of a pair of sockets. However this process ends, they go with it, and on Linux the
//! kernel ends the child.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use other::Line;
#[cfg(not(unix))]
pub(crate) use other::{Handed, hand, line, nameless, output, path, socket, spawn};
#[cfg(unix)]
pub use unix::Line;
#[cfg(unix)]
pub(crate) use unix::{Handed, hand, line, nameless, output, path, socket, spawn};
