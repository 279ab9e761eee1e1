//! Models whose operators are int8 themselves (ONNX Runtime's QOperator form), written out as float operators
//! between `DequantizeLinear` and `QuantizeLinear`: one form is enough for everything behind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{ImportError, Model, NODES, Node};
use crate::operators::FORMS;
use crate::size::most_at_once;
use crate::{Attribute, Tensor};

/// How an int8 operator's inputs are laid out.
pub struct Form {
    /// The int8 operator.
    pub op: &'static str,
    /// The float operator.
    pub float: &'static str,
    /// Activations or weights as `(value, scale, zero point)`: positions of the value.
    pub operands: Operands,
    /// Position of the output's scale.
    pub output: usize,
}

/// Where an int8 operator has its operands.
pub enum Operands {
    /// One activation at position 0.
    One,
    /// Two activations at positions 0 and 3.
    Two,
    /// An activation at position 0, weights at position 3, perhaps an int32 bias.
    Weights {
        /// The axis along which the scales of the weights lie.
        axis: fn(&Node) -> i64,
        /// Position of the bias, whose scale is the product of the operands' scales and a factor.
        bias: Option<(usize, fn(&Node) -> f32)>,
    },
    /// Any number of activations, from a position on.
    From(usize),
}

impl Form {
    /// The form of a node of such an operator.
    fn of(node: &Node) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.op == node.op)
    }

    /// Positions of the operands of a node.
    fn positions(&self, node: &Node) -> Vec<usize> {
        match self.operands {
            Operands::One => vec![0],
            Operands::Two | Operands::Weights { .. } => vec![0, 3],
            Operands::From(first) => (first..node.inputs.len()).step_by(3).collect(),
        }
    }
}

/// Whether another tool quantized the model.
pub fn is_quantized(model: &Model) -> bool {
    let quantized =
        |node: &Node| ["QuantizeLinear", "DequantizeLinear"].contains(&&*node.op) || Form::of(node).is_some();
    model.graph.nodes.iter().any(quantized)
}

/// A model's nodes, of float operators only.
pub struct Expanded<'a> {
    /// The nodes.
    pub nodes: Cow<'a, [Node]>,
    /// Scales of biases, which stand in no file.
    pub scales: BTreeMap<String, Tensor>,
}

/// Writes int8 operators out as float ones.
///
/// # Errors
/// When they would be many more nodes than the file has bytes for.
pub fn expand(model: &Model) -> Result<Expanded<'_>, ImportError> {
    let nodes = &model.graph.nodes;
    let count: usize = nodes.iter().map(parts).sum();
    let scales = BTreeMap::new();
    if count == nodes.len() {
        return Ok(Expanded { nodes: Cow::Borrowed(nodes), scales });
    }
    if count > NODES {
        return Err(ImportError::Nodes(count));
    }
    if count * size_of::<Node>() > most_at_once(model) {
        return Err(ImportError::Large);
    }
    let mut writer = Writer { model, nodes: Vec::with_capacity(count), scales };
    for node in nodes {
        match Form::of(node) {
            Some(form) => writer.write_out(node, form),
            None => writer.nodes.push(node.clone()),
        }
    }
    Ok(Expanded { nodes: Cow::Owned(writer.nodes), scales: writer.scales })
}

/// How many nodes a node is written out as, at most.
fn parts(node: &Node) -> usize {
    let Some(form) = Form::of(node) else { return 1 };
    2 + match form.operands {
        Operands::One => 1,
        Operands::Two => 2,
        Operands::Weights { bias, .. } => 2 + usize::from(bias.is_some()),
        Operands::From(_) => node.inputs.len().div_ceil(3),
    }
}

fn input(node: &Node, index: usize) -> &str {
    node.inputs.get(index).map_or("", String::as_str)
}

fn output(node: &Node) -> &str {
    node.outputs.first().map_or("", String::as_str)
}

/// The nodes written so far.
struct Writer<'a> {
    model: &'a Model,
    nodes: Vec<Node>,
    scales: BTreeMap<String, Tensor>,
}

impl Writer<'_> {
    fn write_out(&mut self, node: &Node, form: &Form) {
        let name = output(node).to_owned();
        let mut inputs = Vec::new();
        for (index, at) in form.positions(node).into_iter().enumerate() {
            let real = format!("{name}/operand{index}");
            // The scales of an activation have no axis.
            let axis = match form.operands {
                Operands::Weights { axis, .. } => axis(node),
                _ => 1,
            };
            self.dequantize(node, at, &real, axis);
            inputs.push(real);
        }
        if let Operands::Weights { bias: Some((at, factor)), .. } = form.operands
            && !input(node, at).is_empty()
        {
            inputs.extend(self.bias(node, at, factor(node)));
        }
        self.finish(node, form.float, inputs, [input(node, form.output), input(node, form.output + 1)]);
    }

    /// A bias in real numbers; its name, where the scales are known.
    fn bias(&mut self, node: &Node, at: usize, factor: f32) -> Option<String> {
        let scales =
            |at: usize| self.model.graph.initializers.get(input(node, at + 1)).and_then(Tensor::as_f32);
        let (&[a], b) = (scales(0)?, scales(3)?) else { return None };
        let scale: Vec<f32> = b.iter().map(|b| a * b * factor).collect();
        let name = output(node);
        let (scale_name, real) = (format!("{name}/bias_scale"), format!("{name}/bias"));
        let shape: &[usize] = if scale.len() == 1 { &[] } else { &[scale.len()] };
        self.scales.insert(scale_name.clone(), Tensor::f32(shape, scale));
        let dequantize = Node::new("DequantizeLinear", &[input(node, at), &scale_name], &[&real]);
        self.nodes.push(dequantize.with("axis", Attribute::Int(0)));
        Some(real)
    }

    fn dequantize(&mut self, node: &Node, at: usize, real: &str, axis: i64) {
        let inputs = [input(node, at), input(node, at + 1), input(node, at + 2)];
        let dequantize = Node::new("DequantizeLinear", &inputs, &[real]).with("axis", Attribute::Int(axis));
        self.nodes.push(dequantize);
    }

    /// The float operator and the grid of its output; without a scale the output is float.
    fn finish(&mut self, node: &Node, float: &str, inputs: Vec<String>, [scale, zero]: [&str; 2]) {
        let name = output(node);
        let real = if scale.is_empty() { name.to_owned() } else { format!("{name}/real") };
        let written = Node {
            name: node.name.clone(),
            op: float.to_owned(),
            domain: String::new(),
            inputs,
            outputs: vec![real.clone()],
            attributes: node.attributes.clone(),
        };
        self.nodes.push(written);
        if !scale.is_empty() {
            self.nodes.push(Node::new("QuantizeLinear", &[&real, scale, zero], &[name]));
        }
    }
}
