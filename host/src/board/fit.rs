//! Whether a model fits a board.

use goldcrest_shared::image::{Image, ImageError};

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
    /// The device image is larger than its place in flash, by so many bytes.
    Flash(u64),
    /// The arena does not leave the firmware its own RAM; so many bytes are missing.
    Ram(u64),
}

impl Size {
    /// RAM that the firmware keeps for its stack, a frame and its variables.
    const FIRMWARE_RAM: u64 = 5 * 1024;

    /// What a device image takes.
    pub fn of(payload: &Payload) -> Result<Self, ImageError> {
        let image = Image::new_checked(&payload.bytes)?;
        Ok(Self { image_bytes: payload.bytes.len() as u64, arena_bytes: image.arena_bytes() as u64 })
    }

    /// Whether it fits. The board itself has the last word, because only its linker knows its RAM to
    /// the byte.
    pub fn fit(self, board: &Board) -> Fit {
        let ram = u64::from(board.ram_bytes).saturating_sub(Self::FIRMWARE_RAM);
        match () {
            () if self.image_bytes > u64::from(board.slot_bytes) => {
                Fit::Flash(self.image_bytes - u64::from(board.slot_bytes))
            }
            () if self.arena_bytes > ram => Fit::Ram(self.arena_bytes - ram),
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
    use crate::board::table;

    #[test]
    fn the_scarcer_memory_decides() {
        let board = table::find("lm3s6965evb").unwrap();
        let fit = |image_bytes, arena_bytes| Size { image_bytes, arena_bytes }.fit(board);
        assert_eq!(fit(160 << 10, 59 << 10), Fit::Fits);
        assert_eq!(fit((160 << 10) + 1, 0), Fit::Flash(1));
        assert_eq!(fit(0, (59 << 10) + 4), Fit::Ram(4));
    }
}
