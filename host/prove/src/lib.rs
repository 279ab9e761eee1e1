#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod board_model;
pub mod calibrate;
pub mod emulated;
pub mod evaluate;
pub mod misfit;
pub mod on_board;
#[allow(unsafe_code)]
pub mod runtime;
pub mod verify;
