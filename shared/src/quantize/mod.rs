//! From a float graph to an int8 graph, and from there to a device image.
//!
//! One [`QuantizedGraph`] yields both products of Goldcrest: the int8 ONNX file (written by the
//! host) and the device image (written by the packer here).

pub mod check;
pub mod graph;
pub mod infer;
pub mod pack;
pub mod planner;
pub mod random;
pub mod reference;

pub use graph::{FloatGraph, QuantizedGraph};
