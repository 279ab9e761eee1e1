//! Frames: `COBS(payload, CRC-32 of the payload little-endian), 0x00`.
//!
//! COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999) removes every zero from the
//! bytes, so a zero always ends a frame and a receiver that lost its place finds it again at the
//! next one. Overhead: 4 bytes CRC, 1 byte end, 1 byte per 254.

use super::{CRC, Digest};

/// Bytes of the CRC at the end of each payload.
const CRC_BYTES: usize = 4;
/// Longest run of a COBS block.
const BLOCK: usize = 254;
/// The code of a block that stands for no zero.
const FULL: u8 = 0xff;

/// Why a frame was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// It ended inside a COBS block: bytes were lost.
    Truncated,
    /// It is longer than the receiver's buffer.
    TooLong,
    /// The CRC does not match: bytes were changed, lost or added.
    Corrupt,
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            FrameError::Truncated => "frame ends inside a block",
            FrameError::TooLong => "frame is longer than the receive buffer",
            FrameError::Corrupt => "frame with a wrong CRC-32",
        })
    }
}

impl core::error::Error for FrameError {}

/// Turns received bytes into payloads, in place, in a buffer `B` (an array, a slice, a `Vec`) as
/// long as the longest payload and its CRC.
#[derive(Debug)]
pub struct Decoder<B> {
    buffer: B,
    length: usize,
    /// The code of the current block; 0 before the first.
    code: u8,
    /// Bytes of the current block still to come.
    remaining: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Inside a frame, or before its first byte.
    Collecting,
    /// A frame ended; the next byte starts another.
    Complete,
    /// And it was whole.
    Whole,
    /// The frame outgrew the buffer; its rest is thrown away.
    Skipping,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Decoder<B> {
    /// A decoder that waits for a frame's first byte.
    pub const fn new(buffer: B) -> Self {
        Self { buffer, length: 0, code: 0, remaining: 0, state: State::Collecting }
    }

    /// Bytes of the longest payload and its CRC.
    pub fn capacity(&self) -> usize {
        self.buffer.as_ref().len()
    }

    /// Takes one byte from the line. Returns the payload (without its CRC) with the last byte of a
    /// whole frame, an error with the last byte of a damaged one, else `None`. Zeros between frames
    /// mean nothing.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if matches!(self.state, State::Complete | State::Whole) {
            self.reset();
        }
        if byte == 0 {
            return self.finish();
        }
        if self.state == State::Skipping {
            return None;
        }
        if self.remaining == 0 {
            // A block's code. Every block but a full one and the last stands for a zero at its end.
            if self.code != 0 && self.code != FULL {
                self.store(0);
            }
            self.code = byte;
            self.remaining = byte - 1;
        } else {
            self.store(byte);
            self.remaining -= 1;
        }
        None
    }

    /// The payload of the frame whose last byte was pushed last, if it was whole.
    pub fn payload(&self) -> Option<&[u8]> {
        let end = self.length.checked_sub(CRC_BYTES)?;
        if self.state != State::Whole {
            return None;
        }
        self.buffer.as_ref().get(..end)
    }

    /// Forgets a half received frame.
    pub fn reset(&mut self) {
        self.length = 0;
        self.code = 0;
        self.remaining = 0;
        self.state = State::Collecting;
    }

    fn store(&mut self, byte: u8) {
        match self.buffer.as_mut().get_mut(self.length) {
            Some(place) => {
                *place = byte;
                self.length += 1;
            }
            None => self.state = State::Skipping,
        }
    }

    fn finish(&mut self) -> Option<Result<&[u8], FrameError>> {
        let empty = self.code == 0;
        let truncated = self.remaining != 0;
        let skipped = self.state == State::Skipping;
        self.state = State::Complete;
        if empty {
            return None;
        }
        if skipped {
            return Some(Err(FrameError::TooLong));
        }
        if truncated {
            return Some(Err(FrameError::Truncated));
        }
        let frame = self.buffer.as_ref().get(..self.length).unwrap_or_default();
        Some(match frame.split_last_chunk::<CRC_BYTES>() {
            Some((payload, crc)) if CRC.checksum(payload) == u32::from_le_bytes(*crc) => {
                self.state = State::Whole;
                Ok(payload)
            }
            _ => Err(FrameError::Corrupt),
        })
    }
}

/// Turns payload bytes into a frame while they are produced: no buffer but one COBS block.
pub struct Encoder<'a, S: ?Sized> {
    sink: &'a mut S,
    digest: Digest,
    /// Code byte, then the bytes of the block.
    block: [u8; 1 + BLOCK],
    length: usize,
}

/// Where an [`Encoder`] puts the bytes of a frame.
pub trait Sink {
    /// Why bytes could not be sent.
    type Error;
    /// Sends all of `bytes`.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<'a, S: Sink + ?Sized> Encoder<'a, S> {
    /// Starts a frame.
    pub fn new(sink: &'a mut S) -> Self {
        Self { sink, digest: CRC.digest(), block: [0; 1 + BLOCK], length: 0 }
    }

    /// Adds payload bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        self.digest.update(bytes);
        self.stuff(bytes)
    }

    /// Adds the CRC and ends the frame.
    pub fn finish(mut self) -> Result<(), S::Error> {
        let crc = self.digest.clone().finalize().to_le_bytes();
        self.stuff(&crc)?;
        self.flush()?;
        self.sink.put(&[0])
    }

    fn stuff(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        for &byte in bytes {
            if self.length == BLOCK {
                self.flush()?;
            }
            if byte == 0 {
                self.flush()?;
            } else {
                self.length += 1;
                self.block[self.length] = byte;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), S::Error> {
        // A block of 254 bytes has code 0xff and stands for no zero.
        self.block[0] = self.length as u8 + 1;
        self.sink.put(&self.block[..=self.length])?;
        self.length = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Sink for Vec<u8> {
        type Error = core::convert::Infallible;
        fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn encode(payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut encoder = Encoder::new(&mut wire);
        encoder.write(payload).unwrap();
        encoder.finish().unwrap();
        wire
    }

    fn decode<B: AsRef<[u8]> + AsMut<[u8]>>(
        decoder: &mut Decoder<B>,
        wire: &[u8],
    ) -> Vec<Result<Vec<u8>, FrameError>> {
        wire.iter().filter_map(|&byte| decoder.push(byte).map(|end| end.map(<[u8]>::to_vec))).collect()
    }

    /// Payloads rich in zeros and in runs longer than a block.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(1u8), Just(0xff), any::<u8>()];
        prop_oneof![
            prop::collection::vec(byte, 0..40),
            prop::collection::vec(1u8..=255, 240..800),
            prop::collection::vec(any::<u8>(), 0..900),
        ]
    }

    proptest! {
        #[test]
        fn frames_are_what_the_cobs_crate_makes(payload in payload()) {
            let mut plain = payload.clone();
            plain.extend(CRC.checksum(&payload).to_le_bytes());
            let mut expected = vec![0; cobs::max_encoding_length(plain.len())];
            let length = cobs::encode(&plain, &mut expected);
            expected.truncate(length);
            expected.push(0);
            // The crate ends a message of n * 254 bytes with an empty block; both forms decode alike.
            let wire = encode(&payload);
            prop_assert!(wire == expected || expected[..expected.len() - 2] == wire[..wire.len() - 1]);
            prop_assert!(!wire[..wire.len() - 1].contains(&0));
            let mut decoder = Decoder::new([0; 1024]);
            prop_assert_eq!(decode(&mut decoder, &wire), vec![Ok(payload.clone())]);
            prop_assert_eq!(decode(&mut decoder, &expected), vec![Ok(payload)]);
        }

        #[test]
        fn any_bytes_are_survived_and_the_next_frame_is_read(
            noise in prop::collection::vec(any::<u8>(), 0..3000), payload in payload()
        ) {
            let mut decoder = Decoder::new([0; 1024]);
            decode(&mut decoder, &noise);
            decode(&mut decoder, &[0]);
            prop_assert_eq!(decode(&mut decoder, &encode(&payload)), vec![Ok(payload)]);
        }

        #[test]
        fn a_damaged_frame_never_passes(
            payload in payload(), place in any::<prop::sample::Index>(), change in 1u8..=255, kind in 0..3
        ) {
            let mut wire = encode(&payload);
            let place = place.index(wire.len() - 1);
            match kind {
                0 => wire[place] ^= change,
                1 => { wire.remove(place); }
                _ => wire.insert(place, wire[place]),
            }
            let frames = decode(&mut Decoder::new([0; 1024]), &wire);
            let is_whole = |frame: &Result<_, _>| frame.as_ref().map_or(true, |got| *got == payload);
            prop_assert!(frames.iter().all(is_whole), "{:?}", frames);
        }
    }

    #[test]
    fn an_overlong_frame_is_named_and_skipped() {
        let mut decoder = Decoder::new([0; 16]);
        assert_eq!(decode(&mut decoder, &encode(&[7; 13])), [Err(FrameError::TooLong)]);
        assert_eq!(decode(&mut decoder, &encode(&[7; 12])), [Ok(vec![7; 12])]);
        let mut overlong = encode(&[0; 40]);
        overlong.extend(encode(b"next"));
        assert_eq!(decode(&mut decoder, &overlong), [Err(FrameError::TooLong), Ok(b"next".to_vec())]);
    }

    #[test]
    fn a_cut_frame_is_named() {
        let mut wire = encode(b"goldcrest");
        wire.truncate(5);
        wire.push(0);
        assert_eq!(decode(&mut Decoder::new([0; 32]), &wire), [Err(FrameError::Truncated)]);
        // A frame too short to hold a CRC.
        assert_eq!(decode(&mut Decoder::new([0; 32]), &[2, 9, 0]), [Err(FrameError::Corrupt)]);
    }
}
