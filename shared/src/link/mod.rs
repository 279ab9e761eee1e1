//! The serial protocol between host and board: postcard messages in COBS frames with a CRC-32.
//!
//! * [`frame`]: bytes on the wire <-> whole, checked payloads.
//! * [`message`]: payloads <-> requests and responses with their sequence numbers.
//! * [`pieces`]: which parts of an image, or of a new model, have arrived.
//! * [`values`]: int8 tensors inside a message.
//!
//! The wire format, the rules of the conversation and test vectors are specified in
//! `docs/link-protocol.md`. In short: the host asks, the board answers; every request carries a
//! sequence number that each of its responses repeats, every request may be sent again without
//! harm, and a frame that is damaged in any way is as good as never sent.

pub mod frame;
pub mod message;
pub mod pieces;
pub mod values;
#[cfg(test)]
mod vectors;

pub use frame::{Decoder, FrameError};
pub use message::{Info, ModelInfo, Refusal, Report, Request, Response};
pub use pieces::Pieces;
pub use values::Values;

/// Version of the messages. [`Request::Hello`] and [`Response::Hello`] keep their encoding in every
/// version, so that two versions can always tell each other who they are.
pub const VERSION: u16 = 2;

/// CRC-32 as in Ethernet and zip (polynomial 0x04C11DB7 reflected, initial value and final xor
/// `0xffff_ffff`); guards every frame and names the pixels of a transfer.
pub static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A [`CRC`] of bytes that come in pieces.
pub type Digest = crc::Digest<'static, u32>;
