//! A quantization as an ordinary QDQ file: int8 weights and int32 biases with `DequantizeLinear`, and
//! `QuantizeLinear` and `DequantizeLinear` behind every activation that int8 keeps.

use std::collections::BTreeMap;

use goldcrest_onnx::float_export::{self, oihw};
use goldcrest_onnx::{Attribute, Data, Graph, Model, Node, Tensor, ValueInfo, info};
use goldcrest_prove::calibrate::Outcome;
use goldcrest_quantize::graph::{Quantization, QuantizedConv};

use super::{BIAS, WEIGHTS, bias_scale};

/// Ends the names of integers.
const INTEGERS: &str = ".integers";
/// Ends the names of scales.
const SCALE: &str = ".scale";

/// Writes the float network of a quantization with its grids and integers.
pub fn write(outcome: &Outcome) -> Model {
    let Outcome { float, model: int8, report } = outcome;
    let mut model = float_export::write(float);
    info::write(&int8.info, &mut model.metadata);
    let grid = |id| int8.graph.tensor(id).info;
    let mut grids = BTreeMap::from([(float.tensor(float.input).name.clone(), grid(int8.graph.input))]);
    let mut layers = BTreeMap::new();
    for (node, layer) in int8.graph.nodes.iter().zip(&report.layers) {
        let tensor = int8.graph.tensor(node.output);
        // Copies of other grids, which concatenations read, have names of their own: the concatenation
        // rounds.
        if tensor.name == float.tensor(layer.float).name {
            grids.insert(tensor.name.clone(), tensor.info);
        }
        if let Some(conv) = node.op.conv() {
            let written = &float.tensor(layer.unbounded).name;
            layers.insert(written.clone(), (conv, [grid(node.inputs[0]), tensor.info]));
        }
    }

    let output = float.tensor(float.output);
    let classes = output.shape.channels as i64;
    let graph = &mut model.graph;
    let nodes = std::mem::take(&mut graph.nodes);
    let input = graph.inputs[0].name.clone();
    round(graph, &input, grids.get(&input));
    for mut node in nodes {
        for name in node.inputs.iter_mut().filter(|name| grids.contains_key(*name)) {
            *name = rounded(name);
        }
        let written = node.outputs[0].clone();
        if let Some((conv, [input, output])) = layers.get(&written).filter(|_| node.op == "Conv") {
            let parameters = constants(graph, &written, conv, *input, *output);
            node.inputs.splice(1.., parameters);
        }
        graph.nodes.push(node);
        round(graph, &written, grids.get(&written));
    }
    let last = if grids.contains_key(&output.name) { rounded(&output.name) } else { output.name.clone() };
    let logits = format!("{}.row", output.name);
    graph.nodes.push(Node::new("Flatten", &[&last], &[&logits]).with("axis", Attribute::Int(1)));
    graph.outputs = vec![ValueInfo::float(&logits, &[-1, classes])];
    model
}

/// Puts the integers that parameters round to in the place of those that a file has. They are rounded as the
/// training network does it.
pub fn settle(file: &mut BTreeMap<String, Tensor>, trained: &BTreeMap<String, Tensor>) {
    for (name, parameter) in trained {
        let (Some(values), Some(scales)) = (parameter.as_f32(), file.get(&format!("{name}{SCALE}"))) else {
            continue;
        };
        let scales = scales.as_f32().unwrap_or_default().to_vec();
        let each = (values.len() / scales.len().max(1)).max(1);
        let whole =
            values.iter().enumerate().map(|(at, value)| (value / scales[at / each]).round_ties_even());
        match file.get_mut(&format!("{name}{INTEGERS}")).map(|integers| &mut integers.data) {
            Some(Data::I8(integers)) => {
                *integers = whole.map(|value| value.clamp(-127.0, 127.0) as i8).collect()
            }
            Some(Data::I32(integers)) => *integers = whole.map(|value| value as i32).collect(),
            _ => (),
        }
    }
}

/// The name of a value after it was rounded.
fn rounded(value: &str) -> String {
    format!("{value}.rounded")
}

/// Rounds an activation, where it has a grid.
fn round(graph: &mut Graph, value: &str, grid: Option<&Quantization>) {
    let Some(grid) = grid else { return };
    let [scale, zero_point, integers] = [SCALE, ".zero_point", INTEGERS].map(|part| format!("{value}{part}"));
    graph.initializers.insert(scale.clone(), Tensor::f32(&[], vec![grid.scale]));
    graph.initializers.insert(zero_point.clone(), Tensor::new(&[], Data::I8(vec![grid.zero_point])));
    graph.nodes.push(Node::new("QuantizeLinear", &[value, &scale, &zero_point], &[&integers]));
    graph.nodes.push(Node::new("DequantizeLinear", &[&integers, &scale, &zero_point], &[&rounded(value)]));
}

/// Weights and biases of a convolution, dequantized; returns their names.
fn constants(
    graph: &mut Graph,
    written: &str,
    conv: &QuantizedConv,
    input: Quantization,
    output: Quantization,
) -> [String; 2] {
    let unit = f64::from(output.scale) / f64::from(input.scale);
    let scales: Vec<f32> =
        conv.multipliers.iter().map(|multiplier| (multiplier.to_f64() * unit) as f32).collect();
    let bias_scales = scales.iter().map(|&scale| bias_scale(input.scale, scale)).collect();
    let (outputs, [rows, columns]) = (conv.bias.len(), conv.window.kernel);
    let depth = conv.weights.len() / (outputs * rows * columns);
    let weights = Data::I8(oihw(&conv.weights, outputs, rows * columns, depth));
    let weights = Tensor::new(&[outputs, depth, rows, columns], weights);
    let bias = Tensor::new(&[outputs], Data::I32(conv.bias.clone()));
    [(WEIGHTS, weights, scales), (BIAS, bias, bias_scales)].map(|(part, tensor, scales)| {
        let name = format!("{written}{part}");
        graph.initializers.remove(&name);
        let [integers, scale] = [INTEGERS, SCALE].map(|part| format!("{name}{part}"));
        graph.initializers.insert(integers.clone(), tensor);
        graph.initializers.insert(scale.clone(), Tensor::f32(&[outputs], scales));
        let dequantize = Node::new("DequantizeLinear", &[&integers, &scale], &[&rounded(&name)]);
        graph.nodes.push(dequantize.with("axis", Attribute::Int(0)));
        rounded(&name)
    })
}
