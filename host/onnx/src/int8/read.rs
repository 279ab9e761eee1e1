//! ONNX to [`QuantizedModel`]: exactly the forms that [`write`](super::write()) makes, everything else is an
//! error. The file is not trusted: every name, shape and number is checked before it is used.

use std::collections::{BTreeMap, HashMap};

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Shape;
use goldcrest_quantize::QuantizedGraph;
use goldcrest_quantize::check::check;
use goldcrest_quantize::graph::{self, Clamp, Quantization, QuantizedModel, QuantizedOp, TensorId};
use goldcrest_quantize::infer::{Infer, LIMIT};
use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use super::super::operators::{self, Problem, unsupported};
use super::super::proto::data_type::INT8;
use super::super::size::{constants, most_at_once};
use super::super::{Data, Dimension, Model, Node, Tensor, ValueInfo, info};
use super::{Int8Error, QUANTIZATION, UNCLAMPED, UNFLATTENED};

type Grids = BTreeMap<String, (f32, i8)>;

/// Maximum number of nodes of a model.
const NODES: usize = 1 << 13;

/// Bytes that a node and its tensor take in the graph, beside what they hold.
const NODE: usize = 256;

/// Bytes of weights that any file may become, beside twice its own (nodes may share them): a file must not
/// take many times its own size in memory.
const WEIGHTS: usize = 1 << 12;

/// Reads an int8 model.
///
/// # Errors
/// When the file is not an int8 model of Goldcrest, or was changed into something that is not one.
pub fn read(model: &Model) -> Result<QuantizedModel, Int8Error> {
    let grids = info::entry(&model.metadata, QUANTIZATION)?.ok_or(Int8Error::NotInt8)?;
    if model.graph.nodes.len() > NODES {
        let problem = format!("{} nodes; an int8 model has at most {NODES}", model.graph.nodes.len());
        return Err(Int8Error::Interface(problem));
    }
    if model.graph.nodes.len() * NODE > most_at_once(model) {
        return Err(Int8Error::Interface("the nodes would take many times the memory of the file".into()));
    }
    let grids = grids_in(grids, 1 + model.graph.nodes.len()).map_err(Int8Error::Json)?;
    let mut reader = Reader::new(model, &grids)?;
    for node in &model.graph.nodes {
        reader.node(node).map_err(|Problem(problem)| Int8Error::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            problem,
        })?;
    }
    let graph = reader.finish()?;
    let (input, output) = (graph.tensor(graph.input).shape, graph.tensor(graph.output).shape);
    if output.channels * size_of::<String>() > most_at_once(model) {
        return Err(Int8Error::Interface(format!("{} classes for so small a file", output.channels)));
    }
    let info = info::read(&model.metadata, input.channels, output.channels)?;
    let model = QuantizedModel { graph, info };
    check(&model)?;
    Ok(model)
}

/// The grids in a text: at most as many as a network can have tensors.
fn grids_in(text: &str, most: usize) -> Result<Grids, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let grids = json.deserialize_map(AtMost(most))?;
    json.end()?;
    Ok(grids)
}

struct AtMost(usize);

impl<'de> Visitor<'de> for AtMost {
    type Value = Grids;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "scale and zero point of at most {} tensors", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Grids, A::Error> {
        let mut grids = Grids::new();
        while let Some((name, grid)) = map.next_entry()? {
            grids.insert(name, grid);
            if grids.len() > self.0 {
                return Err(A::Error::invalid_length(grids.len(), &self));
            }
        }
        Ok(grids)
    }
}

/// What a name stands for between the nodes that make up one operator.
pub enum Held {
    /// A tensor.
    Tensor(TensorId),
    /// A tensor as the index of a table.
    Index(TensorId),
    /// A tensor times a multiplier.
    Operand(TensorId, Multiplier),
    /// A real number from two operands.
    Real(RealOp, [TensorId; 2], [Multiplier; 2]),
    /// An operator's value before it is clamped.
    Unclamped(usize),
}

/// The operator that has these multipliers, where there is one.
pub type RealOp = fn([Multiplier; 2]) -> Option<QuantizedOp>;

/// The graph as it grows, and what the file may still ask for.
pub struct Reader<'a> {
    model: &'a Model,
    grids: &'a Grids,
    values: HashMap<&'a str, Held>,
    /// The graph.
    pub graph: QuantizedGraph,
    /// Name of the flattened output, once a node made it.
    flattened: Option<(&'a str, TensorId)>,
    /// Bytes of weights, biases, multipliers and tables that may still be read.
    budget: usize,
}

impl<'a> Reader<'a> {
    fn new(model: &'a Model, grids: &'a Grids) -> Result<Self, Int8Error> {
        let [input] = &*model.graph.inputs else {
            let problem = format!("the model has {} inputs, an int8 model has one", model.graph.inputs.len());
            return Err(Int8Error::Interface(problem));
        };
        let shape = image(input).ok_or_else(|| {
            let name = &input.name;
            Int8Error::Interface(format!("the input `{name}` is not int8 [batch, channels, rows, columns]"))
        })?;
        let graph = QuantizedGraph {
            name: model.graph.name.clone(),
            tensors: Vec::with_capacity(1 + model.graph.nodes.len()),
            nodes: Vec::with_capacity(model.graph.nodes.len()),
            input: TensorId(0),
            output: TensorId(0),
        };
        let values = HashMap::with_capacity(1 + model.graph.nodes.len());
        let budget = 2 * constants(model) + WEIGHTS;
        let mut reader = Self { model, grids, values, graph, flattened: None, budget };
        let id = reader.tensor(&input.name, shape).map_err(|Problem(text)| Int8Error::Interface(text))?;
        reader.values.insert(&input.name, Held::Tensor(id));
        Ok(reader)
    }

    fn finish(mut self) -> Result<QuantizedGraph, Int8Error> {
        match (&*self.model.graph.outputs, self.flattened) {
            ([output], Some((name, id))) if output.name == name => {
                self.graph.output = id;
                Ok(self.graph)
            }
            (outputs, _) => {
                let names: Vec<&str> = outputs.iter().map(|output| &*output.name).collect();
                let names = names.join(", ");
                Err(Int8Error::Interface(format!("the outputs [{names}] are not one flattened tensor")))
            }
        }
    }

    fn node(&mut self, node: &'a Node) -> Result<(), Problem> {
        let [output] = &*node.outputs else {
            return unsupported(format!("{} outputs, expected one", node.outputs.len()));
        };
        if !node.domain.is_empty() {
            return unsupported(format!("domain `{}`; int8 models have none", node.domain));
        }
        if self.values.contains_key(&**output) || output.is_empty() {
            return unsupported(format!("writes `{output}`, which has a value already"));
        }
        if node.op == "Flatten" && node.int("axis") == Some(1) && self.flattened.is_none() {
            let id = self.input(node, 0)?;
            if self.graph.tensor(id).name != *output {
                return unsupported(format!("writes `{output}`, which is not its input's name"));
            }
            self.flattened = Some((output, id));
            return Ok(());
        }
        let Some((_, read)) = operators::INT8.iter().find(|(op, _)| *op == node.op) else {
            return unsupported("int8 models of Goldcrest have no such node");
        };
        let value = read(self, node, output)?;
        self.values.insert(output, value);
        Ok(())
    }

    /// Takes `bytes` from the budget; to be called before weights of that size are copied.
    pub fn spend(&mut self, bytes: usize) -> Result<(), Problem> {
        match self.budget.checked_sub(bytes) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => unsupported("shares its weights with too many others"),
        }
    }

    /// Adds an operator whose ONNX value is `output`.
    pub fn push(&mut self, output: &str, op: QuantizedOp, inputs: Vec<TensorId>) -> Result<Held, Problem> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.graph.tensor(id).shape).collect();
        let shape = op.output_shape(&shapes)?;
        let unclamped = output.strip_suffix(UNCLAMPED);
        let name = unclamped.unwrap_or(output);
        let name = name.strip_suffix(UNFLATTENED).unwrap_or(name);
        let id = self.tensor(name, shape)?;
        self.graph.nodes.push(graph::Node { name: name.into(), op, inputs, output: id });
        Ok(match unclamped {
            Some(_) => Held::Unclamped(self.graph.nodes.len() - 1),
            None => Held::Tensor(id),
        })
    }

    /// The tensor of the operator added last.
    pub fn last(&self) -> TensorId {
        TensorId(self.graph.tensors.len() - 1)
    }

    /// Bounds the output of a node of the graph.
    pub fn clamp(&mut self, node: usize, output: &str, bounds: Clamp) -> Result<Held, Problem> {
        let target = &mut self.graph.nodes[node];
        let name = output.strip_suffix(UNFLATTENED).unwrap_or(output);
        match target.op.clamp_mut() {
            Some(clamp) if target.name == name && *clamp == Clamp::NONE => {
                *clamp = bounds;
                Ok(Held::Tensor(target.output))
            }
            _ => unsupported(format!("writes `{output}`, but clips `{}`", target.name)),
        }
    }

    fn tensor(&mut self, name: &str, shape: Shape) -> Result<TensorId, Problem> {
        let Some(&(scale, zero_point)) = self.grids.get(name) else {
            return unsupported(format!("tensor `{name}` has no entry in the metadata `{QUANTIZATION}`"));
        };
        let info = Quantization { scale, zero_point };
        self.graph.tensors.push(graph::Tensor { name: name.into(), shape, info });
        Ok(TensorId(self.graph.tensors.len() - 1))
    }

    /// What an input of a node stands for.
    pub fn value(&self, node: &Node, index: usize) -> Result<&Held, Problem> {
        let name = node.inputs.get(index).map_or("", String::as_str);
        match self.values.get(name) {
            Some(value) if !name.is_empty() => Ok(value),
            _ => unsupported(format!("input {index} (`{name}`) is written by nothing before it")),
        }
    }

    /// The int8 tensor at an input of a node.
    pub fn input(&self, node: &Node, index: usize) -> Result<TensorId, Problem> {
        match self.value(node, index)? {
            Held::Tensor(id) => Ok(*id),
            _ => unsupported(format!("input {index} (`{}`) is not an int8 tensor", node.inputs[index])),
        }
    }

    /// The constant at an input of a node.
    pub fn constant(&self, node: &Node, index: usize) -> Result<&'a Tensor, Problem> {
        let name = node.inputs.get(index).map_or("", String::as_str);
        match self.model.graph.initializers.get(name) {
            Some(tensor) if !name.is_empty() => Ok(tensor),
            _ => unsupported(format!("input {index} (`{name}`) is not an initializer")),
        }
    }

    /// The floats at an input of a node.
    pub fn floats(&self, node: &Node, index: usize) -> Result<&'a [f32], Problem> {
        match self.constant(node, index)?.as_f32() {
            Some(values) => Ok(values),
            None => unsupported(format!("input {index} (`{}`) must be float", node.inputs[index])),
        }
    }

    /// The zero point in the graph must be the one in the metadata.
    pub fn expect_zero_point(&self, node: &Node, index: usize, id: TensorId) -> Result<(), Problem> {
        let tensor = self.graph.tensor(id);
        match &self.constant(node, index)?.data {
            Data::I8(values) if **values == [tensor.info.zero_point] => Ok(()),
            found => unsupported(format!(
                "zero point {found:?} at input {index}; `{}` has {}",
                tensor.name, tensor.info.zero_point
            )),
        }
    }
}

/// The shape of an int8 image input.
fn image(input: &ValueInfo) -> Option<Shape> {
    let [_, rest @ ..] = input.shape.as_deref()? else { return None };
    let fixed = |dimension: &Dimension| match *dimension {
        Dimension::Fixed(size) => usize::try_from(size).ok().filter(|size| (1..=LIMIT).contains(size)),
        Dimension::Named(_) => None,
    };
    let sizes: Vec<usize> = rest.iter().map(fixed).collect::<Option<_>>()?;
    match *sizes {
        [channels, height, width] if input.element == INT8 => Some(Shape::new(height, width, channels)),
        _ => None,
    }
}
