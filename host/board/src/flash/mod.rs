//! A firmware and a device image onto a real board.
//!
//! * [`contents`]: what is written where.
//! * [`uf2`], [`hex`]: that as files that boot loaders and probe-rs read.
//! * [`drive`]: the drives that boot loaders show.
//! * [`steps`]: the commands that write and read a board, for each method.
//! * [`tool`]: running them, and what their errors mean.
//!
//! Probes and Espressif's boot loader are left to `probe-rs` and `espflash`, as commands: see
//! [`super::probe`].

pub mod contents;
pub mod drive;
pub mod hex;
pub mod steps;
pub mod tool;
pub mod uf2;

pub use contents::{Contents, Piece};
pub use steps::{Ends, Plan, plan};
pub use tool::ToolError;

use super::table::{Board, Method};

/// Why a board is not flashed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// Only emulated.
    #[error("{board} is only emulated, there is nothing to flash; run `goldcrest emulate --board {board}`")]
    Emulated {
        /// The board.
        board: &'static str,
    },
    /// Another way than the board has.
    #[error(
        "{board} cannot be written by {asked}; it can by {}",
        methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", ")
    )]
    Method {
        /// The board.
        board: &'static str,
        /// The method asked for.
        asked: String,
        /// Those it has.
        methods: &'static [Method],
    },
    /// A drive cannot be read back.
    #[error(
        "the drive of a boot loader cannot be read back; verify with --method probe, or ask the running \
         board: goldcrest infer --check"
    )]
    CannotVerify,
    /// Espressif's boot loader answers at a serial port.
    #[error(
        "espflash needs the board's serial port: pass --port /dev/ttyUSB0 (`goldcrest devices` lists them)"
    )]
    NoPort,
    /// The device image does not fit its place.
    #[error(
        "device image of {image} bytes, but {board} keeps {slot} bytes of flash for it; pack it with \
         --optimize flash or choose a larger board"
    )]
    ImageTooLarge {
        /// The board.
        board: &'static str,
        /// Bytes of the image.
        image: u64,
        /// Bytes of its place.
        slot: u64,
    },
    /// Two pieces at one address.
    #[error("{one} and {other} both want the flash at {at:#010x}")]
    Overlap {
        /// A piece.
        one: &'static str,
        /// Another.
        other: &'static str,
        /// The address.
        at: u32,
    },
    /// A file was not written as it should be.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// No drive to copy to.
    #[error(transparent)]
    Drive(#[from] drive::DriveError),
    /// A tool did not do it.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl FlashError {
    /// Whether something is missing or asked wrongly, and not a run that failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Emulated { .. } | Self::Method { .. } | Self::CannotVerify | Self::NoPort => true,
            Self::Drive(error) => error.is_missing(),
            Self::Tool(error) => error.is_missing(),
            _ => false,
        }
    }
}

/// The way to write a board that was asked for by name, else its usual one.
pub fn method(board: &Board, asked: Option<&str>) -> Result<Method, FlashError> {
    let flash = board.flash.as_ref().ok_or(FlashError::Emulated { board: board.name })?;
    let mut methods = flash.methods.iter().copied();
    let found = match asked {
        Some(asked) => methods.find(|method| method.name() == asked),
        None => methods.next(),
    };
    let asked = || asked.unwrap_or("anything").to_string();
    found.ok_or_else(|| FlashError::Method { board: board.name, asked: asked(), methods: flash.methods })
}
