#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod answer;
mod engine;
mod image;
pub mod kernels;
mod model;
#[cfg(feature = "pack")]
pub mod packer;
pub mod picture;
pub mod requantize;
pub mod shape;

pub use engine::{ArenaTooSmall, Engine, OpenError, SelfTestError, WrongPixelCount};
#[cfg(feature = "alloc")]
pub use image::{AlignedBytes, ImageBuf};
pub use image::{Image, ImageError, LayerError};
#[doc(hidden)]
pub use model::Aligned;
pub use model::Model;
