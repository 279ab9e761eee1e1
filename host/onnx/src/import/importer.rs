//! The import in progress: what names stand for, the graph that grows, and the memory that may still be
//! spent.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::{self, FloatConv, FloatOp, Quantization, TensorId};
use goldcrest_quantize::infer::Infer;

use super::known::{Constant, Dequantized, Weights};
use super::layout::{Axis, View};
use super::qoperator::Expanded;
use super::{
    CHANNELS, Element, ImportError, Node, Problem, RANK, RULES, Tail, Tensor, UnsupportedNode, constant,
    image_input, quantized, told, unsupported,
};
use crate::operators::{affine, check_attributes};
use crate::size::{floats, most_at_once};
use crate::{Attribute, Model};

/// Maximum number of characters that say what stands against a node.
const PROBLEM: usize = 300;

/// Maximum number of characters of a name that the graph takes over.
const NAME: usize = 1 << 10;

/// Maximum number of numbers of a list that describes a node.
const LIST: usize = 64;

/// Bytes of constants that any import may make, beside those that the file's own become.
const CONSTANTS: usize = 1 << 13;

/// What a rule makes of a node: its first output.
pub enum Value {
    /// Known while importing.
    Constant(Tensor),
    /// An activation, seen through a layout.
    Activation(View),
    /// An activation for each output of the node.
    Activations(Vec<View>),
    /// An activation of which each element of its last, flattened dimension is still to be scaled.
    Scaled(View, Factors),
}

/// `scale * x + shift` for each element of a dimension.
#[derive(Debug)]
pub struct Factors {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

/// Operators whose rules take what waits to be scaled ([`Value::Scaled`]) into their own arithmetic.
const ABSORBING: [&str; 7] = ["Add", "BatchNormalization", "Div", "Gemm", "MatMul", "Mul", "Sub"];

/// Operators that move integers, or compare them, as they move and compare what these stand for.
const MOVING: [&str; 11] = [
    "Dropout",
    "Flatten",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Reshape",
    "Shape",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// What a name in the ONNX graph stands for.
#[derive(Clone, Debug)]
enum Held<'a> {
    Constant(Constant<'a>),
    Dequantized(Dequantized<'a>),
    Activation(View),
    Scaled(View, Rc<Factors>),
    /// The output of a node that could not be imported.
    Unsupported,
    /// An output behind the first of this operator, which is not computed.
    Further(&'a str),
}

/// The import in progress.
pub struct Importer<'a> {
    pub batch: usize,
    pub output: &'a str,
    /// The version of the default operator set.
    pub opset: i64,
    /// The output and what it only shows in another form.
    tail: Tail<'a>,
    /// Whether the function that ends the network was left to the host.
    pub ended: bool,
    /// Activations that are integers in the file, by name.
    quantized: HashSet<&'a str>,
    /// What a quantized activation becomes where its grid saturates it, by the activation.
    pub saturated: HashMap<TensorId, TensorId>,
    values: HashMap<&'a str, Held<'a>>,
    pub graph: FloatGraph,
    /// Grids that the file gives to activations.
    pub grids: HashMap<TensorId, Quantization>,
    /// Scales of constants that were dequantized, by name.
    scales: HashMap<&'a str, Constant<'a>>,
    /// Scales of weights, by the tensor that is computed with them.
    weights: HashMap<TensorId, Constant<'a>>,
    /// Bytes of constants that may still be made.
    budget: Cell<usize>,
    /// Bytes that may be asked for at once.
    at_once: usize,
}

/// What [`Importer::finish`] returns.
type Imported<'a> = (FloatGraph, HashMap<TensorId, Quantization>, HashMap<TensorId, Constant<'a>>);

impl<'a> Importer<'a> {
    pub fn new(model: &'a Model, expanded: &'a Expanded<'a>) -> Result<Self, ImportError> {
        let input = image_input(model)?;
        let [output] = &*model.graph.outputs else {
            let names: Vec<_> = model.graph.outputs.iter().map(|output| &*output.name).collect();
            let problem = format!("the model has {} outputs [{}]", names.len(), names.join(", "));
            return Err(ImportError::Output(problem));
        };
        // What integers stand for must be known before anything reads them.
        if input.element != Element::Float {
            told(model, &expanded.nodes)?;
        }
        let (shape, batch) = (input.shape, input.batch.unwrap_or(1));
        let image = &*model.graph.inputs[0].name;
        let quantized = if input.element == Element::Float { HashSet::new() } else { HashSet::from([image]) };
        let view = View::new(TensorId(0), &input.axes(), shape, batch);
        let graph = FloatGraph {
            name: model.graph.name.clone(),
            tensors: vec![graph::Tensor { name: input.name, shape, info: () }],
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
        };
        let constants = || model.graph.initializers.iter().chain(&expanded.scales);
        let written = expanded.nodes.iter().map(|node| node.outputs.len()).sum::<usize>();
        let mut values = HashMap::with_capacity(constants().count() + written + 1);
        values.extend(constants().map(|(name, tensor)| (&**name, Held::Constant(Constant::Given(tensor)))));
        values.insert(image, Held::Activation(view));
        Ok(Self {
            batch,
            output: &output.name,
            opset: model.opset,
            tail: Tail::of(&expanded.nodes, &output.name),
            ended: false,
            quantized,
            saturated: HashMap::new(),
            values,
            graph,
            grids: HashMap::new(),
            scales: HashMap::new(),
            weights: HashMap::new(),
            budget: Cell::new(floats(model) + CONSTANTS),
            at_once: most_at_once(model),
        })
    }

    /// Takes `bytes` from the budget; to be called before constants of that size are made.
    pub fn spend(&self, bytes: usize) -> Result<(), Problem> {
        match self.budget.get().checked_sub(bytes).filter(|_| bytes <= self.at_once) {
            Some(rest) => {
                self.budget.set(rest);
                Ok(())
            }
            None => unsupported("the model's constants would take many times the memory of its file"),
        }
    }

    /// Takes the bytes of `count` floats from the budget; to be called before they are made.
    pub fn spend_floats(&self, count: usize) -> Result<(), Problem> {
        self.spend(count.saturating_mul(size_of::<f32>()))
    }

    /// Imports one node; a node that cannot be is added to `failed`.
    pub fn import(&mut self, node: &'a Node, failed: &mut Vec<UnsupportedNode>) -> Result<(), ImportError> {
        let (mut known, mut further) = (true, None);
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            match self.values.get(&**name) {
                Some(Held::Further(op)) => further = Some(*op),
                Some(value) => known &= !matches!(value, Held::Unsupported),
                None => {
                    let (node, op, value) = (label(node), node.op.clone(), name.clone());
                    return Err(ImportError::Undefined { node, op, value });
                }
            }
        }
        let before = self.graph.nodes.len();
        self.remember_scales(node);
        let value = match further {
            Some(op) => unsupported(format!("reads a further output of {op}; only the first is imported")),
            None => self.value(node, known),
        };
        let values = value.unwrap_or_else(|Problem(mut problem)| {
            // A list in a hostile file may be long.
            let end = problem.char_indices().nth(PROBLEM).map_or(problem.len(), |(at, _)| at);
            problem.truncate(end);
            problem.shrink_to_fit();
            let (name, op) = (label(node), format_op(node));
            failed.push(UnsupportedNode { name, op, shapes: self.shapes(node), problem });
            vec![Held::Unsupported; node.outputs.len().max(1)]
        });
        let scales = node.inputs.get(1).and_then(|name| self.scales.get(&**name));
        if let (Some(scales), Some(written)) = (scales, self.graph.nodes.get(before)) {
            self.weights.insert(written.output, scales.clone());
        }
        let mut values = values.into_iter();
        for name in &node.outputs {
            let value = values.next().unwrap_or(Held::Further(&node.op));
            if !name.is_empty() {
                self.values.insert(name, value);
            }
        }
        Ok(())
    }

    /// What the node's outputs are; `known` says whether its inputs are.
    fn value(&mut self, node: &'a Node, known: bool) -> Result<Vec<Held<'a>>, Problem> {
        let long = |value: &Attribute| matches!(value, Attribute::Ints(values) if values.len() > LIST);
        if node.op != "Constant" && node.attributes.values().any(long) {
            return unsupported(format!("an attribute has more than {LIST} numbers"));
        }
        let rule = RULES.iter().find(|(op, _)| *op == node.op && node.domain.is_empty());
        if rule.is_some() || constant::folds(&node.op) {
            check_attributes(node)?;
        }
        if let Some(folded) = self.fold(node) {
            return Ok(vec![folded?]);
        }
        let Some((_, rule)) = rule else { return unsupported("Goldcrest has no such operator") };
        if !known {
            // What it reads is unknown, so there is no telling what it would be.
            return Ok(vec![Held::Unsupported; node.outputs.len().max(1)]);
        }
        if !self.absorbs(node) {
            self.scale_inputs(node)?;
        }
        let integers = self.reads_integers(node)?;
        let value = match self.is_behind_the_end(node) {
            // The grid of probabilities is not that of the logits.
            true => Value::Activation(self.activation(node, 0)?),
            false => rule(self, node)?,
        };
        if integers || node.op == "QuantizeLinear" {
            self.quantized.extend(node.outputs.iter().map(String::as_str));
        }
        Ok(match value {
            Value::Constant(tensor) => vec![Held::Constant(tensor.into())],
            Value::Activation(view) => vec![Held::Activation(view)],
            Value::Activations(views) => views.into_iter().map(Held::Activation).collect(),
            Value::Scaled(view, factors) => vec![Held::Scaled(view, Rc::new(factors))],
        })
    }

    /// Whether a node's rule takes what waits at its one activation into its own arithmetic.
    fn absorbs(&self, node: &Node) -> bool {
        let is_constant = |name: &&String| {
            name.is_empty()
                || matches!(self.values.get(&***name), Some(Held::Constant(_) | Held::Dequantized(_)))
        };
        ABSORBING.contains(&&*node.op) && node.inputs.iter().filter(|name| !is_constant(name)).count() == 1
    }

    /// Scales those inputs of a node that wait for it.
    fn scale_inputs(&mut self, node: &'a Node) -> Result<(), Problem> {
        for name in &node.inputs {
            if let Some(Held::Scaled(view, factors)) = self.values.get(&**name) {
                let (view, factors) = (view.clone(), factors.clone());
                let scaled = affine::flat(self, name, &view, &factors)?;
                self.values.insert(name, Held::Activation(scaled));
            }
        }
        Ok(())
    }

    /// What waits at an input of the node.
    pub fn factors(&self, node: &Node, index: usize) -> Option<Rc<Factors>> {
        match self.values.get(&**node.inputs.get(index)?) {
            Some(Held::Scaled(_, factors)) => Some(factors.clone()),
            _ => None,
        }
    }

    /// Whether the node's outputs are integers because its inputs are.
    fn reads_integers(&self, node: &Node) -> Result<bool, Problem> {
        if !node.inputs.iter().any(|name| self.quantized.contains(&**name)) {
            return Ok(false);
        }
        match &*node.op {
            op if MOVING.contains(&op) => Ok(op != "Shape"),
            "DequantizeLinear" => Ok(false),
            "Cast" if self.reads_input(node) => Ok(false),
            _ => unsupported(
                "reads an activation's integers; supported are DequantizeLinear and operators that only \
                 move values",
            ),
        }
    }

    /// Whether the node reads the model's input, perhaps in another layout.
    pub fn reads_input(&self, node: &Node) -> bool {
        self.activation(node, 0).is_ok_and(|view| view.tensor == self.graph.input)
    }

    /// Whether the node stands between the function that ends the network, which was left to the host,
    /// and the output, and would only change probabilities.
    fn is_behind_the_end(&self, node: &Node) -> bool {
        let quantizes = ["QuantizeLinear", "DequantizeLinear"].contains(&&*node.op);
        self.ended && quantizes && self.is_in_tail(node)
    }

    fn is_in_tail(&self, node: &Node) -> bool {
        node.outputs.first().is_some_and(|output| self.tail.values.contains(&&**output))
    }

    /// Whether the node is the function that ends the network.
    pub fn is_end(&self, node: &Node) -> bool {
        self.tail.end.is_some_and(|end| end.outputs == node.outputs)
    }

    /// The node's output when it reads nothing but constants.
    fn fold(&self, node: &'a Node) -> Option<Result<Held<'a>, Problem>> {
        if let Some(tensor) = constant::given(node) {
            return Some(Ok(Held::Constant(Constant::Given(tensor))));
        }
        if let Some(Held::Dequantized(constant)) =
            node.inputs.first().and_then(|name| self.values.get(&**name))
        {
            let others = node.inputs[1..].iter().map(|name| self.plain(name)).collect::<Option<Vec<_>>>()?;
            if let Some(moved) = quantized::moved(node, constant, &others) {
                let bytes = constant.integers.data.len() * size_of::<i32>();
                return Some(self.spend(bytes).and(moved).map(Held::Dequantized));
            }
        }
        let constant = |name: &String| match self.values.get(&**name) {
            _ if name.is_empty() => Some(Ok(None)),
            Some(Held::Constant(constant)) => Some(Ok(Some(constant.clone()))),
            Some(Held::Dequantized(constant)) => Some(self.floats_of(constant).map(Some)),
            _ => None,
        };
        let inputs = node.inputs.iter().map(constant).collect::<Option<Result<Vec<_>, Problem>>>()?;
        Some(inputs.and_then(|inputs| {
            if node.op == "DequantizeLinear" && node.domain.is_empty() {
                return quantized::dequantized(node, &inputs).map(Held::Dequantized);
            }
            self.spend(constant::most_bytes(node, &inputs))?;
            match constant::fold(node, &inputs)? {
                tensor if tensor.shape.len() > RANK => {
                    unsupported(format!("{} dimensions; supported are up to {RANK}", tensor.shape.len()))
                }
                tensor => Ok(Held::Constant(tensor.into())),
            }
        }))
    }

    /// The plain constant of a name, `Some(None)` for an absent input.
    fn plain(&self, name: &str) -> Option<Option<Constant<'a>>> {
        match self.values.get(name) {
            _ if name.is_empty() => Some(None),
            Some(Held::Constant(constant)) => Some(Some(constant.clone())),
            _ => None,
        }
    }

    /// Integers as the floats that they stand for.
    fn floats_of(&self, constant: &Dequantized<'a>) -> Result<Constant<'a>, Problem> {
        self.spend_floats(constant.integers.data.len())?;
        Ok(constant.tensor().into())
    }

    /// Notes the scales of a constant that the node dequantizes.
    fn remember_scales(&mut self, node: &'a Node) {
        if let ("DequantizeLinear", [_, scales, ..], [output]) = (&*node.op, &*node.inputs, &*node.outputs)
            && let Some(Some(scales)) = self.plain(scales)
            && scales.as_f32().is_some()
        {
            self.scales.insert(output, scales);
        }
    }

    /// The graph, the grids of its activations and the scales of its weights.
    pub fn finish(mut self) -> Result<Imported<'a>, ImportError> {
        let name = self.output;
        let view = match self.values.get(name) {
            Some(Held::Activation(view)) => view.clone(),
            Some(Held::Scaled(view, factors)) => {
                let (view, factors) = (view.clone(), factors.clone());
                affine::flat(&mut self, name, &view, &factors).map_err(|Problem(problem)| {
                    ImportError::Output(format!("the output `{name}`: {problem}"))
                })?
            }
            _ => {
                return Err(ImportError::Output(format!("the output `{name}` does not depend on the image")));
            }
        };
        let (output, shape) = (view.tensor, self.graph.tensor(view.tensor).shape);
        if (shape.height, shape.width) != (1, 1) || output == self.graph.input {
            return Err(ImportError::Output(format!("the output `{name}` is {}", self.describe(&view))));
        }
        if shape.channels * size_of::<String>() > self.at_once {
            return Err(ImportError::Large);
        }
        self.graph.output = output;
        if shape.channels == 1 {
            self.tell_two_classes_apart()?;
        }
        Ok((self.graph, self.grids, self.weights))
    }

    /// Makes two logits, `[0, z]`, of a single one, whose sigmoid is the probability of the second of two
    /// classes: the softmax of both is the same, and the larger one the answer.
    fn tell_two_classes_apart(&mut self) -> Result<(), ImportError> {
        let single = self.graph.output;
        let large = |_| ImportError::Large;
        let alone = self.graph.readers(single) == 1;
        let last = self.graph.nodes.iter().position(|node| node.output == single);
        if let Some(conv) = last.filter(|_| alone).and_then(|last| self.graph.nodes[last].op.conv())
            && conv.groups == 1
        {
            self.spend_floats(2 * conv.weights.len() + 2).map_err(large)?;
            let weights = [vec![0.0; conv.weights.len()], conv.weights.clone()].concat();
            let both = FloatConv { weights, bias: vec![0.0, conv.bias[0]], ..conv.clone() };
            if let Some(last) = last {
                self.graph.nodes[last].op = both.into();
            }
            self.graph.tensors[single.0].shape.channels = 2;
            return Ok(());
        }
        let (weights, bias) = (vec![0.0, 1.0], vec![0.0; 2]);
        let both = FloatConv { window: Window::new([1, 1], [1, 1]), groups: 1, weights, bias };
        let name = format!("{}/classes", self.graph.tensor(single).name);
        self.graph.output = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(graph::Tensor { name: name.clone(), shape: Shape::new(1, 1, 2), info: () });
        let node = graph::Node { name, op: both.into(), inputs: vec![single], output: self.graph.output };
        self.graph.nodes.push(node);
        Ok(())
    }

    /// The activation at an input of the node.
    pub fn activation(&self, node: &Node, index: usize) -> Result<View, Problem> {
        match node.inputs.get(index).and_then(|name| self.values.get(&**name)) {
            Some(Held::Activation(view) | Held::Scaled(view, _)) => Ok(view.clone()),
            _ => unsupported(format!("input {index} must be an activation, it is constant or absent")),
        }
    }

    /// The activation at an input of the node, seen as [batch, channels, height, width].
    pub fn image(&self, node: &Node, index: usize) -> Result<View, Problem> {
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
    pub fn constant(&self, node: &Node, index: usize) -> Result<Option<Constant<'a>>, Problem> {
        let Some(name) = node.inputs.get(index).filter(|name| !name.is_empty()) else { return Ok(None) };
        match self.values.get(&**name) {
            Some(Held::Constant(constant)) => Ok(Some(constant.clone())),
            Some(Held::Dequantized(constant)) => self.floats_of(constant).map(Some),
            _ => unsupported(format!("input {index} (`{name}`) must be constant, it depends on the image")),
        }
    }

    /// The weights at an input of the node.
    pub fn weights(&self, node: &Node, index: usize) -> Result<Weights<'a>, Problem> {
        match node.inputs.get(index).and_then(|name| self.values.get(&**name)) {
            Some(Held::Dequantized(constant)) => Ok(Weights::Integers(constant.clone())),
            _ => match self.floats(node, index)? {
                Some(constant) => Ok(Weights::Floats(constant)),
                None => unsupported("has no weights"),
            },
        }
    }

    /// A float constant at an input of the node.
    pub fn floats(&self, node: &Node, index: usize) -> Result<Option<Constant<'a>>, Problem> {
        match self.constant(node, index)? {
            Some(tensor) if tensor.as_f32().is_none() => {
                unsupported(format!("input {index} (`{}`) must be float", node.inputs[index]))
            }
            tensor => Ok(tensor),
        }
    }

    /// A list of integers that newer operator sets take as an input and older ones as an attribute.
    pub fn integers(&self, node: &Node, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Problem> {
        match self.constant(node, index)? {
            Some(tensor) => match tensor.as_i64() {
                Some(values) if values.len() > LIST => {
                    unsupported(format!("input {index} has more than {LIST} numbers"))
                }
                Some(values) => Ok(Some(values.to_vec())),
                None => unsupported(format!("input {index} (`{}`) must be int64", node.inputs[index])),
            },
            None => Ok(node.ints(attribute).map(<[i64]>::to_vec)),
        }
    }

    /// Adds a node to the graph; its output carries the name of the ONNX node's first output, with
    /// `suffix` where one ONNX node becomes several.
    pub fn push(
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
        if name.len() > NAME {
            return unsupported(format!("its output's name has more than {NAME} characters"));
        }
        // A full list is copied to one of twice the size.
        let list = &self.graph.nodes;
        if list.len() == list.capacity() && 2 * size_of_val(&**list) > self.at_once {
            return unsupported("the model's nodes would take many times the memory of its file");
        }
        let output = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(graph::Tensor { name: name.clone(), shape, info: () });
        self.graph.nodes.push(graph::Node { name, op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// A tensor seen as [batch, channels, rows, columns].
    pub fn image_view(&self, tensor: TensorId) -> View {
        View::new(tensor, &Axis::IMAGE, self.graph.tensor(tensor).shape, self.batch)
    }

    /// Sizes of a view's dimensions.
    pub fn sizes(&self, view: &View) -> Vec<usize> {
        view.sizes(self.graph.tensor(view.tensor).shape, self.batch)
    }

    pub fn describe(&self, view: &View) -> String {
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
            Some(Held::Activation(view) | Held::Scaled(view, _)) => join(&self.sizes(view)),
            Some(Held::Constant(constant)) => join(&constant.shape),
            Some(Held::Dequantized(constant)) => join(&constant.integers.shape),
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
