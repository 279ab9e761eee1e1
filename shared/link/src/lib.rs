#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod frame;
pub mod manifest;
pub mod message;
pub mod pieces;
pub mod values;
#[cfg(test)]
mod vectors;

pub use frame::{Decoder, FrameError};
pub use manifest::Manifest;
pub use message::{Info, ModelInfo, Refusal, Report, Request, Response};
pub use pieces::Pieces;
pub use values::Values;

/// Version of the messages. [`Request::Hello`] and [`Response::Hello`] keep their encoding in every
/// version, so that two versions can always tell each other who they are.
pub const VERSION: u16 = 3;

/// CRC-32 as in Ethernet and zip (polynomial 0x04C11DB7 reflected, initial value and final xor
/// `0xffff_ffff`); guards every frame and names the pixels of a transfer.
pub static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A [`CRC`] of bytes that come in pieces.
pub type Digest = crc::Digest<'static, u32>;
