#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod architecture;
pub mod autodiff;
#[allow(unsafe_code)]
pub mod operators;
pub mod sweep;
pub mod training;
