//! Which bytes of a block have arrived, when its pieces may come in any order and more than once.
//!
//! A block is an image's pixels or a new device image. It is divided into granules of [`GRANULE`] bytes; a
//! piece starts at a granule and ends at one, or at the end of the block. All bytes below
//! [`Pieces::received`] are there, and up to [`WINDOW`] bytes from there on each granule is known by itself:
//! a lost piece is sent again alone, and those behind it need not wait for it.

/// Bytes of the smallest piece, and a multiple of the word that any flash writes.
pub const GRANULE: usize = 16;
/// Bytes from the first missing one on in which pieces are taken out of order.
pub const WINDOW: usize = GRANULE * u64::BITS as usize;

/// The received part of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    received: usize,
    ahead: u64,
}

impl Pieces {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { received: 0, ahead: 0 }
    }

    /// What the other side says it has.
    pub const fn of(received: u32, ahead: u64) -> Self {
        Self { received: received as usize, ahead }
    }

    /// Bytes received without a gap.
    pub const fn received(&self) -> usize {
        self.received
    }

    /// Granules received behind the first missing one: bit `n` for the `n`th from
    /// [`received`](Self::received) on, so bit 0 is never set.
    pub const fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Whether the granule that begins at `offset` is there.
    pub const fn has(&self, offset: usize) -> bool {
        if offset < self.received {
            return true;
        }
        let granule = (offset - self.received) / GRANULE;
        granule < u64::BITS as usize && self.ahead >> granule & 1 != 0
    }

    /// Whether a piece can be taken now: aligned, and in order or inside the window.
    pub const fn takes(&self, offset: usize, length: usize, total: usize) -> bool {
        let end = offset.saturating_add(length);
        let whole = end.is_multiple_of(GRANULE) || end == total;
        let near = offset <= self.received || end <= self.received.saturating_add(WINDOW);
        offset.is_multiple_of(GRANULE) && whole && end <= total && length > 0 && near
    }

    /// Notes a piece that [`takes`](Self::takes) allowed, of a block of `total` bytes.
    pub const fn take(&mut self, offset: usize, length: usize, total: usize) {
        let end = offset + length;
        if offset <= self.received {
            if end > self.received {
                self.advance((end - self.received).div_ceil(GRANULE), total);
            }
        } else {
            let (first, last) = (offset - self.received, end - self.received);
            let bits = (last.div_ceil(GRANULE) - first / GRANULE) as u32;
            let mask = if bits >= u64::BITS { u64::MAX } else { (1 << bits) - 1 };
            self.ahead |= mask << (first / GRANULE);
        }
        self.advance(self.ahead.trailing_ones() as usize, total);
    }

    /// Moves the first missing byte on by some granules.
    const fn advance(&mut self, granules: usize, total: usize) {
        let end = self.received + granules * GRANULE;
        self.received = if end < total { end } else { total };
        self.ahead = if granules >= u64::BITS as usize { 0 } else { self.ahead >> granules };
    }

    /// The next piece to send at or behind `from`: offset and length, at most `longest` bytes (at least a
    /// granule), none when all of the window is there.
    pub fn missing(&self, from: usize, longest: usize, total: usize) -> Option<(usize, usize)> {
        let end = total.min(self.received.saturating_add(WINDOW));
        let mut offset = from.max(self.received);
        while offset < end && self.has(offset) {
            offset += GRANULE;
        }
        // In order, a piece may be longer than the window.
        let end = if offset == self.received && self.ahead == 0 { total } else { end };
        let longest = (longest / GRANULE).max(1) * GRANULE;
        let mut length = 0;
        while length < longest && offset + length < end && !self.has(offset + length) {
            length += GRANULE;
        }
        (length > 0).then(|| (offset, length.min(total - offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_in_any_order_are_what_a_plain_list_says(
            total in 1usize..5000,
            pieces in prop::collection::vec((0usize..320, 1usize..100), 1..200),
        ) {
            let mut known = vec![false; total];
            let mut state = Pieces::new();
            for (granule, granules) in pieces {
                let offset = granule * GRANULE;
                let length = (granules * GRANULE).min(total.saturating_sub(offset));
                if !state.takes(offset, length, total) {
                    continue;
                }
                state.take(offset, length, total);
                known[offset..offset + length].fill(true);
                let received = known.iter().position(|byte| !byte).unwrap_or(total);
                prop_assert_eq!(state.received(), received);
                for (offset, &byte) in known.iter().enumerate().skip(received).take(WINDOW) {
                    prop_assert_eq!(state.has(offset), byte, "{} of {}", offset, total);
                }
                prop_assert_eq!(state.ahead() & 1, 0);
            }
        }

        #[test]
        fn sending_what_is_missing_ends(
            total in 1usize..5000, longest in 1usize..3000, losses in any::<u64>()
        ) {
            let mut state = Pieces::new();
            let mut random = losses;
            for _ in 0..2000 {
                let Some((offset, length)) = state.missing(0, longest, total) else { break };
                prop_assert!(state.takes(offset, length, total) && !state.has(offset));
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let later = state.missing(offset + length, longest, total);
                for (offset, length) in [Some((offset, length)), later].into_iter().flatten() {
                    if random >> 40 & 3 != 0 && state.takes(offset, length, total) {
                        state.take(offset, length, total);
                    }
                    random = random.rotate_left(9);
                }
            }
            prop_assert_eq!(state.received(), total);
        }
    }

    #[test]
    fn crooked_and_far_pieces_are_not_taken() {
        let mut state = Pieces::new();
        assert!(!state.takes(8, 16, 4096) && !state.takes(0, 20, 4096) && !state.takes(0, 0, 4096));
        assert!(!state.takes(WINDOW, 16, 4096) && state.takes(WINDOW - 16, 16, 4096));
        assert!(!state.takes(usize::MAX - 15, 16, 4096));
        assert!(state.takes(0, 4096, 4096));
        state.take(0, 4096, 4096);
        assert_eq!((state.received(), state.missing(0, 64, 4096)), (4096, None));
    }
}
