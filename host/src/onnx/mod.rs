//! ONNX files: bytes to and from a typed graph.

mod bound;
pub mod float_export;
pub mod import;
pub mod info;
pub mod int8;
pub mod model;
pub mod proto;
pub mod shape_inference;

pub use bound::ROOM;
pub use model::{Attribute, Data, Dimension, Graph, Model, Node, OnnxError, Tensor, ValueInfo};
