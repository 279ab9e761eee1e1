//! Models whose operators are int8 themselves (ONNX Runtime's QOperator form), written out as float operators
//! between `DequantizeLinear` and `QuantizeLinear`: one form is enough for everything behind.

use std::borrow::Cow;

use super::{Model, Node};
use crate::onnx::{Attribute, Tensor};

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

/// The model with float operators only; itself when it has no int8 operator.
pub fn expand(model: &Model) -> Cow<'_, Model> {
    let written_out = |node: &Node| node.op == "QLinearConcat" || FORMS.iter().any(|form| form.op == node.op);
    if !model.graph.nodes.iter().any(written_out) {
        return Cow::Borrowed(model);
    }
    let mut expanded = model.clone();
    expanded.graph.nodes.clear();
    for node in &model.graph.nodes {
        match FORMS.iter().find(|form| form.op == node.op) {
            Some(form) => write_out(&mut expanded, node, form),
            None if node.op == "QLinearConcat" => concat(&mut expanded, node),
            None => expanded.graph.nodes.push(node.clone()),
        }
    }
    Cow::Owned(expanded)
}

fn input(node: &Node, index: usize) -> &str {
    node.inputs.get(index).map_or("", String::as_str)
}

fn output(node: &Node) -> &str {
    node.outputs.first().map_or("", String::as_str)
}

fn write_out(model: &mut Model, node: &Node, form: &Form) {
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
        dequantize(model, node, at, &real, axis);
        inputs.push(real);
    }
    if let Some(at) = form.bias.filter(|&at| !input(node, at).is_empty()) {
        let factors: Vec<Vec<f32>> = form
            .operands
            .iter()
            .filter_map(|&at| Some(model.graph.initializers.get(input(node, at + 1))?.as_f32()?.to_vec()))
            .collect();
        if let [a, b] = &*factors
            && let [a] = **a
        {
            let alpha = node.float("alpha").unwrap_or(1.0);
            let scale: Vec<f32> =
                b.iter().map(|b| a * b * if form.float == "Gemm" { alpha } else { 1.0 }).collect();
            let (scale_name, real) = (format!("{name}/bias_scale"), format!("{name}/bias"));
            let shape: &[usize] = if scale.len() == 1 { &[] } else { &[scale.len()] };
            model.graph.initializers.insert(scale_name.clone(), Tensor::f32(shape, scale));
            let dequantize = Node::new("DequantizeLinear", &[input(node, at), &scale_name], &[&real]);
            model.graph.nodes.push(dequantize.with("axis", Attribute::Int(0)));
            inputs.push(real);
        }
    }
    finish(model, node, form.float, inputs, [input(node, form.output), input(node, form.output + 1)]);
}

fn concat(model: &mut Model, node: &Node) {
    let mut inputs = Vec::new();
    for at in (2..node.inputs.len()).step_by(3) {
        let real = format!("{}/operand{at}", output(node));
        dequantize(model, node, at, &real, 1);
        inputs.push(real);
    }
    finish(model, node, "Concat", inputs, [input(node, 0), input(node, 1)]);
}

fn dequantize(model: &mut Model, node: &Node, at: usize, real: &str, axis: i64) {
    let inputs = [input(node, at), input(node, at + 1), input(node, at + 2)];
    let dequantize = Node::new("DequantizeLinear", &inputs, &[real]).with("axis", Attribute::Int(axis));
    model.graph.nodes.push(dequantize);
}

/// The float operator and the grid of its output; without a scale the output is float.
fn finish(model: &mut Model, node: &Node, float: &str, inputs: Vec<String>, [scale, zero]: [&str; 2]) {
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
    model.graph.nodes.push(written);
    if !scale.is_empty() {
        model.graph.nodes.push(Node::new("QuantizeLinear", &[&real, scale, zero], &[name]));
    }
}
