//! Which pixels the arena holds: the bookkeeping that makes requests safe to repeat.

use goldcrest_engine::Image;
use goldcrest_engine::shape::Shape;
use goldcrest_link::Pieces;
use goldcrest_link::message::Refusal;
use goldcrest_link::pieces::GRANULE;

use super::picture::{self, Incoming};

/// One image on its way from the line through the engine.
pub struct Transfer {
    /// The host's name for the image.
    id: u32,
    stage: Stage,
}

#[allow(clippy::large_enum_variant, reason = "there is one, and no heap to put a variant on")]
enum Stage {
    /// Nothing was loaded, or a run consumed what was.
    Spent,
    /// These pixels are there, as they came.
    Loading(Pieces),
    /// A picture is made into the input.
    Preparing(Incoming),
    /// The logits of these pixels, which made this input, stand in the arena.
    Answered { pixels: Checksums, ticks: u64 },
}

/// What was classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksums {
    /// CRC of the pixels as they came, which names them.
    pub sent: u32,
    /// CRC of the input's pixels: the same where no picture was prepared.
    pub input: u32,
}

/// What to do with a request to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Go {
    /// The input is complete.
    Run(Checksums),
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
    pub fn answered(&mut self, pixels: Checksums, ticks: u64) {
        self.stage = Stage::Answered { pixels, ticks };
    }

    /// What has come of image `id` of `expected` bytes.
    pub fn pieces(&self, id: u32, expected: usize) -> Pieces {
        match &self.stage {
            Stage::Loading(pieces) if id == self.id => *pieces,
            Stage::Answered { .. } if id == self.id => Pieces::of(expected as u32, 0),
            _ => Pieces::new(),
        }
    }

    /// A piece of image `id` comes in: whether its pixels belong into the input.
    pub fn piece(&mut self, id: u32, offset: usize, length: usize, expected: usize) -> Result<bool, Refusal> {
        if offset.saturating_add(length) > expected {
            return Err(Refusal::TooLong { expected: expected as u32 });
        }
        let mut pieces = self.pieces(id, expected);
        let end = offset + length;
        if !offset.is_multiple_of(GRANULE) || (end != expected && !end.is_multiple_of(GRANULE)) {
            // The end of an image of another size: it would never be whole.
            return Err(Refusal::Incomplete {
                received: pieces.received() as u32,
                expected: expected as u32,
            });
        }
        let whole = pieces.received() == expected;
        if whole || !pieces.takes(offset, length, expected) {
            return Ok(false);
        }
        pieces.take(offset, length, expected);
        self.id = id;
        self.stage = Stage::Loading(pieces);
        Ok(true)
    }

    /// Bytes of picture `id` come in, from an offset on: how many there are of it, and once they are all, the
    /// CRC of the input that was made of them.
    pub fn picture(
        &mut self,
        id: u32,
        shape: Shape,
        (offset, pixels): (usize, &[u8]),
        image: &Image,
        arena: &mut [u32],
    ) -> Result<(usize, Option<u32>), Refusal> {
        let expected = picture::bytes(shape).ok_or(Refusal::Picture)?;
        if offset.saturating_add(pixels.len()) > expected {
            return Err(Refusal::TooLong { expected: expected as u32 });
        }
        let is_known = self.id == id
            && match &self.stage {
                Stage::Preparing(incoming) => incoming.shape == shape,
                Stage::Answered { .. } => true,
                _ => false,
            };
        if !is_known {
            if offset > 0 {
                return Ok((0, None));
            }
            // What stood in the arena is written over.
            self.forget();
            self.stage = Stage::Preparing(Incoming::begin(image, shape, arena)?);
            self.id = id;
        }
        match &mut self.stage {
            Stage::Preparing(incoming) => {
                incoming.take(offset, pixels, image, arena)?;
                Ok(incoming.state())
            }
            Stage::Answered { pixels, .. } => Ok((expected, Some(pixels.input))),
            _ => Ok((0, None)),
        }
    }

    /// Image or picture `id`, whose pixels have this CRC, shall run. `again` tells whether the answer of an
    /// earlier run will do.
    pub fn go(&mut self, id: u32, crc: u32, expected: usize, again: bool) -> Result<Go, Refusal> {
        match &self.stage {
            Stage::Loading(pieces) if self.id == id && pieces.received() == expected => {
                Ok(Go::Run(Checksums { sent: crc, input: crc }))
            }
            Stage::Preparing(incoming) if self.id == id => match incoming.state() {
                (_, Some(input)) if incoming.crc() == crc => Ok(Go::Run(Checksums { sent: crc, input })),
                (_, Some(_)) => {
                    self.forget();
                    Err(Refusal::WrongPixels)
                }
                (received, None) => {
                    let expected = picture::bytes(incoming.shape).unwrap_or_default() as u32;
                    Err(Refusal::Incomplete { received: received as u32, expected })
                }
            },
            Stage::Answered { pixels, ticks } if self.id == id && pixels.sent == crc && again => {
                Ok(Go::Again { ticks: *ticks })
            }
            Stage::Answered { .. } if self.id == id => {
                // The run wrote over the pixels, so the host must load them again.
                self.forget();
                Err(Refusal::Incomplete { received: 0, expected: expected as u32 })
            }
            _ => {
                let received = self.pieces(id, expected).received() as u32;
                Err(Refusal::Incomplete { received, expected: expected as u32 })
            }
        }
    }
}
