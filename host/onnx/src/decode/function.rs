//! Functions that a model brings with it: operators made of others, as exporters write what ONNX has no
//! operator for. Each node that calls one is replaced by the function's nodes, so that nothing behind the
//! reader knows of them.

use std::collections::HashMap;
use std::mem::size_of;

use super::{Node, OnnxError, ROOM, decode_attributes, message, names, text};
use crate::decode::external::External;
use crate::proto::{attribute, function, node};
use crate::wire::Fields;
use crate::{Attribute, Attributes, Graph, Tensor};

/// Maximum number of functions that call each other.
const DEPTH: usize = 16;

/// An operator made of others.
#[derive(Debug)]
pub struct Function {
    domain: String,
    name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: Vec<Inner>,
    /// Values of attributes that a call leaves out.
    defaults: Attributes,
}

/// A node of a function.
#[derive(Debug)]
struct Inner {
    node: Node,
    /// Attributes that are the call's: their names in the node and in the call.
    passed: Vec<(String, String)>,
}

impl Function {
    /// Reads a `FunctionProto`.
    pub fn decode(bytes: &[u8], external: &mut External<'_>) -> Result<Self, OnnxError> {
        let mut nodes = Vec::with_capacity(Fields::with(bytes, function::NODE).count());
        for content in Fields::with(bytes, function::NODE) {
            let bytes = message(content)?;
            let mut passed = Vec::new();
            for content in Fields::with(bytes, node::ATTRIBUTE) {
                let bytes = message(content)?;
                let reference = text(bytes, attribute::REF_ATTR_NAME)?;
                if !reference.is_empty() {
                    passed.push((text(bytes, attribute::NAME)?, reference));
                }
            }
            nodes.push(Inner { node: Node::decode(bytes, external)?, passed });
        }
        let domain = text(bytes, function::DOMAIN)?;
        let name = text(bytes, function::NAME)?;
        let defaults = decode_attributes(bytes, function::ATTRIBUTE_PROTO, [&name, &name], external)?;
        let (inputs, outputs) = (names(bytes, function::INPUT)?, names(bytes, function::OUTPUT)?);
        Ok(Self { domain, name, inputs, outputs, nodes, defaults })
    }
}

/// Replaces the calls of functions in a graph by what they stand for. `length` is that of the file: what
/// would become many times as large is refused.
pub fn inline(graph: &mut Graph, functions: &[Function], length: usize) -> Result<(), OnnxError> {
    if functions.is_empty() {
        return Ok(());
    }
    let room = ROOM + 4 * length as u64;
    let mut inliner = Inliner { functions, nodes: Vec::new(), left: room, room, length };
    for node in std::mem::take(&mut graph.nodes) {
        inliner.add(node, 0)?;
    }
    graph.nodes = inliner.nodes;
    Ok(())
}

struct Inliner<'a> {
    functions: &'a [Function],
    nodes: Vec<Node>,
    /// Bytes that nodes may still take.
    left: u64,
    room: u64,
    length: usize,
}

impl Inliner<'_> {
    /// Adds a node, or the nodes that it stands for.
    fn add(&mut self, call: Node, depth: usize) -> Result<(), OnnxError> {
        let functions = self.functions;
        let called = |function: &&Function| function.name == call.op && function.domain == call.domain;
        let Some(function) = functions.iter().find(called) else {
            self.spend(bytes(&call))?;
            self.nodes.push(call);
            return Ok(());
        };
        if depth == DEPTH {
            return Err(OnnxError::Recursion(function.name.clone()));
        }
        let prefix = call.outputs.iter().find(|name| !name.is_empty()).unwrap_or(&call.name).clone();
        let actual = |names: &[String], index: usize| names.get(index).cloned().unwrap_or_default();
        let mut known = HashMap::new();
        for (index, name) in function.inputs.iter().enumerate() {
            known.insert(name.as_str(), actual(&call.inputs, index));
        }
        for (index, name) in function.outputs.iter().enumerate() {
            let given = actual(&call.outputs, index);
            // An output that the call leaves out is still written.
            let own = if given.is_empty() { format!("{prefix}/{name}") } else { given };
            known.entry(name).or_insert(own);
        }
        for Inner { node, passed } in &function.nodes {
            let named = |name: &String| match known.get(name.as_str()) {
                Some(actual) => actual.clone(),
                None if name.is_empty() => String::new(),
                None => format!("{prefix}/{name}"),
            };
            let mut inner = node.clone();
            inner.inputs.iter_mut().chain(&mut inner.outputs).for_each(|name| *name = named(name));
            // Names of nodes must differ, and those of values do.
            inner.name = inner.outputs.first().cloned().unwrap_or_default();
            for (own, outer) in passed {
                match call.attributes.get(outer).or_else(|| function.defaults.get(outer)) {
                    Some(value) => drop(inner.attributes.insert(own.clone(), value.clone())),
                    // Absent in the call, absent in the node.
                    None => drop(inner.attributes.remove(own)),
                }
            }
            self.add(inner, depth + 1)?;
        }
        Ok(())
    }

    fn spend(&mut self, bytes: u64) -> Result<(), OnnxError> {
        let bound = self.room.saturating_add(bytes);
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(OnnxError::TooLarge { length: self.length, bound })?;
        Ok(())
    }
}

/// Bytes that a node takes.
fn bytes(node: &Node) -> u64 {
    let tensor = |tensor: &Tensor| 8 * tensor.data.len();
    let attribute = |value: &Attribute| match value {
        Attribute::Ints(values) => 8 * values.len(),
        Attribute::Floats(values) => 4 * values.len(),
        Attribute::Tensor(value) => tensor(value),
        Attribute::String(text) => text.len(),
        Attribute::Strings(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
        Attribute::Int(_) | Attribute::Float(_) => 0,
    };
    let texts = node.inputs.iter().chain(&node.outputs).map(|text| size_of::<String>() + text.len());
    let own = size_of::<(String, Attribute)>();
    let attributes = node.attributes.iter().map(|(name, value)| own + name.len() + attribute(value));
    (size_of::<Node>() + node.name.len() + texts.sum::<usize>() + attributes.sum::<usize>()) as u64
}
