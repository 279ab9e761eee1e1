//! What a part's boot ROM looks for in front of a program, and where it lets the processor see it.

use std::ops::Range;

use crc::{CRC_32_MPEG_2, Crc};

use super::placement::Segment;

/// How a part starts a program in its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The processor itself, by the vectors at the program's start.
    Vectors,
    /// The RP2040's ROM, which runs the first 256 bytes if their checksum is right (datasheet, section
    /// 2.8.1.3.1).
    Rp2040,
    /// The RP2350's ROM, which looks for a block that describes the program in the first 4 KiB (datasheet,
    /// section 5.9).
    Rp2350,
    /// Espressif's boot loader, for which espflash makes an image of the program's segments: constants and
    /// code stay in flash and are seen at two addresses, the rest it copies into RAM.
    Espressif,
}

/// What a boot ROM would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// Not even 256 bytes at the start of the flash.
    #[error(
        "nothing of 256 bytes lies at the start of the flash {0:#010x}, where the boot ROM runs a second \
         stage"
    )]
    NoSecondStage(u32),
    /// The boot ROM would refuse it.
    #[error("the second stage has the checksum {computed:#010x}, but says {stated:#010x}")]
    Checksum {
        /// Of its first 252 bytes.
        computed: u32,
        /// Its last 4.
        stated: u32,
    },
    /// The boot ROM would not find the program.
    #[error("no block in the first 4 KiB of the flash describes a program for the Arm core of an RP2350")]
    NoImageBlock,
}

/// First and last word of a block, and the items in it (RP2350 datasheet, sections 5.1.4 and 5.9.3).
const BLOCK_START: u32 = 0xffff_ded3;
const BLOCK_END: u32 = 0xab12_3579;
const ITEM_IMAGE_TYPE: u8 = 0x42;
const ITEM_LAST: u8 = 0xff;
/// An executable program, secure, for the Arm core of an RP2350.
const IMAGE_TYPE: u16 = 0x1021;
/// Where the RP2350's ROM looks for blocks.
const BLOCK_WITHIN: usize = 4096;

/// Where the ESP32-C3 sees code that stays in flash, and its RAM when it runs code there.
const ESPRESSIF_CODE: u64 = 0x4200_0000;
const ESPRESSIF_RAM_CODE: u64 = 0x4038_0000;

impl Boot {
    /// Addresses at which segments of a program may lie, given those of its flash and of the RAM.
    pub fn places(self, program: &Range<u64>, ram: &Range<u64>) -> Vec<Range<u64>> {
        match self {
            Self::Espressif => {
                let moved = |range: &Range<u64>, start| start..start + (range.end - range.start);
                let code = moved(program, ESPRESSIF_CODE);
                vec![program.clone(), code, ram.clone(), moved(ram, ESPRESSIF_RAM_CODE)]
            }
            _ => vec![program.clone()],
        }
    }

    /// Looks at a program's segments, by address, as the boot ROM will; the flash begins at `start`.
    ///
    /// # Errors
    /// What it would not take.
    pub fn check(self, start: u32, segments: &[Segment]) -> Result<(), BootError> {
        match self {
            // The vectors are looked at with the entry; espflash looks at the description itself.
            Self::Vectors | Self::Espressif => Ok(()),
            Self::Rp2040 => second_stage(start, segments),
            Self::Rp2350 => {
                let first = segments.iter().filter(|segment| segment.address == start);
                let found = first.filter_map(|segment| block(&segment.bytes)).next();
                if found == Some(IMAGE_TYPE) { Ok(()) } else { Err(BootError::NoImageBlock) }
            }
        }
    }
}

fn second_stage(start: u32, segments: &[Segment]) -> Result<(), BootError> {
    let stage = segments.iter().find(|segment| segment.address == start);
    let stage = stage.and_then(|segment| segment.bytes.first_chunk::<256>());
    let stage = stage.ok_or(BootError::NoSecondStage(start))?;
    let (code, checksum) = stage.split_at(252);
    let computed = Crc::<u32>::new(&CRC_32_MPEG_2).checksum(code);
    let stated = checksum.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if computed == stated { Ok(()) } else { Err(BootError::Checksum { computed, stated }) }
}

/// The type of the image that the first block describes.
fn block(flash: &[u8]) -> Option<u16> {
    let words = flash.chunks_exact(4).take(BLOCK_WITHIN / 4);
    let words: Vec<u32> = words.filter_map(|word| word.try_into().ok().map(u32::from_le_bytes)).collect();
    let start = words.iter().position(|&word| word == BLOCK_START)?;
    let items = &words[start + 1..];
    let (mut at, mut image) = (0, None);
    loop {
        let [kind, small, low, high] = items.get(at)?.to_le_bytes();
        if kind == ITEM_LAST {
            // How many words the items take, then a link to the next block, then the end.
            let whole =
                usize::from(u16::from_le_bytes([small, low])) == at && items.get(at + 2) == Some(&BLOCK_END);
            return image.filter(|_| whole);
        }
        if kind == ITEM_IMAGE_TYPE {
            image = Some(u16::from_le_bytes([low, high]));
        }
        // The upper bit of the kind says that the size has two bytes.
        let size =
            if kind < 0x80 { usize::from(small) } else { usize::from(u16::from_le_bytes([small, low])) };
        at += size.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: u32, bytes: Vec<u8>) -> Vec<Segment> {
        vec![Segment { address, bytes }]
    }

    #[test]
    fn a_second_stage_needs_its_checksum() {
        let mut stage: Vec<u8> = (0..252).map(|byte| byte as u8).collect();
        let sum = Crc::<u32>::new(&CRC_32_MPEG_2).checksum(&stage);
        stage.extend(sum.to_le_bytes());
        let check = |stage: Vec<u8>| Boot::Rp2040.check(0x1000_0000, &at(0x1000_0000, stage));
        assert_eq!(check(stage.clone()), Ok(()));
        stage[7] ^= 1;
        assert!(matches!(check(stage.clone()), Err(BootError::Checksum { stated, .. }) if stated == sum));
        stage.pop();
        assert_eq!(check(stage), Err(BootError::NoSecondStage(0x1000_0000)));
    }

    #[test]
    fn a_block_is_found_whole_and_in_time() {
        // RP2350 datasheet, section 5.9.5.1: the smallest block of an Arm image.
        let words = [BLOCK_START, 0x1021_0142, 0x0000_01ff, 0, BLOCK_END];
        let flash = |before: usize, words: &[u32]| {
            let mut bytes = vec![0; before];
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            bytes
        };
        let check = |bytes| Boot::Rp2350.check(0x1000_0000, &at(0x1000_0000, bytes));
        assert_eq!(check(flash(0x114, &words)), Ok(()));
        assert_eq!(check(flash(4096 - 20, &words)), Ok(()));
        assert_eq!(check(flash(4096 - 16, &words)), Err(BootError::NoImageBlock));
        for place in 0..words.len() {
            let mut wrong = words;
            wrong[place] ^= 1 << 16;
            // The link to the next block may be any.
            assert_eq!(check(flash(0, &wrong)).is_ok(), place == 3, "word {place}");
        }
        assert_eq!(check(flash(0, &words[..3])), Err(BootError::NoImageBlock));
    }
}
