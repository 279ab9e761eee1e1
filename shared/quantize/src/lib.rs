#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod check;
pub mod equalize;
mod fusion;
pub mod given;
pub mod graph;
pub mod infer;
pub mod learn;
mod lower;
pub mod moments;
pub mod operators;
pub mod pack;
pub mod pixels;
pub mod planner;
mod quantizer;
pub mod random;
pub mod range;
pub mod reference;
pub mod rounding;
mod scales;
pub mod simplify;
pub mod statistics;
pub mod ties;

pub use graph::{FloatGraph, QuantizedGraph};
pub use quantizer::{LayerReport, Options, QuantizeError, QuantizeReport, quantize, quantize_given};
