//! From the typed graph to the bytes of a file.

use prost::Message;

use super::proto::{self, attribute_type, dimension_proto, type_proto};
use super::{Attribute, Data, Dimension, Graph, Model, Node, Tensor, ValueInfo};

impl Model {
    /// Encodes the model as protobuf bytes (IR version 8).
    pub fn encode(&self) -> Vec<u8> {
        let mut opset_import = vec![proto::OperatorSetIdProto { domain: String::new(), version: self.opset }];
        opset_import.extend(self.domains.iter().map(|(domain, version)| proto::OperatorSetIdProto {
            domain: domain.clone(),
            version: *version,
        }));
        proto::ModelProto {
            ir_version: 8,
            producer_name: "goldcrest".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph.to_proto()),
            opset_import,
            metadata_props: self
                .metadata
                .iter()
                .map(|(key, value)| proto::StringStringEntryProto { key: key.clone(), value: value.clone() })
                .collect(),
        }
        .encode_to_vec()
    }
}

impl Graph {
    fn to_proto(&self) -> proto::GraphProto {
        proto::GraphProto {
            node: self.nodes.iter().map(Node::to_proto).collect(),
            name: if self.name.is_empty() { "goldcrest".into() } else { self.name.clone() },
            initializer: self.initializers.iter().map(|(name, tensor)| tensor.to_proto(name)).collect(),
            input: self.inputs.iter().map(ValueInfo::to_proto).collect(),
            output: self.outputs.iter().map(ValueInfo::to_proto).collect(),
            value_info: self.values.iter().map(ValueInfo::to_proto).collect(),
        }
    }
}

impl Node {
    fn to_proto(&self) -> proto::NodeProto {
        let attribute = self.attributes.iter().map(|(name, value)| value.to_proto(name)).collect();
        proto::NodeProto {
            input: self.inputs.clone(),
            output: self.outputs.clone(),
            name: self.name.clone(),
            op_type: self.op.clone(),
            attribute,
            domain: self.domain.clone(),
        }
    }
}

impl Attribute {
    fn to_proto(&self, name: &str) -> proto::AttributeProto {
        let mut attribute = proto::AttributeProto { name: name.into(), ..Default::default() };
        attribute.r#type = match self {
            Self::Int(value) => {
                attribute.i = *value;
                attribute_type::INT
            }
            Self::Float(value) => {
                attribute.f = *value;
                attribute_type::FLOAT
            }
            Self::String(value) => {
                attribute.s = value.clone().into_bytes();
                attribute_type::STRING
            }
            Self::Ints(values) => {
                attribute.ints = values.clone();
                attribute_type::INTS
            }
            Self::Floats(values) => {
                attribute.floats = values.clone();
                attribute_type::FLOATS
            }
            Self::Strings(values) => {
                attribute.strings = values.iter().map(|value| value.clone().into_bytes()).collect();
                attribute_type::STRINGS
            }
            Self::Tensor(tensor) => {
                attribute.t = tensor.to_proto("").encode_to_vec();
                attribute_type::TENSOR
            }
        };
        attribute
    }
}

impl ValueInfo {
    fn to_proto(&self) -> proto::ValueInfoProto {
        let dimension = |dim: &Dimension| proto::DimensionProto {
            value: Some(match dim {
                Dimension::Fixed(size) => dimension_proto::Value::Fixed(*size),
                Dimension::Named(name) => dimension_proto::Value::Named(name.clone()),
            }),
        };
        let tensor = type_proto::Value::Tensor(proto::TensorTypeProto {
            elem_type: self.element,
            shape: self
                .shape
                .as_ref()
                .map(|shape| proto::TensorShapeProto { dim: shape.iter().map(dimension).collect() }),
        });
        let inner = proto::TypeProto { value: Some(tensor) };
        let r#type = if self.sequence {
            let sequence = proto::SequenceTypeProto { elem_type: Some(Box::new(inner)) };
            proto::TypeProto { value: Some(type_proto::Value::Sequence(Box::new(sequence))) }
        } else {
            inner
        };
        proto::ValueInfoProto { name: self.name.clone(), r#type: Some(r#type) }
    }
}

impl Tensor {
    fn to_proto(&self, name: &str) -> proto::TensorProto {
        let raw_data = match &self.data {
            Data::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I8(values) => values.iter().map(|&v| v as u8).collect(),
            Data::U8(values) => values.clone(),
            Data::Bool(values) => values.iter().map(|&v| u8::from(v)).collect(),
        };
        proto::TensorProto {
            dims: self.shape.iter().map(|&d| d as i64).collect(),
            data_type: self.data.element(),
            name: name.into(),
            raw_data,
        }
    }
}
