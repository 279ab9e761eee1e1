//! How much memory a file will take, found without decoding it.
//!
//! A protobuf of a few bytes can stand for structures of hundreds: an empty node takes 2 bytes in a file and
//! 144 in memory. So the wire format is walked once, counting what each field will become, and a file that
//! would grow beyond [`ROOM`] and a few times its size is refused before anything is allocated.

use std::mem::size_of;

use super::wire::{Content, Fields, Varints};
use crate::proto::{self, data_type};
use crate::{Attribute, Dimension, Node, Tensor, ValueInfo};

/// Bytes that any file may take in memory, beside four times its own size: what a network of some two hundred nodes
/// takes in names, attributes and shapes. (Files of constants of one byte may take five times their size: as floats,
/// the constants are four bytes.)
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
    /// Bytes of the typed graph, and of the largest node while it is decoded.
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

/// What a model will take, or `None` when the bytes are no protobuf.
pub fn of(bytes: &[u8]) -> Option<Bound> {
    let (mut all, mut wire) = (Taken::default(), 0);
    let (mut nodes, mut infos, mut domains) = (0, 0, 0);
    // Messages of the outer levels are decoded one at a time.
    let mut add = |taken: Taken| {
        all.add(taken);
        wire = taken.wire.max(wire);
    };
    for field in Fields::of(bytes) {
        match field? {
            (7, Content::Bytes(graph)) => {
                for field in Fields::of(graph) {
                    let (tag, content) = field?;
                    let taken = part(graph_field(tag), content, 0)?;
                    match tag {
                        1 => nodes += 1,
                        11..=13 => infos += 1,
                        5 => add(Taken { names: 1, ..Taken::default() }),
                        _ => {}
                    }
                    // A tensor is decoded without a copy.
                    add(Taken { wire: if tag == 5 { 0 } else { taken.wire }, ..taken });
                }
            }
            (tag, content) => {
                domains += u64::from(tag == 8);
                add(part(model_field(tag), content, 0)?);
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
    Some(Bound { total: all.typed + wire, largest })
}

/// Deepest nesting: ONNX's schema has 8 levels but for sequences of sequences.
const DEPTH: usize = 24;

/// What a field of a message becomes.
#[derive(Clone, Copy)]
enum Field {
    /// A message of these fields; the bytes that it takes itself, while decoded and then.
    Message(fn(u32) -> Field, usize, usize),
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
    match tag {
        8 => Field::Message(|tag| text(tag, &[1]), 0, 2 * size_of::<(String, i64)>()),
        14 => Field::Message(|tag| text(tag, &[1, 2]), 0, 2 * size_of::<(String, String)>()),
        _ => Field::Skipped,
    }
}

/// Lists of the typed graph are as long as they must be; initializers stand in a tree whose leaves are half full or more.
fn graph_field(tag: u32) -> Field {
    match tag {
        1 => Field::Message(node, 0, size_of::<Node>()),
        2 => Field::Bytes,
        5 => Field::Tensor(2 * size_of::<(String, Tensor)>()),
        11..=13 => Field::Message(value_info, 0, size_of::<ValueInfo>()),
        _ => Field::Skipped,
    }
}

fn node(tag: u32) -> Field {
    match tag {
        1 => Field::Listed,
        2 => Field::Named,
        3 | 4 | 7 => Field::Bytes,
        5 => Field::Message(attribute, size_of::<proto::AttributeProto>(), size_of::<(String, Attribute)>()),
        _ => Field::Skipped,
    }
}

fn attribute(tag: u32) -> Field {
    match tag {
        1 | 4 => Field::Bytes,
        5 => Field::Tensor(0),
        7 => Field::Numbers(4, Some(4)),
        8 => Field::Numbers(8, None),
        9 => Field::Listed,
        _ => Field::Skipped,
    }
}

fn value_info(tag: u32) -> Field {
    match tag {
        1 => Field::Bytes,
        2 => Field::Message(value_type, 0, 0),
        _ => Field::Skipped,
    }
}

fn value_type(tag: u32) -> Field {
    match tag {
        1 => Field::Message(tensor_type, 0, 0),
        4 => Field::Message(sequence, size_of::<proto::SequenceTypeProto>(), 0),
        _ => Field::Skipped,
    }
}

fn sequence(tag: u32) -> Field {
    match tag {
        1 => Field::Message(value_type, size_of::<proto::TypeProto>(), 0),
        _ => Field::Skipped,
    }
}

fn tensor_type(tag: u32) -> Field {
    match tag {
        2 => Field::Message(shape, 0, 0),
        _ => Field::Skipped,
    }
}

fn shape(tag: u32) -> Field {
    match tag {
        1 => {
            Field::Message(|tag| text(tag, &[2]), size_of::<proto::DimensionProto>(), size_of::<Dimension>())
        }
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
    /// While its message is decoded.
    wire: u64,
    /// At once.
    largest: u64,
    /// Names of values.
    names: u64,
}

impl Taken {
    /// What a block of bytes takes, kept as it is.
    fn block(bytes: u64) -> Self {
        Self { typed: bytes, wire: bytes, largest: bytes, names: 0 }
    }

    fn add(&mut self, part: Taken) {
        self.typed += part.typed;
        self.wire += part.wire;
        self.largest = self.largest.max(part.largest);
        self.names += part.names;
    }
}

fn message(bytes: &[u8], fields: fn(u32) -> Field, depth: usize) -> Option<Taken> {
    if depth > DEPTH {
        return None;
    }
    let mut taken = Taken::default();
    let mut lists = [(0u64, 0u64); 15];
    for field in Fields::of(bytes) {
        let (tag, content) = field?;
        let field = fields(tag);
        taken.add(part(field, content, depth)?);
        if let (Some((size, count)), Some(list)) = (listed(field, content), lists.get_mut(tag as usize)) {
            *list = (size, list.1 + count);
        }
    }
    for (size, count) in lists.into_iter().filter(|&(_, count)| count > 0) {
        // A list grows by doubling, from four, and is copied while it does.
        let bytes = size * count.next_power_of_two().max(4);
        taken.wire += bytes + bytes / 2;
        taken.largest = taken.largest.max(bytes);
    }
    Some(taken)
}

/// Size and number of the elements that a field adds to a list.
fn listed(field: Field, content: Content<'_>) -> Option<(u64, u64)> {
    match field {
        Field::Message(_, size, _) if size > 0 => Some((size as u64, 1)),
        Field::Listed | Field::Named => Some((size_of::<String>() as u64, 1)),
        Field::Numbers(size, stored) => Some((size as u64, numbers(content, stored))),
        _ => None,
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
        Field::Message(fields, _, typed) => {
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
            let elements = tensor(bytes)?;
            let typed = size as u64 + elements;
            Taken { typed, wire: length, largest: elements.max(length), names: 0 }
        }
        Field::Skipped => Taken::default(),
    })
}

/// Bytes of a tensor's name, shape and elements.
fn tensor(bytes: &[u8]) -> Option<u64> {
    let (mut total, mut integers, mut element) = (0, 0, 4);
    for field in Fields::of(bytes) {
        match field? {
            (2, Content::Varint(kind)) => {
                let short = [data_type::INT8, data_type::UINT8, data_type::BOOL].contains(&(kind as i32));
                element = if short { 1 } else { 4 };
            }
            (1 | 7, content) => total += 8 * numbers(content, None),
            (5, content) => integers += numbers(content, None),
            (4 | 8..=10, Content::Bytes(content)) => total += content.len() as u64,
            (4 | 10, _) => total += 8,
            _ => {}
        }
    }
    Some(total + integers * element)
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
