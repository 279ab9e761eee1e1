//! What is written into a board's flash, and where.

use super::FlashError;
use crate::firmware::Firmware;
use crate::placement::Segment;
use crate::table::Board;

/// Bytes with an address and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub what: &'static str,
    /// First address.
    pub address: u32,
    /// What is written.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// First address behind it.
    pub fn end(&self) -> u64 {
        u64::from(self.address) + self.bytes.len() as u64
    }
}

/// All that is written, by address; no two pieces share a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pieces: Vec<Piece>,
}

/// Bytes at the end of a slot that are erased with a new model: the record of an update that came over the
/// line would make the board run that slot. A page of the boot loaders that write pages.
const RECORD: usize = 256;

impl Contents {
    /// A firmware's segments, or none, and a device image for its first slot, or none.
    ///
    /// # Errors
    /// When the device image is too large, or pieces overlap.
    pub fn new(
        board: &Board,
        firmware: &Firmware,
        segments: &[Segment],
        image: Option<&[u8]>,
    ) -> Result<Self, FlashError> {
        let mut pieces: Vec<Piece> = segments
            .iter()
            .map(|segment| Piece { what: "firmware", address: segment.address, bytes: segment.bytes.clone() })
            .collect();
        if let Some(image) = image {
            let (bytes, slot) = (image.len() as u64, firmware.slot_bytes);
            if bytes > slot.saturating_sub(RECORD as u64) {
                return Err(FlashError::ImageTooLarge { board: board.name, image: bytes, slot });
            }
            pieces.push(Piece { what: "model", address: firmware.slot_start as u32, bytes: image.to_vec() });
            for slot in firmware.slots() {
                let address = (slot + firmware.slot_bytes) as u32 - RECORD as u32;
                pieces.push(Piece { what: "no update", address, bytes: vec![0xff; RECORD] });
            }
        }
        pieces.sort_by_key(|piece| piece.address);
        for pair in pieces.windows(2) {
            if let [one, other] = pair
                && one.end() > u64::from(other.address)
            {
                let (one, other, at) = (one.what, other.what, other.address);
                return Err(FlashError::Overlap { one, other, at });
            }
        }
        Ok(Self { pieces })
    }

    /// The pieces, by address.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What belongs to the model.
    pub fn model(&self) -> Self {
        let model = self.pieces.iter().filter(|piece| piece.what != "firmware");
        Self { pieces: model.cloned().collect() }
    }

    /// The bytes of pages of `N` bytes that hold something, by address; what no piece fills is 0xff, as
    /// erased flash is.
    pub fn pages<const N: usize>(&self) -> Vec<(u32, [u8; N])> {
        let mut pages: Vec<(u32, [u8; N])> = Vec::new();
        for piece in &self.pieces {
            for (offset, &byte) in piece.bytes.iter().enumerate() {
                let address = piece.address + offset as u32;
                let (page, place) = (address - address % N as u32, address as usize % N);
                if pages.last().is_none_or(|&(last, _)| last != page) {
                    pages.push((page, [0xff; N]));
                }
                if let Some((_, bytes)) = pages.last_mut() {
                    bytes[place] = byte;
                }
            }
        }
        pages
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::path::PathBuf;

    pub fn firmware() -> Firmware {
        Firmware {
            elf: PathBuf::from("/t/pico"),
            flash_bytes: 700,
            vector_bytes: 0,
            slot_start: 0x1008_0000,
            slot_bytes: 0x1_0000,
            spare_start: Some(0x1009_0000),
            arena_bytes: None,
        }
    }

    pub fn segment(address: u32, bytes: usize) -> Segment {
        Segment { address, bytes: (0..bytes).map(|index| (index * 7 + 1) as u8).collect() }
    }

    pub fn board() -> &'static Board {
        crate::table::find("nucleo-f446re").unwrap()
    }

    #[test]
    fn a_new_model_takes_the_place_of_updates() {
        let image = vec![5; 1000];
        let contents = Contents::new(board(), &firmware(), &[], Some(&image)).unwrap();
        let places: Vec<_> =
            contents.pieces().iter().map(|piece| (piece.what, piece.address, piece.bytes.len())).collect();
        let expected =
            [("model", 0x1008_0000, 1000), ("no update", 0x1008_ff00, 256), ("no update", 0x1009_ff00, 256)];
        assert_eq!(places, expected);
        let alone = Contents::new(board(), &firmware(), &[segment(0x1000_0000, 9)], None).unwrap();
        assert_eq!(alone.pieces().len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |segments: &[Segment], image: usize| {
            Contents::new(board(), &firmware(), segments, Some(&vec![0; image])).unwrap_err().to_string()
        };
        let large = refused(&[], 0x1_0000 - 255);
        assert!(large.contains("65281 bytes") && large.contains("65536"), "{large}");
        let overlap = refused(&[segment(0x1007_fff0, 17)], 10);
        assert!(overlap.contains("firmware and model") && overlap.contains("0x10080000"), "{overlap}");
    }

    #[test]
    fn pages_are_filled_up_as_erased_flash_is() {
        let segments = [segment(0x1000_00fe, 4), segment(0x1000_0110, 1)];
        let contents = Contents::new(board(), &firmware(), &segments, None).unwrap();
        let pages = contents.pages::<256>();
        assert_eq!(pages.iter().map(|&(address, _)| address).collect::<Vec<_>>(), [0x1000_0000, 0x1000_0100]);
        assert_eq!((pages[0].1[253], pages[0].1[254], pages[0].1[255]), (0xff, 1, 8));
        assert_eq!((pages[1].1[1], pages[1].1[2], pages[1].1[0x10]), (22, 0xff, 1));
    }
}
