//! Intel HEX (Hexadecimal Object File Format Specification, revision A): what probe-rs reads with addresses,
//! and what the drive of a DAPLink, as on the micro:bit, takes.

use std::fmt::Write;

use super::Contents;

/// Bytes in a record.
const RECORD: usize = 16;

enum Kind {
    Data = 0,
    End = 1,
    /// The upper half of the addresses that follow.
    Upper = 4,
}

/// A file with these contents.
pub fn write(contents: &Contents) -> String {
    let mut file = String::new();
    let mut upper = 0;
    for piece in contents.pieces() {
        let mut address = piece.address;
        let mut rest = &piece.bytes[..];
        while !rest.is_empty() {
            if address >> 16 != upper {
                upper = address >> 16;
                record(&mut file, Kind::Upper, 0, &(upper as u16).to_be_bytes());
            }
            // A record does not cross a multiple of its length, so neither one of 64 KiB.
            let (bytes, left) = rest.split_at(rest.len().min(RECORD - address as usize % RECORD));
            record(&mut file, Kind::Data, address as u16, bytes);
            address += bytes.len() as u32;
            rest = left;
        }
    }
    record(&mut file, Kind::End, 0, &[]);
    file
}

fn record(file: &mut String, kind: Kind, address: u16, bytes: &[u8]) {
    let [high, low] = address.to_be_bytes();
    let head = [bytes.len() as u8, high, low, kind as u8];
    let sum = head.iter().chain(bytes).fold(0u8, |sum, &byte| sum.wrapping_add(byte));
    file.push(':');
    for byte in head.iter().chain(bytes).chain(&[sum.wrapping_neg()]) {
        // A string takes everything.
        let _ = write!(file, "{byte:02X}");
    }
    file.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::contents::tests::{board, firmware, segment};
    use super::*;

    #[test]
    fn records_are_written_as_specified() {
        let mut file = String::new();
        record(&mut file, Kind::Upper, 0, &[0xff, 0xff]);
        record(&mut file, Kind::Data, 0x0100, &[0x21, 0x46, 0x01, 0x36]);
        record(&mut file, Kind::End, 0, &[]);
        assert_eq!(file, ":02000004FFFFFC\n:04010000214601365D\n:00000001FF\n");
    }

    #[test]
    fn a_file_read_back_is_the_contents() {
        let segments = [segment(0x0fff_fff3, 40), segment(0x1000_fffe, 5)];
        let contents = Contents::new(board(), &firmware(), &segments, Some(&[9; 77])).unwrap();
        let mut found = Vec::new();
        let mut upper = 0;
        for line in write(&contents).lines() {
            let digits = line.strip_prefix(':').unwrap().as_bytes();
            let bytes: Vec<u8> = digits
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            assert_eq!(bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)), 0, "{line}");
            let [length, high, low, kind, data @ .., _] = &bytes[..] else { panic!("{line}") };
            assert_eq!(data.len(), usize::from(*length), "{line}");
            match kind {
                0 => {
                    let start = upper << 16 | u32::from(*high) << 8 | u32::from(*low);
                    found.extend(data.iter().zip(start..).map(|(&byte, address)| (address, byte)));
                }
                4 => upper = u32::from(data[0]) << 8 | u32::from(data[1]),
                _ => assert_eq!(line, ":00000001FF"),
            }
        }
        let pieces = contents.pieces().iter();
        let expected: Vec<_> =
            pieces.flat_map(|piece| (piece.address..).zip(piece.bytes.iter().copied())).collect();
        assert_eq!(found, expected);
    }
}
