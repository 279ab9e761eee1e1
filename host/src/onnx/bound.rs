//! How much memory a file will take when it is decoded, found without decoding it.
//!
//! A protobuf of a few bytes can stand for structures of hundreds: an empty node takes 2 bytes in a file and
//! 144 in memory. So the wire format is walked once, counting what each field will become, and a file that
//! would grow beyond [`ROOM`] and a few times its size is refused before anything is allocated.

use std::mem::size_of;

use super::proto;
use super::{Attribute, Node, Tensor, ValueInfo};

/// Bytes that any file may take in memory, beside four times its own size. Four times alone is too little for honest
/// files: a node of 100 bytes takes 2 to 4 thousand (its strings, attributes and the typed copy), so that exported
/// networks with few weights take up to 82 thousand bytes beyond it, and an int8 weight of one byte becomes a float
/// of four, twice (an int8 LeNet-5 of 67 thousand bytes: 0.7 million beyond).
pub const ROOM: u64 = 1 << 20;

/// Most bytes that decoding may take for a file of some length; the typed graph takes some of this again.
pub fn limit(length: usize) -> u64 {
    ROOM / 2 + 2 * length as u64
}

/// An upper bound of the bytes that a model's structures take once decoded, or `None` when the bytes are no
/// protobuf.
pub fn decoded_bytes(bytes: &[u8]) -> Option<u64> {
    walk(bytes, model, 0)
}

/// Deepest nesting: ONNX's schema has 8 levels but for sequences of sequences.
const DEPTH: usize = 24;

/// What a field of a message becomes.
#[derive(Clone, Copy)]
enum Field {
    /// A message of this form, and the bytes that it takes itself.
    Message(fn(u32) -> Field, usize),
    /// A string or bytes: the bytes themselves and where they are kept.
    Bytes,
    /// Numbers of that many bytes in memory; how many in the file when they are of fixed size, else varints.
    Numbers(usize, Option<usize>),
    /// Not read.
    Skipped,
}

fn model(tag: u32) -> Field {
    match tag {
        2 | 3 => Field::Bytes,
        7 => Field::Message(graph, 0),
        8 => Field::Message(|tag| text(tag, &[1]), listed::<proto::OperatorSetIdProto>()),
        14 => Field::Message(|tag| text(tag, &[1, 2]), 2 * listed::<proto::StringStringEntryProto>()),
        _ => Field::Skipped,
    }
}

fn graph(tag: u32) -> Field {
    match tag {
        1 => Field::Message(node, listed::<proto::NodeProto>() + size_of::<Node>() + ATTRIBUTE_MAP),
        2 => Field::Bytes,
        5 => Field::Message(tensor, listed::<proto::TensorProto>() + listed::<(String, Tensor)>()),
        11..=13 => Field::Message(value_info, listed::<proto::ValueInfoProto>() + size_of::<ValueInfo>()),
        _ => Field::Skipped,
    }
}

fn node(tag: u32) -> Field {
    match tag {
        1..=4 | 7 => Field::Bytes,
        5 => Field::Message(attribute, listed::<proto::AttributeProto>()),
        _ => Field::Skipped,
    }
}

/// A map of few entries: its leaf has room for 11.
const ATTRIBUTE_MAP: usize = 11 * size_of::<(String, Attribute)>();

fn attribute(tag: u32) -> Field {
    match tag {
        1 | 4 | 9 => Field::Bytes,
        5 => Field::Message(tensor, size_of::<proto::TensorProto>()),
        7 => Field::Numbers(4, Some(4)),
        8 => Field::Numbers(8, None),
        _ => Field::Skipped,
    }
}

fn tensor(tag: u32) -> Field {
    match tag {
        1 | 7 => Field::Numbers(8, None),
        4 => Field::Numbers(4, Some(4)),
        5 => Field::Numbers(4, None),
        8 | 9 => Field::Bytes,
        10 => Field::Numbers(8, Some(8)),
        _ => Field::Skipped,
    }
}

fn value_info(tag: u32) -> Field {
    match tag {
        1 => Field::Bytes,
        2 => Field::Message(value_type, 0),
        _ => Field::Skipped,
    }
}

fn value_type(tag: u32) -> Field {
    match tag {
        1 => Field::Message(tensor_type, 0),
        4 => Field::Message(sequence, size_of::<proto::SequenceTypeProto>()),
        _ => Field::Skipped,
    }
}

fn sequence(tag: u32) -> Field {
    match tag {
        1 => Field::Message(value_type, size_of::<proto::TypeProto>()),
        _ => Field::Skipped,
    }
}

fn tensor_type(tag: u32) -> Field {
    match tag {
        2 => Field::Message(shape, 0),
        _ => Field::Skipped,
    }
}

fn shape(tag: u32) -> Field {
    match tag {
        1 => Field::Message(|tag| text(tag, &[2]), 2 * listed::<proto::DimensionProto>()),
        _ => Field::Skipped,
    }
}

/// Bytes of an element of a vector that grows by doubling.
const fn listed<T>() -> usize {
    2 * size_of::<T>()
}

fn text(tag: u32, texts: &[u32]) -> Field {
    if texts.contains(&tag) { Field::Bytes } else { Field::Skipped }
}

fn walk(mut bytes: &[u8], fields: fn(u32) -> Field, depth: usize) -> Option<u64> {
    if depth > DEPTH {
        return None;
    }
    let mut total = 0u64;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = fields(u32::try_from(key >> 3).ok()?);
        let single = match field {
            // One by one instead of packed; the vector grows by doubling.
            Field::Numbers(size, _) => 2 * size as u64,
            _ => 0,
        };
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
                total += single;
            }
            1 => {
                take(&mut bytes, 8)?;
                total += single;
            }
            5 => {
                take(&mut bytes, 4)?;
                total += single;
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let content = take(&mut bytes, length)?;
                total += match field {
                    Field::Message(fields, size) => size as u64 + walk(content, fields, depth + 1)?,
                    Field::Bytes => 2 * size_of::<String>() as u64 + length as u64,
                    Field::Numbers(size, Some(stored)) => (length / stored * size) as u64,
                    Field::Numbers(size, None) => {
                        2 * (content.iter().filter(|&&byte| byte < 0x80).count() * size) as u64
                    }
                    Field::Skipped => 0,
                };
            }
            // ONNX has no groups.
            _ => return None,
        }
    }
    Some(total)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..10 {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::import::samples::every_operator;
    use crate::onnx::{Model, OnnxError};

    #[test]
    fn real_models_are_far_from_the_limit() {
        let bytes = every_operator().encode();
        let bound = decoded_bytes(&bytes).unwrap();
        assert!(bound >= bytes.len() as u64 / 2, "{bound}: the weights alone take that");
        assert!(bound < limit(bytes.len()) / 4, "{bound}");
    }

    #[test]
    fn files_that_would_grow_are_refused() {
        // A graph of empty nodes, 2 bytes each.
        let nodes = [0x0a, 0x00].repeat(100_000);
        let mut file = vec![0x3a];
        let length = nodes.len();
        file.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        file.extend(nodes);
        let bound = decoded_bytes(&file).unwrap();
        assert!(bound > 100_000 * size_of::<proto::NodeProto>() as u64, "{bound}");
        let error = Model::decode(&file).unwrap_err();
        assert!(matches!(error, OnnxError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_is_no_protobuf_has_no_bound() {
        assert_eq!(decoded_bytes(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
        assert_eq!(decoded_bytes(&[0x0b]), None, "a group");
        assert_eq!(decoded_bytes(&[0xff; 40]), None);
        assert_eq!(decoded_bytes(&[]), Some(0));
    }
}
