//! The host side of Goldcrest: all that needs an operating system. Folders stand in the order of
//! the data's way.
#![deny(unsafe_code)]

pub mod architecture;
pub mod autodiff;
pub mod bench;
pub mod board;
pub mod calibrate;
pub mod cli;
pub mod dataset;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod onnx;
#[allow(unsafe_code)]
pub mod operators;
#[allow(unsafe_code)]
pub mod runtime;
pub mod sweep;
pub mod training;
pub mod verify;
