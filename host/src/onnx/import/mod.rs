//! Float ONNX models to [`FloatGraph`]s.
//!
//! One rule per operator, all of one shape, registered in [`RULES`]. Constants are folded on the way
//! ([`constant`]); layouts are followed symbolically ([`layout`]), so transposes, reshapes and
//! flattening leave nothing behind in the graph; [`simplify`](goldcrest_shared::quantize::simplify)
//! merges what exporters spread over several nodes.

mod activation;
mod affine;
mod concat;
mod constant;
mod conv;
mod dense;
mod elementwise;
mod layout;
mod operators;
mod pad;
mod pool;
mod quantized;
mod reshape;
mod resize;
mod softmax;

use std::collections::HashMap;

use goldcrest_shared::quantize::FloatGraph;
use goldcrest_shared::quantize::given::Given;
use goldcrest_shared::quantize::graph::{self, FloatOp, ModelInfo, Quantization, TensorId};
use goldcrest_shared::quantize::infer::{Infer, LIMIT, ShapeError};
use goldcrest_shared::quantize::simplify::simplify;
use goldcrest_shared::shape::Shape;

use self::layout::{Axis, View};
pub use self::operators::is_quantized;
use super::info::{self, InfoError};
use super::{Dimension, Model, Node, Tensor};

/// Most nodes of a model. Networks for microcontrollers have some hundred at most.
const NODES: usize = 4096;

/// Most dimensions of a value.
const RANK: usize = 8;

/// Most characters that say what stands against a node.
const PROBLEM: usize = 300;

/// Most channels of an activation.
const CHANNELS: usize = 1 << 14;

/// Constants that the importer may make, in elements, beside twice those of the file: a file must not make it
/// allocate more than a few times its own size.
const CONSTANTS: usize = 1 << 14;

/// The operator sets that rules are written for.
pub const OPSETS: std::ops::RangeInclusive<i64> = 11..=21;

/// Why a model cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The model's operator set is outside [`OPSETS`].
    #[error("the model uses ONNX opset {0}, supported are 11 to 21; export it again with one of these")]
    Opset(i64),
    /// The inputs are not one image.
    #[error("{0}; Goldcrest takes one image [batch, channels, height, width] of a fixed size")]
    Input(String),
    /// The outputs are not one vector of logits.
    #[error("{0}; Goldcrest takes classifiers with one output [batch, classes]")]
    Output(String),
    /// A node reads a value that nothing before it writes.
    #[error("node `{node}` ({op}) reads `{value}`, which nothing before it writes; the file is damaged")]
    Undefined { node: String, op: String, value: String },
    /// More nodes than any network that fits a microcontroller.
    #[error("the model has {0} nodes, supported are up to {NODES}")]
    Nodes(usize),
    /// Nodes that have no int8 form here. All of them, so that one look is enough.
    #[error("{}", list(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// The metadata of the file is malformed.
    #[error(transparent)]
    Info(#[from] InfoError),
}

/// A node that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Its name in the file, or that of its output.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Shapes of its inputs as in the file, e.g. `1x16x8x8`, separated by commas.
    pub shapes: String,
    /// What about it is not supported.
    pub problem: String,
}

fn list(nodes: &[UnsupportedNode]) -> String {
    let mut text = format!("{} of the model's nodes cannot be imported:", nodes.len());
    for UnsupportedNode { name, op, shapes, problem } in nodes {
        text += &format!("\n  `{name}` ({op}, input {shapes}): {problem}");
    }
    text
}

/// What stands against importing one node.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Problem(String);

impl From<ShapeError> for Problem {
    fn from(error: ShapeError) -> Self {
        Self(error.to_string())
    }
}

fn unsupported<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(problem.into()))
}

/// How one operator is imported: reads its inputs' [`Value`]s, adds nodes to the graph, answers what its
/// first output is.
type Rule = fn(&mut Importer<'_>, &Node) -> Result<Value, Problem>;

/// Every operator that can stand on activations.
const RULES: &[(&str, Rule)] = &[
    ("Add", elementwise::add),
    ("AveragePool", pool::average),
    ("BatchNormalization", affine::batch_normalization),
    ("Cast", reshape::identity),
    ("Clip", activation::clip),
    ("Concat", concat::concat),
    ("Conv", conv::conv),
    ("DequantizeLinear", quantized::dequantize),
    ("Div", elementwise::div),
    ("Dropout", reshape::identity),
    ("Flatten", reshape::flatten),
    ("Gemm", dense::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", reshape::identity),
    ("LeakyRelu", activation::leaky_relu),
    ("LogSoftmax", softmax::softmax),
    ("MatMul", dense::matmul),
    ("Max", activation::max),
    ("MaxPool", pool::max),
    ("Min", activation::min),
    ("Mul", elementwise::mul),
    ("Neg", elementwise::neg),
    ("PRelu", activation::parametric_relu),
    ("Pad", pad::pad),
    ("QuantizeLinear", quantized::quantize),
    ("ReduceMean", pool::reduce_mean),
    ("Relu", activation::relu),
    ("Reshape", reshape::reshape),
    ("Resize", resize::resize),
    ("Shape", reshape::shape),
    ("Sigmoid", activation::sigmoid),
    ("Softmax", softmax::softmax),
    ("Squeeze", reshape::squeeze),
    ("Sub", elementwise::sub),
    ("Tanh", activation::tanh),
    ("Transpose", reshape::transpose),
    ("Unsqueeze", reshape::unsqueeze),
];

/// What a name in the ONNX graph stands for.
#[derive(Clone, Debug)]
enum Value {
    /// Known while importing.
    Constant(std::rc::Rc<Tensor>),
    /// An activation, seen through a layout.
    Activation(View),
    /// The output of a node that could not be imported.
    Unsupported,
}

/// The import in progress.
struct Importer<'a> {
    batch: usize,
    outputs: Vec<&'a str>,
    values: HashMap<&'a str, Value>,
    graph: FloatGraph,
    /// Grids that the file gives to activations.
    grids: HashMap<TensorId, Quantization>,
    /// Scales of constants that were dequantized, by name.
    scales: HashMap<&'a str, Vec<f32>>,
    /// Scales of weights, by the tensor that is computed with them.
    weights: HashMap<TensorId, Vec<f32>>,
    /// Elements of constants that may still be made.
    budget: usize,
}

/// Imports a float model as a simplified graph with the labels and the normalization of the file.
///
/// # Errors
/// When the model is no image classifier, or has nodes without an int8 form: then one error names
/// all of them.
///
/// A model that another tool quantized is read as the float model that its integers stand for.
pub fn float_model(model: &Model) -> Result<(FloatGraph, ModelInfo), ImportError> {
    let (graph, info, _) = given_model(model)?;
    Ok((graph, info))
}

/// Imports a model that another tool quantized (QDQ or QOperator): the float model that its integers stand
/// for, and the grids that it gives.
///
/// # Errors
/// As [`float_model`].
pub fn given_model(model: &Model) -> Result<(FloatGraph, ModelInfo, Given), ImportError> {
    if !OPSETS.contains(&model.opset) {
        return Err(ImportError::Opset(model.opset));
    }
    if model.graph.nodes.len() > NODES {
        return Err(ImportError::Nodes(model.graph.nodes.len()));
    }
    let model = &operators::expand(model);
    let mut importer = Importer::new(model)?;
    let mut failed = Vec::new();
    for node in &model.graph.nodes {
        importer.import(node, &mut failed)?;
    }
    if !failed.is_empty() {
        return Err(ImportError::Unsupported(failed));
    }
    let (grids, weights) = (std::mem::take(&mut importer.grids), std::mem::take(&mut importer.weights));
    let whole = importer.finish()?;
    let graph = simplify(whole.clone());
    // Simplification keeps names, not numbers.
    let place = |id: TensorId| {
        graph.tensors.iter().position(|tensor| tensor.name == whole.tensor(id).name).map(TensorId)
    };
    let given = Given {
        grids: grids.into_iter().filter_map(|(id, grid)| Some((place(id)?, grid))).collect(),
        weights: weights.into_iter().filter_map(|(id, scales)| Some((place(id)?, scales))).collect(),
    };
    let (input, output) = (graph.tensor(graph.input).shape, graph.tensor(graph.output).shape);
    let info = info::read(&model.metadata, input.channels, output.channels)?;
    Ok((graph, info, given))
}

/// The image that a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// Name of the input.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Whether the input is [batch, rows, columns, channels] instead of [batch, channels, rows, columns].
    pub channels_last: bool,
    /// The batch, where the model fixes it.
    pub batch: Option<usize>,
}

impl ImageInput {
    fn axes(&self) -> [Axis; 4] {
        match self.channels_last {
            true => [Axis::Batch, Axis::Row, Axis::Column, Axis::Channel],
            false => Axis::IMAGE,
        }
    }
}

/// The one image input of a model.
///
/// # Errors
/// When the inputs are not one image of a fixed size.
pub fn image_input(model: &Model) -> Result<ImageInput, ImportError> {
    let [input] = &*model.graph.inputs else {
        let names: Vec<_> = model.graph.inputs.iter().map(|input| &*input.name).collect();
        let problem = format!("the model has {} inputs [{}]", names.len(), names.join(", "));
        return Err(ImportError::Input(problem));
    };
    let (name, shape) = (&input.name, input.shape.as_deref());
    let fixed = |dimension: &Dimension| match *dimension {
        Dimension::Fixed(size) => usize::try_from(size).ok().filter(|size| (1..=LIMIT).contains(size)),
        Dimension::Named(_) => None,
    };
    let Some([batch, rest @ ..]) = shape.filter(|shape| shape.len() == 4) else {
        let rank = shape.map_or("no".into(), |shape| shape.len().to_string());
        return Err(ImportError::Input(format!("the input `{name}` has {rank} dimensions")));
    };
    let sizes: Option<Vec<usize>> = rest.iter().map(fixed).collect();
    let Some(&[a, b, c]) = sizes.as_deref() else {
        return Err(ImportError::Input(format!("the input `{name}` has no fixed size: {rest:?}")));
    };
    if a.saturating_mul(b).saturating_mul(c) > LIMIT {
        return Err(ImportError::Input(format!("the input `{name}` holds more than {LIMIT} values")));
    }
    // Images have few channels, so the layout shows in the sizes.
    let channels_last = c <= 4 && a > c;
    let shape = if channels_last { Shape::new(a, b, c) } else { Shape::new(b, c, a) };
    if shape.channels > CHANNELS {
        return Err(ImportError::Input(format!("the input `{name}` has {} channels", shape.channels)));
    }
    Ok(ImageInput { name: name.clone(), shape, channels_last, batch: fixed(batch) })
}

impl<'a> Importer<'a> {
    fn new(model: &'a Model) -> Result<Self, ImportError> {
        let input = image_input(model)?;
        let [output] = &*model.graph.outputs else {
            let names: Vec<_> = model.graph.outputs.iter().map(|output| &*output.name).collect();
            let problem = format!("the model has {} outputs [{}]", names.len(), names.join(", "));
            return Err(ImportError::Output(problem));
        };
        let (shape, batch) = (input.shape, input.batch.unwrap_or(1));
        let tensor = graph::Tensor { name: input.name.clone(), shape, info: () };
        let graph = FloatGraph {
            name: model.graph.name.clone(),
            tensors: vec![tensor],
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
        };
        let mut values: HashMap<&str, Value> = model
            .graph
            .initializers
            .iter()
            .map(|(name, tensor)| (&**name, Value::Constant(tensor.clone().into())))
            .collect();
        let view = View::new(TensorId(0), &input.axes(), shape, batch);
        values.insert(&model.graph.inputs[0].name, Value::Activation(view));
        let constants: usize = model.graph.initializers.values().map(|tensor| tensor.data.len()).sum();
        Ok(Self {
            batch,
            outputs: vec![&output.name],
            values,
            graph,
            grids: HashMap::new(),
            scales: HashMap::new(),
            weights: HashMap::new(),
            budget: 2 * constants + CONSTANTS,
        })
    }

    /// To be asked before constants are made.
    fn spend(&mut self, elements: usize) -> Result<(), Problem> {
        match self.budget.checked_sub(elements) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => unsupported("the model's constants would take many times the memory of its file"),
        }
    }

    /// Imports one node; a node that cannot be is added to `failed`.
    fn import(&mut self, node: &'a Node, failed: &mut Vec<UnsupportedNode>) -> Result<(), ImportError> {
        let mut known = true;
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            match self.values.get(&**name) {
                Some(value) => known &= !matches!(value, Value::Unsupported),
                None => {
                    let (node, op, value) = (label(node), node.op.clone(), name.clone());
                    return Err(ImportError::Undefined { node, op, value });
                }
            }
        }
        let rule = RULES.iter().find(|(op, _)| *op == node.op && node.domain.is_empty());
        let before = self.graph.nodes.len();
        self.remember_scales(node);
        let result = match (self.constants(node), rule) {
            (Some(inputs), _) => self
                .spend(constant::most_elements(node, &inputs))
                .and_then(|()| constant::fold(node, &inputs))
                .and_then(|tensor| match tensor.shape.len() {
                    ..=RANK => Ok(Value::Constant(tensor.into())),
                    rank => unsupported(format!("{rank} dimensions; supported are up to {RANK}")),
                }),
            (None, None) => unsupported("Goldcrest has no such operator"),
            // What it reads is unknown, so there is no telling what it would be.
            (None, Some(_)) if !known => Ok(Value::Unsupported),
            (None, Some((_, rule))) => rule(self, node),
        };
        let value = result.unwrap_or_else(|Problem(mut problem)| {
            // A list in a hostile file may be long.
            let end = problem.char_indices().nth(PROBLEM).map_or(problem.len(), |(at, _)| at);
            problem.truncate(end);
            problem.shrink_to_fit();
            let (name, op) = (label(node), format_op(node));
            failed.push(UnsupportedNode { name, op, shapes: self.shapes(node), problem });
            Value::Unsupported
        });
        let scales = node.inputs.get(1).and_then(|name| self.scales.get(&**name));
        if let (Some(scales), Some(written)) = (scales, self.graph.nodes.get(before)) {
            self.weights.insert(written.output, scales.clone());
        }
        for (index, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            self.values.insert(name, if index == 0 { value.clone() } else { Value::Unsupported });
        }
        Ok(())
    }

    /// Notes the scales of a constant that the node dequantizes.
    fn remember_scales(&mut self, node: &'a Node) {
        if let ("DequantizeLinear", [output], Ok(Some(scales))) =
            (&*node.op, &*node.outputs, self.constant(node, 1))
            && let Some(scales) = scales.as_f32()
        {
            self.scales.insert(output, scales.to_vec());
        }
    }

    /// The node's inputs when all of them are constants.
    fn constants(&self, node: &Node) -> Option<Vec<Option<std::rc::Rc<Tensor>>>> {
        let constant = |name: &String| match self.values.get(&**name) {
            _ if name.is_empty() => Some(None),
            Some(Value::Constant(tensor)) => Some(Some(tensor.clone())),
            _ => None,
        };
        node.inputs.iter().map(constant).collect()
    }

    fn finish(mut self) -> Result<FloatGraph, ImportError> {
        let name = self.outputs[0];
        let Some(Value::Activation(view)) = self.values.get(name) else {
            return Err(ImportError::Output(format!("the output `{name}` does not depend on the image")));
        };
        let shape = self.graph.tensor(view.tensor).shape;
        if (shape.height, shape.width) != (1, 1) || view.tensor == self.graph.input {
            return Err(ImportError::Output(format!("the output `{name}` is {}", self.describe(view))));
        }
        self.graph.output = view.tensor;
        Ok(self.graph)
    }

    /// The activation at an input of the node.
    fn activation(&self, node: &Node, index: usize) -> Result<View, Problem> {
        match node.inputs.get(index).and_then(|name| self.values.get(&**name)) {
            Some(Value::Activation(view)) => Ok(view.clone()),
            _ => unsupported(format!("input {index} must be an activation, it is constant or absent")),
        }
    }

    /// The activation at an input of the node, seen as [batch, channels, height, width].
    fn image(&self, node: &Node, index: usize) -> Result<View, Problem> {
        let view = self.activation(node, index)?;
        if view.axes != self.image_view(view.tensor).axes {
            let found = self.describe(&view);
            return unsupported(format!(
                "reads {found} where it needs [batch, channels, rows, columns]; its input was transposed or \
                 reshaped"
            ));
        }
        Ok(view)
    }

    /// The constant at an input of the node; `None` when the input is absent.
    fn constant(&self, node: &Node, index: usize) -> Result<Option<std::rc::Rc<Tensor>>, Problem> {
        let Some(name) = node.inputs.get(index).filter(|name| !name.is_empty()) else { return Ok(None) };
        match self.values.get(&**name) {
            Some(Value::Constant(tensor)) => Ok(Some(tensor.clone())),
            _ => unsupported(format!("input {index} (`{name}`) must be constant, it depends on the image")),
        }
    }

    /// A float constant at an input of the node.
    fn floats(&self, node: &Node, index: usize) -> Result<Option<std::rc::Rc<Tensor>>, Problem> {
        match self.constant(node, index)? {
            Some(tensor) if tensor.as_f32().is_none() => {
                unsupported(format!("input {index} (`{}`) must be float", node.inputs[index]))
            }
            tensor => Ok(tensor),
        }
    }

    /// A list of integers that newer operator sets take as an input and older ones as an attribute.
    fn integers(&self, node: &Node, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Problem> {
        match self.constant(node, index)? {
            Some(tensor) => match tensor.as_i64() {
                Some(values) => Ok(Some(values.to_vec())),
                None => unsupported(format!("input {index} (`{}`) must be int64", node.inputs[index])),
            },
            None => Ok(node.ints(attribute).map(<[i64]>::to_vec)),
        }
    }

    /// Adds a node to the graph; its output carries the name of the ONNX node's first output, with
    /// `suffix` where one ONNX node becomes several.
    fn push(
        &mut self,
        node: &Node,
        suffix: &str,
        op: FloatOp,
        inputs: &[TensorId],
    ) -> Result<TensorId, Problem> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.graph.tensor(id).shape).collect();
        let shape = op.output_shape(&shapes)?;
        if shape.channels > CHANNELS {
            return unsupported(format!("{} channels; supported are up to {CHANNELS}", shape.channels));
        }
        let name = format!("{}{suffix}", node.outputs.first().map(String::as_str).unwrap_or_default());
        if name.is_empty() || self.graph.tensors.iter().any(|tensor| tensor.name == name) {
            return unsupported("its output has no name of its own");
        }
        let output = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(graph::Tensor { name: name.clone(), shape, info: () });
        self.graph.nodes.push(graph::Node { name, op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// A tensor seen as [batch, channels, rows, columns].
    fn image_view(&self, tensor: TensorId) -> View {
        View::new(tensor, &Axis::IMAGE, self.graph.tensor(tensor).shape, self.batch)
    }

    /// Sizes of a view's dimensions.
    fn sizes(&self, view: &View) -> Vec<usize> {
        view.sizes(self.graph.tensor(view.tensor).shape, self.batch)
    }

    fn describe(&self, view: &View) -> String {
        let sizes: Vec<String> = self.sizes(view).iter().map(usize::to_string).collect();
        format!("[{}]", sizes.join(", "))
    }

    /// Shapes of a node's inputs for an error message.
    fn shapes(&self, node: &Node) -> String {
        let join = |sizes: &[usize]| match sizes {
            [] => "scalar".to_owned(),
            sizes => sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
        };
        let shape = |name: &String| match self.values.get(&**name) {
            Some(Value::Activation(view)) => join(&self.sizes(view)),
            Some(Value::Constant(tensor)) => join(&tensor.shape),
            _ => "?".into(),
        };
        const SHOWN: usize = 8;
        let mut given = node.inputs.iter().filter(|name| !name.is_empty());
        let mut text = given.by_ref().take(SHOWN).map(shape).collect::<Vec<_>>().join(", ");
        let more = given.count();
        if more > 0 {
            text += &format!(" and {more} more");
        }
        text
    }
}

fn label(node: &Node) -> String {
    match node.name.is_empty() {
        false => node.name.clone(),
        true => node.outputs.first().cloned().unwrap_or_default(),
    }
}

fn format_op(node: &Node) -> String {
    match node.domain.is_empty() {
        true => node.op.clone(),
        false => format!("{}.{}", node.domain, node.op),
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
