//! Whether a model fits a board.

use super::payload::Payload;
use super::table::Board;

/// What a model takes of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of flash.
    pub image_bytes: u64,
    /// Bytes of RAM.
    pub arena_bytes: u64,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Yes.
    Fits,
    /// The device image is larger than its place in flash, by this many bytes.
    Flash(u64),
    /// The arena is larger than the RAM that the firmware leaves; this many bytes are missing.
    Ram(u64),
}

impl Size {
    /// What a device image takes.
    pub fn of(payload: &Payload) -> Self {
        let image = payload.image.image();
        Self { image_bytes: image.bytes().len() as u64, arena_bytes: image.arena_bytes() as u64 }
    }

    /// Whether it fits beside the application with every kernel. The board itself has the last word: its
    /// linker knows its RAM to the byte.
    pub fn fit(self, board: &Board) -> Fit {
        let (slot, arena) = (u64::from(board.slot_bytes), u64::from(board.arena_bytes));
        match () {
            () if self.image_bytes > slot => Fit::Flash(self.image_bytes - slot),
            () if self.arena_bytes > arena => Fit::Ram(self.arena_bytes - arena),
            () => Fit::Fits,
        }
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fit::Fits => write!(f, "fits"),
            Fit::Flash(bytes) => write!(f, "{bytes} bytes of flash too large"),
            Fit::Ram(bytes) => write!(f, "{bytes} bytes of RAM too large"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn the_scarcer_memory_decides() {
        let board = table::find("lm3s6965evb").unwrap();
        let fit = |image_bytes, arena_bytes| Size { image_bytes, arena_bytes }.fit(board);
        let arena_bytes = u64::from(board.arena_bytes);
        assert_eq!(fit(160 << 10, arena_bytes), Fit::Fits);
        assert_eq!(fit((160 << 10) + 1, 0), Fit::Flash(1));
        assert_eq!(fit(0, arena_bytes + 4), Fit::Ram(4));
    }
}
