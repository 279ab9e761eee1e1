//! Which pixels the arena holds: the bookkeeping that makes requests safe to repeat.

use goldcrest_shared::link::message::Refusal;
use goldcrest_shared::link::{CRC, Digest};

/// One image on its way from the line through the engine.
pub struct Transfer {
    /// The host's name for the image.
    id: u32,
    stage: Stage,
}

enum Stage {
    /// Nothing was loaded, or a run consumed what was.
    Spent,
    /// Pixels in order, this many so far.
    Loading { received: usize, digest: Digest },
    /// The logits of these pixels stand in the arena.
    Answered { crc: u32, ticks: u64 },
}

/// What to do with a piece of an image.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Write it to the input.
    New,
    /// It is there already.
    Known,
}

/// What to do with a request to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Go {
    /// The input is complete.
    Run,
    /// The answer to a repeated request stands in the arena.
    Again {
        /// Time it took.
        ticks: u64,
    },
}

impl Transfer {
    /// Nothing loaded.
    pub const fn new() -> Self {
        Self { id: 0, stage: Stage::Spent }
    }

    /// The arena was used for something else.
    pub fn forget(&mut self) {
        self.stage = Stage::Spent;
    }

    /// A run has finished, and its logits stay in the arena.
    pub fn answered(&mut self, crc: u32, ticks: u64) {
        self.stage = Stage::Answered { crc, ticks };
    }

    /// Bytes taken of an image of `expected` bytes.
    pub fn received(&self, id: u32, expected: usize) -> usize {
        match self.stage {
            _ if id != self.id => 0,
            Stage::Spent => 0,
            Stage::Loading { received, .. } => received,
            Stage::Answered { .. } => expected,
        }
    }

    /// A piece of image `id` comes in.
    pub fn piece(
        &mut self,
        id: u32,
        offset: usize,
        pixels: &[u8],
        expected: usize,
    ) -> Result<Piece, Refusal> {
        let end = offset.saturating_add(pixels.len());
        if end > expected {
            return Err(Refusal::TooLong { expected: expected as u32 });
        }
        let known = self.received(id, expected);
        if self.id == id && end <= known {
            return Ok(Piece::Known);
        }
        if offset == 0 && known == 0 {
            // A new image, or the first piece after a consumed one of the same name.
            self.id = id;
            self.stage = Stage::Loading { received: 0, digest: CRC.digest() };
        }
        match &mut self.stage {
            Stage::Loading { received, digest } if self.id == id && *received == offset => {
                digest.update(pixels);
                *received = end;
                Ok(Piece::New)
            }
            _ => Err(self.incomplete(id, expected)),
        }
    }

    /// Image `id`, whose pixels have this CRC, shall run. `again` tells whether the answer of an
    /// earlier run will do.
    pub fn go(&mut self, id: u32, crc: u32, expected: usize, again: bool) -> Result<Go, Refusal> {
        match &self.stage {
            Stage::Loading { received, digest } if self.id == id && *received == expected => {
                if digest.clone().finalize() == crc {
                    return Ok(Go::Run);
                }
                self.forget();
                Err(Refusal::WrongPixels)
            }
            Stage::Answered { crc: answered, ticks } if self.id == id && *answered == crc && again => {
                Ok(Go::Again { ticks: *ticks })
            }
            Stage::Answered { .. } if self.id == id => {
                // The run wrote over the pixels, so the host must load them again.
                self.forget();
                Err(self.incomplete(id, expected))
            }
            _ => Err(self.incomplete(id, expected)),
        }
    }

    fn incomplete(&self, id: u32, expected: usize) -> Refusal {
        Refusal::Incomplete { received: self.received(id, expected) as u32, expected: expected as u32 }
    }
}
