//! The `no_std` core of Goldcrest: what the host and the firmware must agree on, bit for bit.
//!
//! * [`requantize`]: the int8 arithmetic contract.
//! * [`link`]: the serial protocol between host and board.
//! * [`shape`]: shapes and sliding windows.
//! * [`picture`]: from pictures of any size to a model's input.
//! * [`image`]: the device image, checked once before it is trusted.
//! * [`engine`] and [`kernels`]: inference over one arena.
//! * [`quantize`] (feature `quantize`, needs `alloc`): the float graph, the quantizer, the memory
//!   planner and the packer.
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(feature = "quantize")]
extern crate alloc;

pub mod engine;
pub mod image;
pub mod kernels;
pub mod link;
pub mod picture;
#[cfg(feature = "quantize")]
pub mod quantize;
pub mod requantize;
pub mod shape;
