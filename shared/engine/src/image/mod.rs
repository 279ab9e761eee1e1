//! The device image (`.gci`): everything a device needs to run one network, in one block of bytes.
//!
//! The format is specified in `docs/device-image.md`. [`Image::new_checked`] looks at every offset,
//! length, shape and arena range once; after it, no accessor here and no kernel can go out of bounds,
//! so running an image cannot fail.

#[cfg(feature = "alloc")]
mod buf;
mod check;
mod error;
mod header;
mod record;

#[cfg(feature = "alloc")]
pub use buf::{AlignedBytes, ImageBuf};
pub use error::{ImageError, LayerError};
pub use header::Image;
pub use header::field as header_field;
pub(crate) use record::Entry;
pub use record::{Channel, Layer, Record, Slot};

/// First four bytes of an image.
pub const MAGIC: [u8; 4] = *b"GCI\x1a";
/// The format this reader understands.
pub const VERSION: u16 = 2;
/// Alignment of an image in memory, and of every block of values in it and in the arena.
pub const ALIGNMENT: usize = 4;

/// The checksum of an image: CRC-32 (ISO-HDLC) of all bytes behind the checksum field.
pub fn checksum(bytes: &[u8]) -> u32 {
    let bytes = bytes.get(header_field::VERSION..).unwrap_or(&[]);
    if crate::kernels::SMALL {
        // Bit by bit: a table is a kilobyte.
        const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);
        return CRC.checksum(bytes);
    }
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

/// The two bytes at an offset; 0 beyond the end, which a checked image never reaches.
#[inline]
pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk() {
            Some(chunk) => u16::from_le_bytes(*chunk),
            None => 0,
        },
        None => 0,
    }
}

/// The four bytes at an offset; 0 beyond the end, which a checked image never reaches.
#[inline]
pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk() {
            Some(chunk) => u32::from_le_bytes(*chunk),
            None => 0,
        },
        None => 0,
    }
}
