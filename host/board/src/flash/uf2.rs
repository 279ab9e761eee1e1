//! UF2: the file that boot loaders which look like a drive take (<https://github.com/microsoft/uf2>).
//!
//! The crates for it are old or read only, so these few fields are written here, and read back before a file
//! is handed out.

use super::Contents;

/// Bytes of flash in a block.
pub const PAGE: usize = 256;
/// Bytes of a block.
const BLOCK: usize = 512;
const START: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const END: u32 = 0x0ab1_6f30;
/// The block says which family of parts it is for.
const HAS_FAMILY: u32 = 0x2000;
/// Offset of the data in a block.
const DATA: usize = 32;

/// A family of parts that load UF2 files.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its number in the files.
    pub id: u32,
    /// Its name.
    pub name: &'static str,
    /// `Board-ID` that its boot loader shows in `INFO_UF2.TXT`.
    pub board_id: &'static str,
    /// How to make the drive appear.
    pub hint: &'static str,
}

/// All families (<https://github.com/microsoft/uf2/blob/master/utils/uf2families.json>).
pub static FAMILIES: &[Family] = &[
    Family {
        id: 0xe48b_ff56,
        name: "RP2040",
        board_id: "RPI-RP2",
        hint: "hold BOOTSEL while you plug the board in",
    },
    Family {
        id: 0xe48b_ff59,
        name: "RP2350 (Arm, secure)",
        board_id: "RP2350",
        hint: "hold BOOTSEL while you plug the board in",
    },
];

/// The family of a number.
pub fn family(id: u32) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.id == id)
}

/// A file that writes these contents into a part of a family.
pub fn write(contents: &Contents, family: u32) -> Vec<u8> {
    let pages = contents.pages::<PAGE>();
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (address, bytes)) in pages.iter().enumerate() {
        let head = [
            START[0],
            START[1],
            HAS_FAMILY,
            *address,
            PAGE as u32,
            number as u32,
            pages.len() as u32,
            family,
        ];
        head.iter().for_each(|word| file.extend(word.to_le_bytes()));
        file.extend(bytes);
        file.resize((number + 1) * BLOCK - 4, 0);
        file.extend(END.to_le_bytes());
    }
    file
}

/// Reads a file back: the pages, by address as they stand in it.
///
/// # Errors
/// The first block that is not as it must be, and why.
pub fn read(file: &[u8], family: u32) -> Result<Vec<(u32, [u8; PAGE])>, String> {
    let (blocks, rest) = file.as_chunks::<BLOCK>();
    if !rest.is_empty() || blocks.is_empty() {
        return Err(format!("{} bytes, which is not a number of blocks of {BLOCK}", file.len()));
    }
    let mut pages: Vec<(u32, [u8; PAGE])> = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        let (words, _) = block.as_chunks::<4>();
        let word = |at: usize| words.get(at).map_or(0, |word| u32::from_le_bytes(*word));
        let problem = |what: &str, found: u32| Err(format!("block {index}: {what} is {found:#010x}"));
        if [word(0), word(1)] != START || word(BLOCK / 4 - 1) != END {
            return problem("a magic number", word(0));
        }
        if word(2) != HAS_FAMILY || word(7) != family {
            return problem("the family", word(7));
        }
        if word(4) as usize != PAGE || !word(3).is_multiple_of(PAGE as u32) {
            return problem("the address of its page", word(3));
        }
        if (word(5) as usize, word(6) as usize) != (index, blocks.len()) {
            return problem("its number", word(5));
        }
        if pages.last().is_some_and(|&(last, _)| last >= word(3)) {
            return problem("its address, which does not follow the one before,", word(3));
        }
        let data = block.get(DATA..).and_then(|rest| rest.first_chunk::<PAGE>());
        pages.extend(data.map(|data| (word(3), *data)));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::super::contents::tests::{board, firmware, segment};
    use super::*;

    fn contents() -> Contents {
        let segments = [segment(0x1000_0000, 1000), segment(0x1000_0400, 3)];
        Contents::new(board(), &firmware(), &segments, Some(&[7; 300])).unwrap()
    }

    #[test]
    fn a_file_holds_the_contents_and_nothing_else() {
        let contents = contents();
        let file = write(&contents, FAMILIES[0].id);
        let pages = read(&file, FAMILIES[0].id).unwrap();
        assert_eq!(pages, contents.pages::<PAGE>());
        let written = |address: u32| {
            let (_, page) = pages.iter().find(|&&(page, _)| page == address & !0xff)?;
            Some(page[address as usize % PAGE])
        };
        for piece in contents.pieces() {
            for (offset, &byte) in piece.bytes.iter().enumerate() {
                assert_eq!(written(piece.address + offset as u32), Some(byte), "{}", piece.what);
            }
        }
        // Firmware 4 + 1, model 2, the ends of two slots.
        assert_eq!(pages.len(), 4 + 1 + 2 + 2);
    }

    #[test]
    fn the_first_block_is_laid_out_as_specified() {
        let file = write(&contents(), 0xe48b_ff59);
        let head = [
            0x55, 0x46, 0x32, 0x0a, 0x57, 0x51, 0x5d, 0x9e, 0, 0x20, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0,
            0, 0, 9, 0, 0, 0, 0x59, 0xff, 0x8b, 0xe4,
        ];
        assert_eq!(file[..32], head);
        assert_eq!(file[508..512], [0x30, 0x6f, 0xb1, 0x0a]);
        assert_eq!((&file[32..35], &file[32 + 256..508]), (&[1, 8, 15][..], &[0; 220][..]));
    }

    #[test]
    fn every_changed_byte_that_matters_is_seen() {
        let contents = contents();
        let file = write(&contents, FAMILIES[0].id);
        assert!(read(&file, FAMILIES[1].id).is_err(), "another family");
        assert!(read(&file[..file.len() - 1], FAMILIES[0].id).is_err());
        assert!(read(&file[512..], FAMILIES[0].id).is_err(), "a block is missing");
        for at in (0..32 + PAGE).chain(508..512) {
            let mut file = file.clone();
            file[512 + at] ^= 1;
            let same = read(&file, FAMILIES[0].id).is_ok_and(|pages| pages == contents.pages::<PAGE>());
            assert!(!same, "byte {at}");
        }
    }
}
