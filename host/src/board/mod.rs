//! Boards: which there are, how to build firmware for one, run it in an emulator and talk to it.
//!
//! * [`table`]: the boards, one row each.
//! * [`firmware`]: from a row to an ELF file.
//! * [`client`]: the host's side of the link protocol, over any line.
//! * [`flash`]: onto a real board.
//! * [`port`]: serial ports and sockets to boards.
//! * [`probe`]: debug probes, through probe-rs.
//! * [`emulator`]: QEMU with that firmware and a device image, and a client connected to it.
//! * [`payload`]: the device image, from an int8 ONNX file or as it is.
//! * [`evaluate`]: a test set on an emulated board, compared with the engine on the host.
//! * [`fit`]: whether a model fits a board.
//! * [`inference`]: the program of inference alone: its size, its stack, its cycles.
//! * [`placement`]: whether a firmware lies where the part has memory.
//! * [`boot`]: what the part's boot ROM looks for in front of it.
//! * [`log`]: the firmware's defmt logs.

pub mod boot;
pub mod client;
pub mod emulator;
pub mod evaluate;
pub mod firmware;
pub mod fit;
pub mod flash;
pub mod inference;
pub mod log;
pub mod payload;
pub mod placement;
pub mod port;
pub mod probe;
pub mod qemu;
mod segment;
pub mod table;

pub use client::{Client, LinkError};
pub use emulator::{Answer, Emulator, EmulatorError};
pub use firmware::{BuildError, Firmware};
pub use table::{BOARDS, Board};
