//! How much memory a file will take, found without decoding it.
//!
//! A protobuf of a few bytes can stand for structures of hundreds: an empty node takes 2 bytes in a file and
//! 144 in memory. So the wire format is walked once, counting what each field will become, and a file that
//! would grow beyond [`ROOM`] and a few times its size is refused before anything is allocated.

use std::mem::size_of;

use crate::proto::{
    attribute, data_type, dimension, entry, function, graph, model, node, operator_set, sequence, shape,
    tensor, tensor_type, value_info, value_type,
};
use crate::wire::{Content, Fields, Varints};
use crate::{Attribute, Dimension, Node, Tensor, ValueInfo};

use super::function::Function;

/// Bytes that any file may take in memory, beside four times its own size: what a network of some two hundred
/// nodes takes in names, attributes and shapes. (Files of constants of one byte may take five times their
/// size: as floats, the constants are four bytes.)
pub const ROOM: u64 = 1 << 16;

/// Bytes that any file may ask for at once; larger files may ask for four times their size.
pub const FLOOR: u64 = 1 << 12;

/// Bytes of a node in the graph that importing makes, which is one list.
const IMPORTED: u64 = 256;

/// Bytes of a name among the values of an import.
const NAMED: u64 = 128;

/// What a file will take, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of the typed graph.
    pub total: u64,
    /// Bytes of the largest single request.
    pub largest: u64,
}

impl Bound {
    /// Whether a file of some length may not take that much. Importing takes some of the total again.
    pub fn exceeds(&self, length: usize) -> bool {
        let length = length as u64;
        self.total > ROOM / 2 + 2 * length || self.largest > FLOOR.max(4 * length)
    }
}

/// What a model will take, or `None` when the bytes are not a protobuf.
pub fn of(bytes: &[u8]) -> Option<Bound> {
    let mut all = Taken::default();
    let (mut nodes, mut infos, mut domains) = (0, 0, 0);
    for field in Fields::of(bytes) {
        match field? {
            (model::GRAPH, Content::Bytes(graph)) => {
                for field in Fields::of(graph) {
                    let (tag, content) = field?;
                    match tag {
                        graph::NODE => nodes += 1,
                        graph::INPUT | graph::OUTPUT | graph::VALUE_INFO => infos += 1,
                        graph::INITIALIZER => all.names += 1,
                        _ => {}
                    }
                    all.add(part(graph_field(tag), content, 0)?);
                }
            }
            (tag, content) => {
                domains += u64::from(tag == model::OPSET_IMPORT);
                all.add(part(model_field(tag), content, 0)?);
            }
        }
    }
    let lists = [
        IMPORTED * nodes,
        NAMED * all.names,
        size_of::<ValueInfo>() as u64 * infos,
        // This one grows by doubling.
        2 * size_of::<(String, i64)>() as u64 * domains,
    ];
    let largest = lists.into_iter().fold(all.largest, u64::max);
    Some(Bound { total: all.typed, largest })
}

/// Deepest nesting: ONNX's schema has 8 levels but for sequences of sequences.
const DEPTH: usize = 24;

/// What a field of a message becomes.
#[derive(Clone, Copy)]
enum Field {
    /// A message of these fields, and the bytes that it takes itself.
    Message(fn(u32) -> Field, usize),
    /// A string or bytes.
    Bytes,
    /// One of a list of strings.
    Listed,
    /// The name of a value that the importer knows; one of a list of strings.
    Named,
    /// Numbers of that many bytes in memory; how many in the file when they are of fixed size, else varints.
    Numbers(usize, Option<usize>),
    /// A tensor, and the bytes that it takes itself.
    Tensor(usize),
    /// Not read.
    Skipped,
}

fn model_field(tag: u32) -> Field {
    let set = |tag| text(tag, &[operator_set::DOMAIN]);
    let pair = |tag| text(tag, &[entry::KEY, entry::VALUE]);
    match tag {
        model::OPSET_IMPORT => Field::Message(set, 2 * size_of::<(String, i64)>()),
        model::METADATA_PROPS => Field::Message(pair, 2 * size_of::<(String, String)>()),
        // They stand in a list that grows by doubling.
        model::FUNCTIONS => Field::Message(function_field, 2 * size_of::<Function>()),
        _ => Field::Skipped,
    }
}

/// Lists are as long as they must be; initializers stand in a tree whose leaves are half full or more.
fn graph_field(tag: u32) -> Field {
    match tag {
        graph::NODE => Field::Message(node_field, size_of::<Node>()),
        graph::NAME => Field::Bytes,
        graph::INITIALIZER => Field::Tensor(2 * size_of::<(String, Tensor)>()),
        graph::INPUT | graph::OUTPUT | graph::VALUE_INFO => {
            Field::Message(value_info_field, size_of::<ValueInfo>())
        }
        _ => Field::Skipped,
    }
}

fn node_field(tag: u32) -> Field {
    match tag {
        node::INPUT => Field::Listed,
        node::OUTPUT => Field::Named,
        node::NAME | node::OP_TYPE | node::DOMAIN => Field::Bytes,
        node::ATTRIBUTE => Field::Message(attribute_field, size_of::<(String, Attribute)>()),
        _ => Field::Skipped,
    }
}

/// A function's nodes stand beside a short list of attributes each.
fn function_field(tag: u32) -> Field {
    match tag {
        function::NAME | function::DOMAIN => Field::Bytes,
        function::INPUT | function::OUTPUT => Field::Listed,
        function::NODE => Field::Message(node_field, size_of::<Node>() + size_of::<Vec<(String, String)>>()),
        function::ATTRIBUTE_PROTO => Field::Message(attribute_field, size_of::<(String, Attribute)>()),
        _ => Field::Skipped,
    }
}

fn attribute_field(tag: u32) -> Field {
    match tag {
        attribute::NAME | attribute::S | attribute::REF_ATTR_NAME => Field::Bytes,
        attribute::T => Field::Tensor(0),
        attribute::FLOATS => Field::Numbers(4, Some(4)),
        attribute::INTS => Field::Numbers(8, None),
        attribute::STRINGS => Field::Listed,
        _ => Field::Skipped,
    }
}

fn value_info_field(tag: u32) -> Field {
    match tag {
        value_info::NAME => Field::Bytes,
        value_info::TYPE => Field::Message(value_type_field, 0),
        _ => Field::Skipped,
    }
}

fn value_type_field(tag: u32) -> Field {
    match tag {
        value_type::TENSOR => Field::Message(tensor_type_field, 0),
        value_type::SEQUENCE => Field::Message(sequence_field, 0),
        _ => Field::Skipped,
    }
}

fn sequence_field(tag: u32) -> Field {
    match tag {
        sequence::ELEM_TYPE => Field::Message(value_type_field, 0),
        _ => Field::Skipped,
    }
}

fn tensor_type_field(tag: u32) -> Field {
    match tag {
        tensor_type::SHAPE => Field::Message(shape_field, 0),
        _ => Field::Skipped,
    }
}

fn shape_field(tag: u32) -> Field {
    match tag {
        shape::DIM => Field::Message(|tag| text(tag, &[dimension::PARAM]), size_of::<Dimension>()),
        _ => Field::Skipped,
    }
}

fn text(tag: u32, texts: &[u32]) -> Field {
    if texts.contains(&tag) { Field::Bytes } else { Field::Skipped }
}

/// Bytes that a part of a file takes.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// As part of the typed graph.
    typed: u64,
    /// At once.
    largest: u64,
    /// Names of values.
    names: u64,
}

impl Taken {
    /// What a block of bytes takes, kept as it is.
    fn block(bytes: u64) -> Self {
        Self { typed: bytes, largest: bytes, names: 0 }
    }

    fn add(&mut self, part: Taken) {
        self.typed += part.typed;
        self.largest = self.largest.max(part.largest);
        self.names += part.names;
    }
}

fn message(bytes: &[u8], fields: fn(u32) -> Field, depth: usize) -> Option<Taken> {
    if depth > DEPTH {
        return None;
    }
    let mut taken = Taken::default();
    let mut lists = [0u64; 15];
    for field in Fields::of(bytes) {
        let (tag, content) = field?;
        let field = fields(tag);
        taken.add(part(field, content, depth)?);
        if let Some(list) = lists.get_mut(tag as usize) {
            *list += listed(field, content);
        }
    }
    taken.largest = lists.into_iter().fold(taken.largest, u64::max);
    Some(taken)
}

/// Bytes of the elements that a field adds to a list of its message.
fn listed(field: Field, content: Content<'_>) -> u64 {
    match field {
        Field::Message(_, size) => size as u64,
        Field::Listed | Field::Named => size_of::<String>() as u64,
        Field::Numbers(size, stored) => size as u64 * numbers(content, stored),
        _ => 0,
    }
}

fn numbers(content: Content<'_>, stored: Option<usize>) -> u64 {
    match (content, stored) {
        (Content::Bytes(packed), Some(size)) => (packed.len() / size) as u64,
        (Content::Bytes(packed), None) => Varints(packed).count() as u64,
        _ => 1,
    }
}

/// What a field takes, but for its place in a list of its message.
fn part(field: Field, content: Content<'_>, depth: usize) -> Option<Taken> {
    let Content::Bytes(bytes) = content else {
        return Some(match field {
            Field::Numbers(size, _) => Taken { typed: size as u64, ..Taken::default() },
            _ => Taken::default(),
        });
    };
    let length = bytes.len() as u64;
    let string = size_of::<String>() as u64;
    let more = |typed: u64, names, taken: Taken| Taken { typed: taken.typed + typed, names, ..taken };
    Some(match field {
        Field::Message(fields, typed) => {
            let taken = message(bytes, fields, depth + 1)?;
            more(typed as u64, taken.names, taken)
        }
        Field::Bytes => Taken::block(length),
        Field::Listed => more(string, 0, Taken::block(length)),
        Field::Named => more(string, 1, Taken::block(length)),
        Field::Numbers(size, stored) => {
            Taken { typed: numbers(content, stored) * size as u64, ..Taken::default() }
        }
        Field::Tensor(size) => {
            let elements = tensor_bytes(bytes)?;
            Taken { typed: size as u64 + elements, largest: elements.max(length), names: 0 }
        }
        Field::Skipped => Taken::default(),
    })
}

/// Bytes of a tensor's name, shape and elements.
fn tensor_bytes(bytes: &[u8]) -> Option<u64> {
    let (mut total, mut raw, mut integers, mut element, mut doubled) = (0, 0, 0, 4, 1);
    for field in Fields::of(bytes) {
        match field? {
            (tensor::DATA_TYPE, Content::Varint(kind)) => {
                let short = [data_type::INT8, data_type::UINT8, data_type::BOOL].contains(&(kind as i32));
                element = if short { 1 } else { 4 };
                // Half a float in the file.
                let halves = [data_type::FLOAT16, data_type::BFLOAT16].contains(&(kind as i32));
                doubled = if halves { 2 } else { 1 };
            }
            (tensor::DIMS | tensor::INT64_DATA, content) => total += 8 * numbers(content, None),
            (tensor::INT32_DATA, content) => integers += numbers(content, None),
            (tensor::RAW_DATA, Content::Bytes(content)) => raw += content.len() as u64,
            (tensor::FLOAT_DATA | tensor::NAME | tensor::DOUBLE_DATA, Content::Bytes(content)) => {
                total += content.len() as u64;
            }
            (tensor::FLOAT_DATA | tensor::DOUBLE_DATA, _) => total += 8,
            _ => {}
        }
    }
    Some(total + raw * doubled + integers * element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::every_operator;
    use crate::{Model, OnnxError};

    #[test]
    fn real_models_are_far_from_the_limit() {
        let bytes = every_operator().encode();
        let bound = of(&bytes).unwrap();
        assert!(bound.total >= bytes.len() as u64 / 2, "{bound:?}: the weights alone take that");
        assert!(!bound.exceeds(bytes.len()) && bound.total < ROOM / 3 + bytes.len() as u64, "{bound:?}");
    }

    #[test]
    fn files_that_would_grow_are_refused() {
        // A graph of empty nodes, 2 bytes each.
        let nodes = [0x0a, 0x00].repeat(100_000);
        let mut file = vec![0x3a];
        let length = nodes.len();
        file.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        file.extend(nodes);
        let bound = of(&file).unwrap();
        assert!(bound.total >= 100_000 * size_of::<Node>() as u64, "{bound:?}");
        let error = Model::decode(&file).unwrap_err();
        assert!(matches!(error, OnnxError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_is_no_protobuf_has_no_bound() {
        assert_eq!(of(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
        assert_eq!(of(&[0x0b]), None, "a group");
        assert_eq!(of(&[0xff; 40]), None);
        assert_eq!(of(&[]), Some(Bound::default()));
    }
}
