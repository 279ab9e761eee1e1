#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod bench;
pub mod boot;
pub mod cargo;
mod child;
pub mod client;
pub mod emulator;
pub mod firmware;
pub mod fit;
pub mod flash;
pub mod inference;
pub mod keys;
pub mod log;
pub mod payload;
pub mod placement;
pub mod port;
pub mod probe;
pub mod qemu;
mod segment;
pub mod sources;
pub mod table;
pub mod update_key;

pub use client::{Client, LinkError};
pub use emulator::{Answer, Emulator, EmulatorError};
pub use firmware::{BuildError, Firmware};
pub use table::{BOARDS, Board};
