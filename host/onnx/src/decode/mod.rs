//! From the bytes of a file to the typed graph.
//!
//! Nodes and tensors are decoded one at a time, so that a file is never in memory both as its protobuf says
//! it and typed.

mod bound;
mod external;
mod function;
mod tensor;

pub(super) use self::bound::{FLOOR, ROOM};

use std::path::Path;

use self::external::External;
use self::function::Function;
use super::proto::{
    attribute, attribute_type, data_type, dimension, entry, graph, model, node, operator_set, sequence,
    shape, tensor_type, value_info, value_type,
};
use super::wire::{Content, Fields};
use super::{Attribute, Attributes, Dimension, Graph, Model, Node, OnnxError, ValueInfo};

impl Model {
    /// Decodes a model from protobuf bytes. Doubles and half floats are read as floats, wherever they
    /// stand, and the functions that it brings with it are written out.
    ///
    /// # Errors
    /// When the bytes are no ONNX model, or one that would take far more memory than it has bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        Self::decode_with(bytes, &mut External::none())
    }

    /// Decodes a model whose tensors may stand in files in this folder.
    pub(super) fn decode_in(bytes: &[u8], folder: &Path) -> Result<Self, OnnxError> {
        Self::decode_with(bytes, &mut External::in_folder(folder))
    }

    fn decode_with(bytes: &[u8], external: &mut External<'_>) -> Result<Self, OnnxError> {
        let length = bytes.len();
        let bound = bound::of(bytes).ok_or(OnnxError::Malformed)?;
        if bound.exceeds(length) {
            return Err(OnnxError::TooLarge { length, bound: bound.total });
        }
        let (mut decoded, mut network, mut functions) = (Self::default(), None, Vec::new());
        for field in Fields::of(bytes) {
            match field.ok_or(OnnxError::Malformed)? {
                (model::GRAPH, content) if network.is_none() => {
                    network = Some(Graph::decode(message(content)?, external)?);
                }
                (model::OPSET_IMPORT, content) => {
                    let [domain, version] = [operator_set::DOMAIN, operator_set::VERSION];
                    let set = message(content)?;
                    let (domain, version) = (text(set, domain)?, integer(set, version)?);
                    if domain.is_empty() || domain == "ai.onnx" {
                        decoded.opset = version;
                    } else {
                        decoded.domains.push((domain, version));
                    }
                }
                (model::METADATA_PROPS, content) => {
                    let pair = message(content)?;
                    decoded.metadata.insert(text(pair, entry::KEY)?, text(pair, entry::VALUE)?);
                }
                (model::GRAPH, _) => return Err(OnnxError::Malformed),
                (model::FUNCTIONS, content) => {
                    functions.push(Function::decode(message(content)?, external)?);
                }
                _ => {}
            }
        }
        decoded.graph = network.filter(|graph| !graph.nodes.is_empty()).ok_or(OnnxError::NoGraph)?;
        function::inline(&mut decoded.graph, &functions, length)?;
        decoded.graph.in_float();
        Ok(decoded)
    }
}

/// The bytes of a message, a string or a list.
fn message(content: Content<'_>) -> Result<&[u8], OnnxError> {
    match content {
        Content::Bytes(bytes) => Ok(bytes),
        _ => Err(OnnxError::Malformed),
    }
}

fn string(content: Content<'_>) -> Result<String, OnnxError> {
    String::from_utf8(message(content)?.to_vec()).map_err(|_| OnnxError::Malformed)
}

/// The string in a field of a message, the last one; empty without one.
fn text(bytes: &[u8], tag: u32) -> Result<String, OnnxError> {
    Fields::with(bytes, tag).last().map_or(Ok(String::new()), string)
}

/// The integer in a field of a message, the last one; 0 without one.
fn integer(bytes: &[u8], tag: u32) -> Result<i64, OnnxError> {
    match Fields::with(bytes, tag).last() {
        None => Ok(0),
        Some(Content::Varint(value)) => Ok(value as i64),
        Some(_) => Err(OnnxError::Malformed),
    }
}

/// Whether elements of a type become floats.
fn is_real(element: i32) -> bool {
    [data_type::FLOAT16, data_type::BFLOAT16, data_type::DOUBLE].contains(&element)
}

impl Graph {
    /// Declares as floats what became floats.
    fn in_float(&mut self) {
        for value in self.inputs.iter_mut().chain(&mut self.outputs).chain(&mut self.values) {
            if is_real(value.element) {
                value.element = data_type::FLOAT;
            }
        }
        for node in self.nodes.iter_mut().filter(|node| node.op == "Cast" && node.domain.is_empty()) {
            if node.int("to").is_some_and(|to| i32::try_from(to).is_ok_and(is_real)) {
                node.attributes.insert("to".into(), Attribute::Int(data_type::FLOAT.into()));
            }
        }
    }

    fn decode(bytes: &[u8], external: &mut External<'_>) -> Result<Self, OnnxError> {
        let count = |tag| Fields::with(bytes, tag).count();
        let mut decoded = Self {
            nodes: Vec::with_capacity(count(graph::NODE)),
            inputs: Vec::with_capacity(count(graph::INPUT)),
            outputs: Vec::with_capacity(count(graph::OUTPUT)),
            values: Vec::with_capacity(count(graph::VALUE_INFO)),
            ..Self::default()
        };
        for field in Fields::of(bytes) {
            match field.ok_or(OnnxError::Malformed)? {
                (graph::NODE, content) => decoded.nodes.push(Node::decode(message(content)?, external)?),
                (graph::NAME, content) => decoded.name = lossy(message(content)?.to_vec()),
                (graph::INITIALIZER, content) => {
                    let (name, tensor) = tensor::decode(message(content)?, external)?;
                    if decoded.initializers.contains_key(&name) {
                        let problem = "the file holds it a second time".to_owned();
                        return Err(OnnxError::Tensor { name, problem });
                    }
                    decoded.initializers.insert(name, tensor);
                }
                (graph::INPUT, content) => decoded.inputs.push(ValueInfo::decode(message(content)?)?),
                (graph::OUTPUT, content) => decoded.outputs.push(ValueInfo::decode(message(content)?)?),
                (graph::VALUE_INFO, content) => decoded.values.push(ValueInfo::decode(message(content)?)?),
                _ => {}
            }
        }
        // Older exporters list initializers among the inputs.
        let initializers = &decoded.initializers;
        decoded.inputs.retain(|input| !initializers.contains_key(&input.name));
        Ok(decoded)
    }
}

/// Strings in fields of a number.
fn names(bytes: &[u8], tag: u32) -> Result<Vec<String>, OnnxError> {
    let mut names = Vec::with_capacity(Fields::with(bytes, tag).count());
    for name in Fields::with(bytes, tag) {
        names.push(string(name)?);
    }
    Ok(names)
}

/// An integer as the text of a key.
fn integer_text(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("its external data has `{text}` where a number belongs"))
}

impl Node {
    fn decode(bytes: &[u8], external: &mut External<'_>) -> Result<Self, OnnxError> {
        let (name, op) = (text(bytes, node::NAME)?, text(bytes, node::OP_TYPE)?);
        let attributes = decode_attributes(bytes, node::ATTRIBUTE, [&name, &op], external)?;
        let mut domain = text(bytes, node::DOMAIN)?;
        if domain == "ai.onnx" {
            domain = String::new();
        }
        let (inputs, outputs) = (names(bytes, node::INPUT)?, names(bytes, node::OUTPUT)?);
        Ok(Self { name, op, domain, inputs, outputs, attributes })
    }
}

/// Attributes in fields of a number, of a node of this name and operator.
fn decode_attributes(
    bytes: &[u8],
    tag: u32,
    [node, op]: [&str; 2],
    external: &mut External<'_>,
) -> Result<Attributes, OnnxError> {
    let mut attributes = Attributes::with_capacity(Fields::with(bytes, tag).count());
    for content in Fields::with(bytes, tag) {
        let bytes = message(content)?;
        let (name, kind) = (text(bytes, attribute::NAME)?, integer(bytes, attribute::TYPE)? as i32);
        // Of a function's node: the value is the call's.
        if !text(bytes, attribute::REF_ATTR_NAME)?.is_empty() {
            continue;
        }
        let Some(value) = Attribute::decode(bytes, kind, external)? else {
            let (node, op) = (node.to_owned(), op.to_owned());
            return Err(OnnxError::Attribute { node, op, name, kind: attribute_type::name(kind) });
        };
        attributes.insert(name, value);
    }
    Ok(attributes)
}

impl Attribute {
    /// The value of an attribute, or `None` when it is of another kind.
    fn decode(bytes: &[u8], kind: i32, external: &mut External<'_>) -> Result<Option<Self>, OnnxError> {
        let block = |tag| Fields::with(bytes, tag).last().map_or(Ok(&[][..]), message);
        Ok(Some(match kind {
            attribute_type::INT => Self::Int(integer(bytes, attribute::I)?),
            attribute_type::FLOAT => Self::Float(floats(bytes, attribute::F)?.last().copied().unwrap_or(0.0)),
            attribute_type::STRING => Self::String(lossy(block(attribute::S)?.to_vec())),
            attribute_type::INTS => {
                let found = || tensor::integers(bytes, attribute::INTS).map(|value| value as i64);
                let mut values = Vec::with_capacity(found().count());
                values.extend(found());
                Self::Ints(values)
            }
            attribute_type::FLOATS => Self::Floats(floats(bytes, attribute::FLOATS)?),
            attribute_type::STRINGS => {
                let mut values = Vec::with_capacity(Fields::with(bytes, attribute::STRINGS).count());
                for value in Fields::with(bytes, attribute::STRINGS) {
                    values.push(lossy(message(value)?.to_vec()));
                }
                Self::Strings(values)
            }
            attribute_type::TENSOR if !block(attribute::T)?.is_empty() => {
                Self::Tensor(tensor::decode(block(attribute::T)?, external)?.1)
            }
            _ => return Ok(None),
        }))
    }
}

/// Floats in fields of a number, packed or one by one.
fn floats(bytes: &[u8], tag: u32) -> Result<Vec<f32>, OnnxError> {
    let block = |content| match content {
        Content::Bytes(block) | Content::Fixed(block) if block.len().is_multiple_of(4) => Ok(block),
        _ => Err(OnnxError::Malformed),
    };
    let mut count = 0;
    for content in Fields::with(bytes, tag) {
        count += block(content)?.len() / 4;
    }
    let mut values = Vec::with_capacity(count);
    for content in Fields::with(bytes, tag) {
        values.extend(block(content)?.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)));
    }
    Ok(values)
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl ValueInfo {
    fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let mut decoded = Self { name: text(bytes, value_info::NAME)?, ..Self::default() };
        let mut found = last(bytes, &[value_info::TYPE])?.map_or(Ok(None), |(_, of)| kind(of))?;
        if let Some((value_type::SEQUENCE, list)) = found {
            decoded.sequence = true;
            found = last(list, &[sequence::ELEM_TYPE])?.map_or(Ok(None), |(_, of)| kind(of))?;
        }
        let Some((value_type::TENSOR, tensor)) = found else { return Ok(decoded) };
        decoded.element = integer(tensor, tensor_type::ELEM_TYPE)? as i32;
        if let Some((_, list)) = last(tensor, &[tensor_type::SHAPE])? {
            let mut dimensions = Vec::with_capacity(Fields::with(list, shape::DIM).count());
            for content in Fields::with(list, shape::DIM) {
                dimensions.push(Dimension::decode(message(content)?)?);
            }
            decoded.shape = Some(dimensions);
        }
        Ok(decoded)
    }
}

impl Dimension {
    fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let known = |&(tag, _): &(u32, Content<'_>)| [dimension::VALUE, dimension::PARAM].contains(&tag);
        match Fields::of(bytes).flatten().filter(known).last() {
            Some((dimension::VALUE, Content::Varint(size))) => Ok(Self::Fixed(size as i64)),
            Some((dimension::PARAM, name)) => Ok(Self::Named(string(name)?)),
            Some(_) => Err(OnnxError::Malformed),
            None => Ok(Self::Named(String::new())),
        }
    }
}

/// What a type is of: a tensor or a sequence.
fn kind(bytes: &[u8]) -> Result<Option<(u32, &[u8])>, OnnxError> {
    last(bytes, &[value_type::TENSOR, value_type::SEQUENCE])
}

/// The last message in fields of these numbers.
fn last<'a>(bytes: &'a [u8], tags: &[u32]) -> Result<Option<(u32, &'a [u8])>, OnnxError> {
    let found = Fields::of(bytes).flatten().filter(|(tag, _)| tags.contains(tag)).last();
    found.map(|(tag, content)| Ok((tag, message(content)?))).transpose()
}
