#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod answer;
pub mod engine;
pub mod image;
pub mod kernels;
pub mod picture;
pub mod requantize;
pub mod shape;
