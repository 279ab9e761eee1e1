//! Models whose operators are int8 themselves (ONNX Runtime's QOperator form), written out as float operators
//! between `DequantizeLinear` and `QuantizeLinear`: one form is enough for everything behind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{ImportError, Model, NODES, Node};
use crate::size::most_at_once;
use crate::{Attribute, Tensor};

/// How an int8 operator's inputs are laid out.
struct Form {
    op: &'static str,
    /// The float operator.
    float: &'static str,
    /// Activations or weights as `(value, scale, zero point)`: positions of the value.
    operands: &'static [usize],
    /// Position of an int32 bias, whose scale is the product of the operands' scales.
    bias: Option<usize>,
    /// Position of the output's scale.
    output: usize,
}

const FORMS: &[Form] = &[
    Form { op: "QLinearConv", float: "Conv", operands: &[0, 3], bias: Some(8), output: 6 },
    Form { op: "QLinearMatMul", float: "MatMul", operands: &[0, 3], bias: None, output: 6 },
    Form { op: "QGemm", float: "Gemm", operands: &[0, 3], bias: Some(6), output: 7 },
    Form { op: "QLinearAdd", float: "Add", operands: &[0, 3], bias: None, output: 6 },
    Form { op: "QLinearMul", float: "Mul", operands: &[0, 3], bias: None, output: 6 },
    Form {
        op: "QLinearGlobalAveragePool",
        float: "GlobalAveragePool",
        operands: &[0],
        bias: None,
        output: 3,
    },
    Form { op: "QLinearAveragePool", float: "AveragePool", operands: &[0], bias: None, output: 3 },
    Form { op: "QLinearLeakyRelu", float: "LeakyRelu", operands: &[0], bias: None, output: 3 },
    Form { op: "QLinearSigmoid", float: "Sigmoid", operands: &[0], bias: None, output: 3 },
];

/// Whether another tool quantized the model.
pub fn is_quantized(model: &Model) -> bool {
    let quantized = |node: &Node| {
        ["QuantizeLinear", "DequantizeLinear", "QLinearConcat"].contains(&&*node.op)
            || FORMS.iter().any(|form| form.op == node.op)
    };
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
        match FORMS.iter().find(|form| form.op == node.op) {
            Some(form) => writer.write_out(node, form),
            None if node.op == "QLinearConcat" => writer.concat(node),
            None => writer.nodes.push(node.clone()),
        }
    }
    Ok(Expanded { nodes: Cow::Owned(writer.nodes), scales: writer.scales })
}

/// How many nodes a node is written out as, at most.
fn parts(node: &Node) -> usize {
    match FORMS.iter().find(|form| form.op == node.op) {
        Some(form) => form.operands.len() + usize::from(form.bias.is_some()) + 2,
        None if node.op == "QLinearConcat" => node.inputs.len().div_ceil(3) + 2,
        None => 1,
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
        for (operand, &at) in form.operands.iter().enumerate() {
            let real = format!("{name}/operand{operand}");
            // Scales of weights count output channels: rows of convolutions, and of matrices that are transposed.
            let axis = match form.float {
                "Gemm" if node.int("transB").unwrap_or(0) != 0 => 0,
                "Conv" => 0,
                _ => 1,
            };
            self.dequantize(node, at, &real, axis);
            inputs.push(real);
        }
        if let Some(at) = form.bias.filter(|&at| !input(node, at).is_empty()) {
            let factors: Vec<Vec<f32>> = form
                .operands
                .iter()
                .filter_map(|&at| {
                    Some(self.model.graph.initializers.get(input(node, at + 1))?.as_f32()?.to_vec())
                })
                .collect();
            if let [a, b] = &*factors
                && let [a] = **a
            {
                let alpha = node.float("alpha").unwrap_or(1.0);
                let scale: Vec<f32> =
                    b.iter().map(|b| a * b * if form.float == "Gemm" { alpha } else { 1.0 }).collect();
                let (scale_name, real) = (format!("{name}/bias_scale"), format!("{name}/bias"));
                let shape: &[usize] = if scale.len() == 1 { &[] } else { &[scale.len()] };
                self.scales.insert(scale_name.clone(), Tensor::f32(shape, scale));
                let dequantize = Node::new("DequantizeLinear", &[input(node, at), &scale_name], &[&real]);
                self.nodes.push(dequantize.with("axis", Attribute::Int(0)));
                inputs.push(real);
            }
        }
        self.finish(node, form.float, inputs, [input(node, form.output), input(node, form.output + 1)]);
    }

    fn concat(&mut self, node: &Node) {
        let mut inputs = Vec::new();
        for at in (2..node.inputs.len()).step_by(3) {
            let real = format!("{}/operand{at}", output(node));
            self.dequantize(node, at, &real, 1);
            inputs.push(real);
        }
        self.finish(node, "Concat", inputs, [input(node, 0), input(node, 1)]);
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
