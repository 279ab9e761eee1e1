//! From the bytes of a file to the typed graph.
//!
//! Nodes and tensors are decoded one at a time, so that a file is never in memory both as its protobuf says it and
//! typed.

mod bound;
mod tensor;
mod wire;

use prost::Message;

pub(super) use self::bound::{FLOOR, ROOM};

use self::wire::{Content, Fields};
use super::proto::{self, attribute_type, dimension_proto, type_proto};
use super::{Attribute, Attributes, Dimension, Graph, Model, Node, OnnxError, ValueInfo};

impl Model {
    /// Decodes a model from protobuf bytes.
    ///
    /// # Errors
    /// When the bytes are no ONNX model, or one that would take far more memory than it has bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let length = bytes.len();
        let bound = bound::of(bytes).ok_or(OnnxError::Malformed)?;
        if bound.exceeds(length) {
            return Err(OnnxError::TooLarge { length, bound: bound.total });
        }
        let (mut model, mut graph) = (Self::default(), None);
        for field in Fields::of(bytes) {
            match field.ok_or(OnnxError::Malformed)? {
                (7, Content::Bytes(content)) if graph.is_none() => graph = Some(Graph::decode(content)?),
                (8, Content::Bytes(content)) => {
                    let set = proto::OperatorSetIdProto::decode(content)?;
                    if set.domain.is_empty() || set.domain == "ai.onnx" {
                        model.opset = set.version;
                    } else {
                        model.domains.push((set.domain, set.version));
                    }
                }
                (14, Content::Bytes(content)) => {
                    let entry = proto::StringStringEntryProto::decode(content)?;
                    model.metadata.insert(entry.key, entry.value);
                }
                (7 | 8 | 14, _) => return Err(OnnxError::Malformed),
                _ => {}
            }
        }
        model.graph = graph.filter(|graph| !graph.nodes.is_empty()).ok_or(OnnxError::NoGraph)?;
        Ok(model)
    }
}

impl Graph {
    fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let count = |tag| Fields::of(bytes).flatten().filter(|(found, _)| *found == tag).count();
        let mut graph = Self {
            nodes: Vec::with_capacity(count(1)),
            inputs: Vec::with_capacity(count(11)),
            outputs: Vec::with_capacity(count(12)),
            values: Vec::with_capacity(count(13)),
            ..Self::default()
        };
        for field in Fields::of(bytes) {
            match field.ok_or(OnnxError::Malformed)? {
                (1, Content::Bytes(node)) => {
                    graph.nodes.push(Node::from_proto(proto::NodeProto::decode(node)?)?);
                }
                (2, Content::Bytes(name)) => graph.name = lossy(name.to_vec()),
                (5, Content::Bytes(tensor)) => {
                    let (name, tensor) = tensor::decode(tensor)?;
                    if graph.initializers.contains_key(&name) {
                        let problem = "the file holds it a second time".to_owned();
                        return Err(OnnxError::Tensor { name, problem });
                    }
                    graph.initializers.insert(name, tensor);
                }
                (11, Content::Bytes(input)) => graph.inputs.push(ValueInfo::decode(input)?),
                (12, Content::Bytes(output)) => graph.outputs.push(ValueInfo::decode(output)?),
                (13, Content::Bytes(value)) => graph.values.push(ValueInfo::decode(value)?),
                (1 | 2 | 5 | 11..=13, _) => return Err(OnnxError::Malformed),
                _ => {}
            }
        }
        // Older exporters list initializers among the inputs.
        let initializers = &graph.initializers;
        graph.inputs.retain(|input| !initializers.contains_key(&input.name));
        Ok(graph)
    }
}

impl Node {
    fn from_proto(mut node: proto::NodeProto) -> Result<Self, OnnxError> {
        let mut attributes = Attributes::with_capacity(node.attribute.len());
        for attribute in node.attribute {
            let value = match attribute.r#type {
                attribute_type::INT => Attribute::Int(attribute.i),
                attribute_type::FLOAT => Attribute::Float(attribute.f),
                attribute_type::STRING => Attribute::String(lossy(attribute.s)),
                attribute_type::INTS => Attribute::Ints(exact(attribute.ints)),
                attribute_type::FLOATS => Attribute::Floats(exact(attribute.floats)),
                attribute_type::STRINGS => {
                    Attribute::Strings(exact(attribute.strings.into_iter().map(lossy).collect()))
                }
                attribute_type::TENSOR if !attribute.t.is_empty() => {
                    Attribute::Tensor(tensor::decode(&attribute.t)?.1)
                }
                kind => {
                    let (node, op, name) = (node.name, node.op_type, attribute.name);
                    return Err(OnnxError::Attribute { node, op, name, kind });
                }
            };
            attributes.insert(attribute.name, value);
        }
        if node.domain == "ai.onnx" {
            node.domain = String::new();
        }
        Ok(Self {
            name: node.name,
            op: node.op_type,
            domain: node.domain,
            inputs: exact(node.input),
            outputs: exact(node.output),
            attributes,
        })
    }
}

/// Without the room that a growing list leaves.
fn exact<T>(mut values: Vec<T>) -> Vec<T> {
    values.shrink_to_fit();
    values
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl ValueInfo {
    fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let info = proto::ValueInfoProto::decode(bytes)?;
        let (mut value, mut sequence) = (info.r#type.and_then(|t| t.value), false);
        if let Some(type_proto::Value::Sequence(inner)) = value {
            sequence = true;
            value = inner.elem_type.and_then(|t| t.value);
        }
        let Some(type_proto::Value::Tensor(tensor)) = value else {
            return Ok(Self { name: info.name, element: 0, shape: None, sequence });
        };
        let dimension = |dim: proto::DimensionProto| match dim.value {
            Some(dimension_proto::Value::Fixed(size)) => Dimension::Fixed(size),
            Some(dimension_proto::Value::Named(name)) => Dimension::Named(name),
            None => Dimension::Named(String::new()),
        };
        let shape = tensor.shape.map(|shape| exact(shape.dim.into_iter().map(dimension).collect()));
        Ok(Self { name: info.name, element: tensor.elem_type, shape, sequence })
    }
}
