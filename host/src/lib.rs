//! The host side of Goldcrest: all that needs an operating system. Folders stand in the order of
//! the data's way.

pub mod board;
pub mod cli;
pub mod dataset;
pub mod onnx;
