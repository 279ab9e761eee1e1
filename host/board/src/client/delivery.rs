//! Bringing a block of bytes to the board in pieces, however bad the line is.
//!
//! On a good line a block goes in frames as long as the board can take, one at a time. When frames are
//! lost, pieces become shorter, down to a granule, and as many as the board can hold go out together; its
//! answers say which have arrived, and only the others are sent again.

use goldcrest_link::pieces::{GRANULE, WINDOW};
use goldcrest_link::{Pieces, Request, Response};

use super::conversation::Conversation;
use super::pace::Pace;
use super::{LinkError, Transport};

/// What is known of the line.
pub struct Delivery {
    /// Bytes per request: fewer on a line that damages long frames.
    piece: usize,
    /// What the board's frame buffer can hold.
    largest: usize,
    /// Bytes of further frames that may be on their way while the board is busy with one.
    ahead: usize,
    pace: Pace,
}

/// How far a block is: bytes without a gap, then granules behind it.
fn progress(pieces: Pieces) -> (usize, u32) {
    (pieces.received(), pieces.ahead().count_ones())
}

/// Bytes of a frame beside the piece: sequence number, variant, block, total or a picture's shape, offset and
/// length as varints, CRC, COBS, zeros.
const OVERHEAD: usize = 5 + 1 + 5 + 7 + 5 + 3 + 4;

impl Delivery {
    /// To a board with a buffer for frames of some bytes.
    pub fn new(frame_bytes: u32, ahead_bytes: u32, pace: Pace) -> Self {
        let largest = (frame_bytes as usize).saturating_sub(OVERHEAD).max(GRANULE);
        Self { piece: largest, largest, ahead: ahead_bytes as usize, pace }
    }

    /// Whether a block of some bytes goes in one frame, which the board can hold while it is busy.
    pub fn goes_ahead(&self, bytes: usize) -> bool {
        bytes <= self.piece && bytes + OVERHEAD + bytes / 254 <= self.ahead
    }

    /// Brings a block; `request` makes the request with the piece at an offset, `pieces` reads its answer.
    /// Gives up after `attempts` rounds in a row that brought nothing, or when the board has lost what it had
    /// as often.
    pub fn bring<'b, T: Transport>(
        &mut self,
        line: &mut Conversation<T>,
        block: &'b [u8],
        attempts: u32,
        request: impl Fn(u32, &'b [u8]) -> Request<'b>,
        mut pieces: impl FnMut(&Response) -> Option<Pieces>,
    ) -> Result<(), LinkError> {
        let mut known = Pieces::new();
        let (mut failures, mut losses) = (0, 0);
        while known.received() < block.len() {
            let round = self.round(known, block.len());
            let requests: Vec<_> = round
                .iter()
                .map(|&(offset, length)| request(offset as u32, &block[offset..offset + length]))
                .collect();
            let before = progress(known);
            let whole = line.ask_all(&requests, &mut self.pace, |response| {
                known = pieces(response).unwrap_or(known);
            })?;
            self.adapt(requests.len(), whole);
            failures = if progress(known) > before { 0 } else { failures + 1 };
            // A board that was reset begins again; one that counts back and forth would do so for ever.
            losses += u32::from(progress(known) < before);
            let whole = known.received() >= block.len();
            if !whole && (failures >= attempts || losses >= attempts || line.is_over()) {
                return Err(LinkError::Lost { attempts: failures.max(losses).max(1) });
            }
        }
        Ok(())
    }

    /// The pieces to send next.
    fn round(&self, known: Pieces, total: usize) -> Vec<(usize, usize)> {
        let mut round = Vec::new();
        let (mut from, mut bytes) = (0, 0);
        while let Some((offset, length)) = known.missing(from, self.piece, total) {
            bytes += length + OVERHEAD;
            if !round.is_empty() && bytes > self.ahead.min(2 * WINDOW) {
                break;
            }
            round.push((offset, length));
            from = offset + length;
            // Behind a piece longer than the window nothing can be taken before it has come.
            if length >= WINDOW {
                break;
            }
        }
        round
    }

    fn adapt(&mut self, sent: usize, whole: usize) {
        let lost = sent - whole;
        if lost == 0 {
            self.piece = (self.piece + self.piece / 4 + GRANULE).min(self.largest);
        } else if lost * 3 > sent {
            self.piece = (self.piece / 2).max(GRANULE);
        }
    }
}
