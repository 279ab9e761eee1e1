#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod calibrate;
pub mod device_image;
pub mod emulated;
pub mod evaluate;
#[allow(unsafe_code)]
pub mod runtime;
pub mod verify;
