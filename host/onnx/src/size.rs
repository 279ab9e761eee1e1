//! How large the file of a model is at least: what reading it may ask of the memory.

use super::decode::{FLOOR, ROOM};
use super::{Attribute, Data, Model, Node, Tensor};

/// The most bytes that reading a file may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Held at one time, beside the file itself.
    pub peak: usize,
    /// Asked for at once.
    pub largest: usize,
}

/// The memory that may be taken by decoding a file of some length and by importing the model in it: four
/// times its length, and a little for the smallest. Constants of one byte count once more: as floats they
/// alone are four times as large, and the model holds them too.
pub fn memory_limit(length: usize, model: Option<&Model>) -> MemoryLimit {
    let bytes = |tensor: &Tensor| match tensor.data {
        Data::I8(_) | Data::U8(_) => tensor.data.len(),
        _ => 0,
    };
    let short = model.map_or(0, |model| model.graph.initializers.values().map(bytes).sum());
    MemoryLimit { peak: 4 * length + short + ROOM as usize, largest: (4 * length).max(FLOOR as usize) }
}

/// The most bytes that may be asked for at once while a model is imported: four times its file, and some for
/// the smallest.
pub fn most_at_once(model: &Model) -> usize {
    (4 * least_bytes(model)).max(FLOOR as usize)
}

/// Bytes that the model's names and constants take in the shortest file that holds them.
fn least_bytes(model: &Model) -> usize {
    let graph = &model.graph;
    let names = graph.initializers.keys().map(|name| 2 + name.len()).sum::<usize>();
    names + constants(model) + graph.nodes.iter().map(node).sum::<usize>()
}

/// Bytes that the elements of the model's initializers take in the shortest file that holds them.
pub fn constants(model: &Model) -> usize {
    model.graph.initializers.values().map(|tensor| elements(&tensor.data)).sum()
}

fn node(node: &Node) -> usize {
    // Before every message and string stand its number and its length.
    let strings = node.inputs.iter().chain(&node.outputs).chain([&node.op]);
    let attributes = node.attributes.iter().map(|(name, value)| 4 + name.len() + attribute(value));
    2 + strings.map(|text| 2 + text.len()).sum::<usize>() + attributes.sum::<usize>()
}

fn attribute(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::Int(_) => 2,
        Attribute::Float(_) => 4,
        Attribute::String(text) => text.len(),
        Attribute::Ints(values) => values.len(),
        Attribute::Floats(values) => 4 * values.len(),
        Attribute::Strings(texts) => texts.iter().map(|text| 2 + text.len()).sum(),
        Attribute::Tensor(tensor) => elements(&tensor.data),
    }
}

/// Floats take four bytes, the shortest integer takes one.
fn elements(data: &Data) -> usize {
    match data {
        Data::F32(values) => 4 * values.len(),
        _ => data.len(),
    }
}

/// Bytes of constants that may be made of a model's: twice its floats, and each integer as a float.
pub fn floats(model: &Model) -> usize {
    let of = |tensor: &Tensor| match tensor.data {
        Data::F32(_) => 8 * tensor.data.len(),
        _ => 4 * tensor.data.len(),
    };
    let tensors =
        model.graph.nodes.iter().flat_map(|node| node.attributes.values()).filter_map(|attribute| {
            match attribute {
                Attribute::Tensor(tensor) => Some(tensor),
                _ => None,
            }
        });
    model.graph.initializers.values().chain(tensors).map(of).sum()
}
