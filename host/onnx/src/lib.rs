#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod attributes;
mod decode;
mod encode;
pub mod float_export;
pub mod foreign;
pub mod import;
pub mod info;
pub mod int8;
pub mod model;
pub mod native;
mod operators;
pub mod proto;
pub mod samples;
pub mod shape_inference;
mod size;
mod wire;

pub use attributes::Attributes;
pub use model::{Attribute, Data, Dimension, Graph, Model, Node, OnnxError, Tensor, ValueInfo};
pub use size::{MemoryLimit, memory_limit};
