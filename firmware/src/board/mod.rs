//! Boards: one file each, plus a memory map in `memory/`, a feature and a binary in `Cargo.toml`.

use embedded_io::{Read, Write};

use crate::clock::Stopwatch;

#[cfg(feature = "mps2-an386")]
pub mod mps2_an386;

/// A board: its name and its peripherals.
pub trait Board {
    /// Name in the host's table of boards.
    const NAME: &'static str;
    /// Buffer for one received frame: payload and CRC.
    const FRAME_BYTES: usize;
    /// The serial line to the host.
    type Line: Read + Write;
    /// What measures an inference.
    type Watch: Stopwatch;

    /// Switches the board's peripherals on.
    fn take() -> (Self::Line, Self::Watch);
}
