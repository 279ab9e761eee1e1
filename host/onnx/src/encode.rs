//! From the typed graph to the bytes of a file.

use super::proto::{
    attribute, attribute_type, dimension, entry, graph, model, node, operator_set, sequence, shape, tensor,
    tensor_type, value_info, value_type,
};
use super::wire::Message;
use super::{Attribute, Data, Dimension, Graph, Model, Node, Tensor, ValueInfo};

/// The version of ONNX's format.
const IR_VERSION: i64 = 8;

impl Model {
    /// Encodes the model as protobuf bytes (IR version 8).
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Message::default();
        message.integer(model::IR_VERSION, IR_VERSION);
        message.bytes(model::PRODUCER_NAME, "goldcrest");
        message.bytes(model::PRODUCER_VERSION, env!("CARGO_PKG_VERSION"));
        message.message(model::GRAPH, &self.graph.message());
        let domains = self.domains.iter().map(|(domain, version)| (domain.as_str(), *version));
        for (domain, version) in std::iter::once(("", self.opset)).chain(domains) {
            let mut set = Message::default();
            set.bytes(operator_set::DOMAIN, domain);
            set.integer(operator_set::VERSION, version);
            message.message(model::OPSET_IMPORT, &set);
        }
        for (key, value) in &self.metadata {
            let mut pair = Message::default();
            pair.bytes(entry::KEY, key);
            pair.bytes(entry::VALUE, value);
            message.message(model::METADATA_PROPS, &pair);
        }
        message.into_bytes()
    }
}

impl Graph {
    fn message(&self) -> Message {
        let mut message = Message::default();
        self.nodes.iter().for_each(|node| message.message(graph::NODE, &node.message()));
        message.bytes(graph::NAME, if self.name.is_empty() { "goldcrest" } else { &self.name });
        for (name, tensor) in &self.initializers {
            message.message(graph::INITIALIZER, &tensor.message(name));
        }
        for (tag, values) in
            [(graph::INPUT, &self.inputs), (graph::OUTPUT, &self.outputs), (graph::VALUE_INFO, &self.values)]
        {
            values.iter().for_each(|value| message.message(tag, &value.message()));
        }
        message
    }
}

impl Node {
    fn message(&self) -> Message {
        let mut message = Message::default();
        self.inputs.iter().for_each(|name| message.present_bytes(node::INPUT, name));
        self.outputs.iter().for_each(|name| message.present_bytes(node::OUTPUT, name));
        message.bytes(node::NAME, &self.name);
        message.bytes(node::OP_TYPE, &self.op);
        for (name, value) in self.attributes.iter() {
            message.message(node::ATTRIBUTE, &value.message(name));
        }
        message.bytes(node::DOMAIN, &self.domain);
        message
    }
}

impl Attribute {
    fn message(&self, name: &str) -> Message {
        let mut message = Message::default();
        message.bytes(attribute::NAME, name);
        let kind = match self {
            Self::Int(value) => {
                message.integer(attribute::I, *value);
                attribute_type::INT
            }
            Self::Float(value) => {
                message.float(attribute::F, *value);
                attribute_type::FLOAT
            }
            Self::String(value) => {
                message.bytes(attribute::S, value);
                attribute_type::STRING
            }
            Self::Ints(values) => {
                message.integers(attribute::INTS, values.iter().copied());
                attribute_type::INTS
            }
            Self::Floats(values) => {
                message.floats(attribute::FLOATS, values);
                attribute_type::FLOATS
            }
            Self::Strings(values) => {
                values.iter().for_each(|value| message.present_bytes(attribute::STRINGS, value));
                attribute_type::STRINGS
            }
            Self::Tensor(tensor) => {
                message.bytes(attribute::T, tensor.message("").into_bytes());
                attribute_type::TENSOR
            }
        };
        message.integer(attribute::TYPE, kind.into());
        message
    }
}

impl ValueInfo {
    fn message(&self) -> Message {
        let mut tensor = Message::default();
        tensor.integer(tensor_type::ELEM_TYPE, self.element.into());
        if let Some(dimensions) = &self.shape {
            let mut list = Message::default();
            for size in dimensions {
                let mut one = Message::default();
                match size {
                    Dimension::Fixed(size) => one.present_integer(dimension::VALUE, *size),
                    Dimension::Named(name) => one.present_bytes(dimension::PARAM, name),
                }
                list.message(shape::DIM, &one);
            }
            tensor.message(tensor_type::SHAPE, &list);
        }
        let mut of = Message::default();
        of.message(value_type::TENSOR, &tensor);
        if self.sequence {
            let (mut list, element) = (Message::default(), std::mem::take(&mut of));
            list.message(sequence::ELEM_TYPE, &element);
            of.message(value_type::SEQUENCE, &list);
        }
        let mut message = Message::default();
        message.bytes(value_info::NAME, &self.name);
        message.message(value_info::TYPE, &of);
        message
    }
}

impl Tensor {
    fn message(&self, name: &str) -> Message {
        let raw: Vec<u8> = match &self.data {
            Data::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I8(values) => values.iter().map(|&v| v as u8).collect(),
            Data::U8(values) => values.clone(),
            Data::Bool(values) => values.iter().map(|&v| u8::from(v)).collect(),
        };
        let mut message = Message::default();
        message.integers(tensor::DIMS, self.shape.iter().map(|&size| size as i64));
        message.integer(tensor::DATA_TYPE, self.data.element().into());
        message.bytes(tensor::NAME, name);
        message.bytes(tensor::RAW_DATA, raw);
        message
    }
}
