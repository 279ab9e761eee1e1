//! Boards: one file each, plus a memory map in `memory/` and a feature in `Cargo.toml`, all of the board's
//! name.
//!
//! The build script finds the board whose feature is on and makes its file a module here, so a program names
//! [`Chosen`] and no board.

#[cfg(feature = "camera")]
use core::fmt::Debug;

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};

use crate::app::update::Slot;
use crate::clock::Stopwatch;
#[cfg(feature = "camera")]
use crate::source::ImageSource;
use crate::start::Region;

#[cfg(board)]
include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// What the application uses of a board.
pub struct Peripherals<B: Board + ?Sized> {
    /// The serial line to the host.
    pub line: B::Line,
    /// What measures an inference.
    pub watch: B::Watch,
    /// Lit while the board works on a request.
    pub led: B::Led,
}

/// A board: its name and its peripherals.
pub trait Board {
    /// Name in the host's table of boards.
    const NAME: &'static str;
    /// The serial line to the host.
    type Line: Read + Write;
    /// What measures an inference.
    type Watch: Stopwatch;
    /// A light: on while high. [`NoLed`](crate::led::NoLed) where there is none.
    type Led: OutputPin;

    /// Bytes that the line holds while nobody reads it: in a queue that an interrupt fills, or because QEMU's
    /// lines hold back what a UART cannot take.
    const AHEAD_BYTES: u32 = 4096;
    /// What writes a slot of the device image.
    type Slot: Slot;

    /// Switches the board's peripherals on.
    fn take() -> Peripherals<Self>;

    /// The slot that is not in use, for a new device image; none where the firmware cannot write it.
    ///
    /// # Safety
    /// Nobody else looks at or writes the slot while the result lives.
    unsafe fn spare(slot: Region) -> Option<Self::Slot>;
}

/// A board with a camera on its pins.
#[cfg(feature = "camera")]
pub trait Camera: Board {
    /// The camera.
    type Source: ImageSource<Error: Debug>;

    /// Switches board and camera on: the camera and the light. `sums` has room for the model's input, 3
    /// numbers for each column.
    ///
    /// # Panics
    /// When the camera does not answer.
    fn camera(sums: &'static mut [u64]) -> (Self::Source, Self::Led);
}
