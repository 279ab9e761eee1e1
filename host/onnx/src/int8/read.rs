//! ONNX to [`QuantizedModel`]: exactly the forms that [`write`](super::write()) makes, everything else is an
//! error. The file is not trusted: every name, shape and number is checked before it is used.

use std::collections::{BTreeMap, HashMap};

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_quantize::QuantizedGraph;
use goldcrest_quantize::check::check;
use goldcrest_quantize::graph::{
    self, Clamp, Quantization, QuantizedConv, QuantizedModel, QuantizedOp, TensorId,
};
use goldcrest_quantize::infer::{Infer, LIMIT};
use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use super::super::proto::data_type::{INT8, INT32};
use super::super::size::{constants, most_at_once};
use super::super::{Data, Dimension, Model, Node, Tensor, ValueInfo, info};
use super::{Int8Error, QUANTIZATION, UNCLAMPED, UNFLATTENED};

type Grids = BTreeMap<String, (f32, i8)>;

/// Most nodes of a model.
const NODES: usize = 1 << 13;

/// Bytes that a node and its tensor take in the graph, beside what they hold.
const NODE: usize = 256;

/// Bytes of weights that any file may become, beside twice its own (nodes may share them): a file must not take many
/// times its own size in memory.
const WEIGHTS: usize = 1 << 12;

/// Reads an int8 model.
///
/// # Errors
/// When the file is no int8 model of Goldcrest, or was changed into something that is not one.
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

struct Problem(String);

impl From<goldcrest_quantize::infer::ShapeError> for Problem {
    fn from(error: goldcrest_quantize::infer::ShapeError) -> Self {
        Self(error.to_string())
    }
}

fn fail<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(problem.into()))
}

/// What a name stands for between the nodes that make up one operator.
enum Value {
    Tensor(TensorId),
    /// A tensor as the index of a table.
    Index(TensorId),
    /// A tensor times a multiplier.
    Operand(TensorId, Multiplier),
    /// A sum (or product) of operands.
    Sum([TensorId; 2], [Multiplier; 2]),
    Product([TensorId; 2], [Multiplier; 2]),
    /// An operator's value before it is clamped.
    Unclamped(usize),
}

struct Reader<'a> {
    model: &'a Model,
    grids: &'a Grids,
    values: HashMap<&'a str, Value>,
    graph: QuantizedGraph,
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
        reader.values.insert(&input.name, Value::Tensor(id));
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
            return fail(format!("{} outputs, expected one", node.outputs.len()));
        };
        if !node.domain.is_empty() {
            return fail(format!("domain `{}`; int8 models have none", node.domain));
        }
        if self.values.contains_key(&**output) || output.is_empty() {
            return fail(format!("writes `{output}`, which has a value already"));
        }
        let value = match &*node.op {
            "QLinearConv" => self.convolution(node, output)?,
            "Clip" => self.clip(node, output)?,
            "DequantizeLinear" => {
                let id = self.input(node, 0)?;
                self.expect_zero_point(node, 2, id)?;
                let &[ratio] = self.floats(node, 1)? else { return fail("more than one scale") };
                Value::Operand(id, multiplier(ratio)?)
            }
            "Add" | "Mul" => match (self.value(node, 0)?, self.value(node, 1)?) {
                (&Value::Operand(a, ka), &Value::Operand(b, kb)) if node.op == "Add" => {
                    Value::Sum([a, b], [ka, kb])
                }
                (&Value::Operand(a, ka), &Value::Operand(b, kb)) => Value::Product([a, b], [ka, kb]),
                _ => return fail("its operands are not dequantized tensors"),
            },
            "QuantizeLinear" => self.quantize(node, output)?,
            "Cast" if node.int("to") == Some(INT32.into()) => Value::Index(self.input(node, 0)?),
            "Gather" => self.gather(node, output)?,
            "MaxPool" => {
                let window = window(node)?;
                self.push(output, QuantizedOp::MaxPool(window), vec![self.input(node, 0)?])?
            }
            "Concat" if node.int("axis") == Some(1) => {
                let inputs =
                    (0..node.inputs.len()).map(|index| self.input(node, index)).collect::<Result<_, _>>()?;
                self.push(output, QuantizedOp::Concat, inputs)?
            }
            "Pad" => self.pad(node, output)?,
            "Resize" => self.resize(node, output)?,
            "Flatten" if node.int("axis") == Some(1) && self.flattened.is_none() => {
                let id = self.input(node, 0)?;
                if self.graph.tensor(id).name != *output {
                    return fail(format!("writes `{output}`, which is not its input's name"));
                }
                self.flattened = Some((output, id));
                return Ok(());
            }
            _ => return fail("int8 models of Goldcrest have no such node"),
        };
        self.values.insert(output, value);
        Ok(())
    }

    fn convolution(&mut self, node: &'a Node, output: &str) -> Result<Value, Problem> {
        let input = self.input(node, 0)?;
        self.expect_zero_point(node, 2, input)?;
        if self.floats(node, 1)? != [1.0] || self.floats(node, 6)? != [1.0] {
            return fail("x_scale and y_scale must be 1: the multipliers are in w_scale");
        }
        let weights = self.constant(node, 3)?;
        let (&[outputs, depth, rows, columns], Data::I8(values)) = (&*weights.shape, &weights.data) else {
            return fail("weights must be int8 in four dimensions");
        };
        let window = window(node)?;
        if window.kernel != [rows, columns] {
            return fail(format!("kernel_shape {:?} differs from its weights'", window.kernel));
        }
        self.spend(values.len() + 8 * outputs)?;
        let scales = self.floats(node, 4)?;
        let zeros = self.constant(node, 5)?;
        if scales.len() != outputs || !matches!(&zeros.data, Data::I8(zeros) if zeros.iter().all(|&z| z == 0))
        {
            return fail("weights need one scale per output channel and zero points of 0");
        }
        let multipliers: Vec<Multiplier> =
            scales.iter().map(|&scale| multiplier(scale)).collect::<Result<_, _>>()?;
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        let op = match node.inputs.len() {
            8 => {
                let alike = multipliers.iter().all(|multiplier| Some(multiplier) == multipliers.first());
                let channels = self.graph.tensor(input).shape.channels;
                let ones = values.iter().all(|&value| value == 1);
                if !alike || !ones || depth != 1 || groups != channels || outputs != channels {
                    return fail(
                        "without a bias it must be an average pool: depthwise, of ones, on one scale",
                    );
                }
                let Some(&multiplier) = multipliers.first() else { return fail("no channels") };
                QuantizedOp::AveragePool { window, multiplier }
            }
            _ => {
                let bias = self.constant(node, 8)?;
                let Data::I32(bias) = &bias.data else { return fail("its bias must be int32") };
                if bias.len() != outputs {
                    return fail(format!("{} biases for {outputs} output channels", bias.len()));
                }
                QuantizedOp::Conv(QuantizedConv {
                    window,
                    groups,
                    weights: ohwi(values, outputs, depth, rows * columns),
                    bias: bias.clone(),
                    multipliers,
                    clamp: Clamp::NONE,
                })
            }
        };
        let value = self.push(output, op, vec![input])?;
        let written = TensorId(self.graph.tensors.len() - 1);
        self.expect_zero_point(node, 7, written)?;
        Ok(value)
    }

    /// To be asked before bytes of weights are copied.
    fn spend(&mut self, bytes: usize) -> Result<(), Problem> {
        match self.budget.checked_sub(bytes) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => fail("shares its weights with too many others"),
        }
    }

    fn quantize(&mut self, node: &'a Node, output: &str) -> Result<Value, Problem> {
        let (op, inputs) = match *self.value(node, 0)? {
            Value::Sum(inputs, multipliers) => (QuantizedOp::Add { multipliers, clamp: Clamp::NONE }, inputs),
            Value::Product(inputs, [multiplier, one]) if one.k() == 1 << 16 => {
                (QuantizedOp::Mul { multiplier }, inputs)
            }
            _ => return fail("quantizes something else than a sum or a product of two tensors"),
        };
        if self.floats(node, 1)? != [1.0] {
            return fail("its scale must be 1: the multipliers are at the operands");
        }
        let value = self.push(output, op, inputs.to_vec())?;
        let written = TensorId(self.graph.tensors.len() - 1);
        self.expect_zero_point(node, 2, written)?;
        Ok(value)
    }

    fn clip(&mut self, node: &'a Node, output: &str) -> Result<Value, Problem> {
        let &Value::Unclamped(index) = self.value(node, 0)? else {
            return fail("clips something else than a convolution or an addition before it");
        };
        let bound = |index: usize| match self.constant(node, index)?.data {
            Data::I8(ref values) if values.len() == 1 => Ok(values[0]),
            _ => fail("its bounds must be int8"),
        };
        let bounds = Clamp { low: bound(1)?, high: bound(2)? };
        if bounds.low > bounds.high {
            return fail(format!("bounds {} and {} are in no order", bounds.low, bounds.high));
        }
        let target = &mut self.graph.nodes[index];
        let name = output.strip_suffix(UNFLATTENED).unwrap_or(output);
        match &mut target.op {
            QuantizedOp::Conv(QuantizedConv { clamp, .. }) | QuantizedOp::Add { clamp, .. }
                if target.name == name && *clamp == Clamp::NONE =>
            {
                *clamp = bounds;
                Ok(Value::Tensor(target.output))
            }
            _ => fail(format!("writes `{output}`, but clips `{}`", target.name)),
        }
    }

    fn gather(&mut self, node: &'a Node, output: &str) -> Result<Value, Problem> {
        let table = self.constant(node, 0)?;
        let Data::I8(values) = &table.data else { return fail("its table must be int8") };
        let Ok(values) = <&[i8; 256]>::try_from(&**values) else {
            return fail(format!("its table has {} entries, not 256", values.len()));
        };
        if table.shape != [256] || node.int("axis").unwrap_or(0) != 0 {
            return fail("its table must have one dimension");
        }
        let &Value::Index(input) = self.value(node, 1)? else { return fail("its index is not a tensor") };
        self.spend(values.len())?;
        let turned = std::array::from_fn(|index| values[(index + 128) % 256]);
        self.push(output, QuantizedOp::Lookup(Box::new(turned)), vec![input])
    }

    fn pad(&mut self, node: &'a Node, output: &str) -> Result<Value, Problem> {
        let input = self.input(node, 0)?;
        self.expect_zero_point(node, 2, input)?;
        let pads = self.constant(node, 1)?;
        let pads: Option<Vec<usize>> =
            pads.as_i64().and_then(|pads| pads.iter().map(|&pad| extent(pad)).collect());
        match pads.as_deref() {
            Some(&[0, 0, top, left, 0, 0, bottom, right]) => {
                let padding = Padding { top, left, bottom, right };
                self.push(output, QuantizedOp::Pad(padding), vec![input])
            }
            _ => fail("it must pad rows and columns"),
        }
    }

    fn resize(&mut self, node: &'a Node, output: &str) -> Result<Value, Problem> {
        let attributes = [
            ("mode", "nearest"),
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", "floor"),
        ];
        let plain = attributes.iter().all(|(name, value)| node.string(name) == Some(*value));
        if !plain || self.floats(node, 2)? != [1.0, 1.0, 2.0, 2.0] || node.inputs.len() != 3 {
            return fail("it must repeat rows and columns twice");
        }
        let input = self.input(node, 0)?;
        self.push(output, QuantizedOp::UpsampleNearest2, vec![input])
    }

    /// Adds an operator whose ONNX value is `output`.
    fn push(&mut self, output: &str, op: QuantizedOp, inputs: Vec<TensorId>) -> Result<Value, Problem> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.graph.tensor(id).shape).collect();
        let shape = op.output_shape(&shapes)?;
        let unclamped = output.strip_suffix(UNCLAMPED);
        let name = unclamped.unwrap_or(output);
        let name = name.strip_suffix(UNFLATTENED).unwrap_or(name);
        let id = self.tensor(name, shape)?;
        self.graph.nodes.push(graph::Node { name: name.into(), op, inputs, output: id });
        Ok(match unclamped {
            Some(_) => Value::Unclamped(self.graph.nodes.len() - 1),
            None => Value::Tensor(id),
        })
    }

    fn tensor(&mut self, name: &str, shape: Shape) -> Result<TensorId, Problem> {
        let Some(&(scale, zero_point)) = self.grids.get(name) else {
            return fail(format!("tensor `{name}` has no entry in the metadata `{QUANTIZATION}`"));
        };
        let info = Quantization { scale, zero_point };
        self.graph.tensors.push(graph::Tensor { name: name.into(), shape, info });
        Ok(TensorId(self.graph.tensors.len() - 1))
    }

    fn value(&self, node: &Node, index: usize) -> Result<&Value, Problem> {
        let name = node.inputs.get(index).map_or("", String::as_str);
        match self.values.get(name) {
            Some(value) if !name.is_empty() => Ok(value),
            _ => fail(format!("input {index} (`{name}`) is written by nothing before it")),
        }
    }

    fn input(&self, node: &Node, index: usize) -> Result<TensorId, Problem> {
        match self.value(node, index)? {
            Value::Tensor(id) => Ok(*id),
            _ => fail(format!("input {index} (`{}`) is not an int8 tensor", node.inputs[index])),
        }
    }

    fn constant(&self, node: &Node, index: usize) -> Result<&'a Tensor, Problem> {
        let name = node.inputs.get(index).map_or("", String::as_str);
        match self.model.graph.initializers.get(name) {
            Some(tensor) if !name.is_empty() => Ok(tensor),
            _ => fail(format!("input {index} (`{name}`) is no initializer")),
        }
    }

    fn floats(&self, node: &Node, index: usize) -> Result<&'a [f32], Problem> {
        match self.constant(node, index)?.as_f32() {
            Some(values) => Ok(values),
            None => fail(format!("input {index} (`{}`) must be float", node.inputs[index])),
        }
    }

    /// The zero point in the graph must be the one in the metadata.
    fn expect_zero_point(&self, node: &Node, index: usize, id: TensorId) -> Result<(), Problem> {
        let tensor = self.graph.tensor(id);
        match &self.constant(node, index)?.data {
            Data::I8(values) if **values == [tensor.info.zero_point] => Ok(()),
            found => fail(format!(
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

/// A scale that must be on the grid.
fn multiplier(scale: f32) -> Result<Multiplier, Problem> {
    let k = f64::from(scale) * 65536.0;
    let found =
        if k >= 1.0 && k <= f64::from(i32::MAX) && k == k.trunc() { Multiplier::new(k as u32) } else { None };
    found.ok_or_else(|| Problem(format!("scale {scale} is not a multiple of 2^-16")))
}

fn extent(value: i64) -> Option<usize> {
    usize::try_from(value).ok().filter(|&value| value < 1 << 15)
}

fn window(node: &Node) -> Result<Window, Problem> {
    let read = |name: &str| -> Option<Vec<usize>> { node.ints(name)?.iter().map(|&v| extent(v)).collect() };
    let pair = |name: &str| match read(name).as_deref() {
        Some(&[rows, columns]) => Ok([rows, columns]),
        _ => fail(format!("{name} must hold rows and columns")),
    };
    let Some(&[top, left, bottom, right]) = read("pads").as_deref() else {
        return fail("pads must be [top, left, bottom, right]");
    };
    if node.attributes.contains_key("auto_pad") || node.int("ceil_mode").unwrap_or(0) != 0 {
        return fail("auto_pad and ceil_mode have no place in an int8 model");
    }
    Ok(Window {
        kernel: pair("kernel_shape")?,
        stride: pair("strides")?,
        dilation: pair("dilations")?,
        padding: Padding { top, left, bottom, right },
    })
}

/// OIHW to OHWI.
fn ohwi(weights: &[i8], outputs: usize, depth: usize, area: usize) -> Vec<i8> {
    let at = |output: usize, tap: usize, input: usize| weights[(output * depth + input) * area + tap];
    let mut turned = Vec::with_capacity(weights.len());
    for output in 0..outputs {
        for tap in 0..area {
            turned.extend((0..depth).map(|input| at(output, tap, input)));
        }
    }
    turned
}
