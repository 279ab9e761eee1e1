//! Elementwise functions of one activation.

use goldcrest_quantize::graph::{Activation, Clamp, FloatOp};

use super::{Export, Held, Importer, Problem, Reader, Value, Writer, add, affine, mul, unsupported};
use crate::import::{Form, Operands};
use crate::{Attribute, Data, Node, Tensor};

fn apply(importer: &mut Importer<'_>, node: &Node, activation: Activation) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let output = importer.push(node, "", FloatOp::Activation(activation), &[view.tensor])?;
    Ok(Value::Activation(view.of(output)))
}

pub fn relu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Relu)
}

pub fn sigmoid(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Sigmoid)
}

pub fn tanh(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Tanh)
}

pub fn hard_swish(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::HardSwish)
}

pub fn leaky_relu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::LeakyRelu { alpha: node.float("alpha").unwrap_or(0.01) })
}

pub fn hard_sigmoid(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let (alpha, beta) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
    apply(importer, node, Activation::HardSigmoid { alpha, beta })
}

/// Bounds are inputs since opset 11.
pub fn clip(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let low = bound(importer, node, 1)?.unwrap_or(f32::NEG_INFINITY);
    let high = bound(importer, node, 2)?.unwrap_or(f32::INFINITY);
    bounded(importer, node, low, high)
}

/// `Min` with a constant: how some exporters write the upper half of Relu6.
pub fn min(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let bound = bound(importer, node, 1)?.unwrap_or(f32::INFINITY);
    bounded(importer, node, f32::NEG_INFINITY, bound)
}

/// `Max` with a constant.
pub fn max(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let bound = bound(importer, node, 1)?.unwrap_or(f32::NEG_INFINITY);
    bounded(importer, node, bound, f32::INFINITY)
}

fn bounded(importer: &mut Importer<'_>, node: &Node, low: f32, high: f32) -> Result<Value, Problem> {
    match (low, high) {
        (low, high) if low.is_nan() || high.is_nan() || low > high => {
            unsupported(format!("bounds {low} and {high} are in no order"))
        }
        (0.0, f32::INFINITY) => apply(importer, node, Activation::Relu),
        _ => apply(importer, node, Activation::Clip { low, high }),
    }
}

/// A single float at an input of the node.
fn bound(importer: &Importer<'_>, node: &Node, index: usize) -> Result<Option<f32>, Problem> {
    if index == 1 && node.inputs.len() > 2 && node.op != "Clip" {
        return unsupported(format!("has {} inputs, supported are two", node.inputs.len()));
    }
    let Some(tensor) = importer.floats(node, index)? else { return Ok(None) };
    match tensor.as_f32() {
        Some(&[value]) => Ok(Some(value)),
        _ => unsupported(format!("input {index} (`{}`) must be one number", node.inputs[index])),
    }
}

/// `PRelu` with one slope is a LeakyRelu; with a slope per channel it is
/// `slope * x + (1 - slope) * relu(x)`.
pub fn parametric_relu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let Some(slope) = importer.floats(node, 1)? else { return unsupported("has no slope") };
    let slopes = affine::per_channel(importer, &view, &slope)?;
    if slopes.iter().all(|&slope| slope == slopes[0]) {
        return apply(importer, node, Activation::LeakyRelu { alpha: slopes[0] });
    }
    let rest = slopes.iter().map(|slope| 1.0 - slope).collect();
    importer.spend_floats(2 * slopes.len())?;
    let zeros = vec![0.0; slopes.len()];
    let linear = affine::push(importer, node, "/slope", view.tensor, slopes, zeros.clone())?;
    let relu = importer.push(node, "/relu", FloatOp::Activation(Activation::Relu), &[view.tensor])?;
    let scaled = affine::push(importer, node, "/positive", relu, rest, zeros)?;
    let output = add::push(importer, node, [linear, scaled])?;
    Ok(Value::Activation(view.of(output)))
}

/// `LeakyRelu` as an int8 operator of another tool.
pub const LEAKY_RELU_FORM: Form =
    Form { op: "QLinearLeakyRelu", float: "LeakyRelu", operands: Operands::One, output: 3 };

/// `Sigmoid` as an int8 operator of another tool.
pub const SIGMOID_FORM: Form =
    Form { op: "QLinearSigmoid", float: "Sigmoid", operands: Operands::One, output: 3 };

/// To a float file.
pub fn export(export: &mut Export<'_>, activation: &Activation) -> Node {
    let (input, output) = (export.inputs[0], export.output);
    let node = |op: &str| Node::new(op, &[input], &[output]);
    match *activation {
        Activation::Relu => node("Relu"),
        Activation::Clip { low, high } => {
            let low = export.constant("/low", Tensor::f32(&[], vec![low]));
            let high = export.constant("/high", Tensor::f32(&[], vec![high]));
            Node::new("Clip", &[input, &low, &high], &[output])
        }
        Activation::LeakyRelu { alpha } => node("LeakyRelu").with("alpha", Attribute::Float(alpha)),
        Activation::Sigmoid => node("Sigmoid"),
        Activation::Tanh => node("Tanh"),
        Activation::HardSigmoid { alpha, beta } => {
            node("HardSigmoid").with("alpha", Attribute::Float(alpha)).with("beta", Attribute::Float(beta))
        }
        Activation::HardSwish => node("HardSwish"),
        Activation::Silu => {
            let gate = format!("{output}/gate");
            export.onnx.nodes.push(Node::new("Sigmoid", &[input], &[&gate]));
            mul::written(&[input, &gate], output)
        }
    }
}

/// `Clip` from an int8 file: the bounds of a convolution or an addition before it.
pub fn read_clamp<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let &Held::Unclamped(index) = reader.value(node, 0)? else {
        return unsupported("clips something else than a convolution or an addition before it");
    };
    let bound = |index: usize| match reader.constant(node, index)?.data {
        Data::I8(ref values) if values.len() == 1 => Ok(values[0]),
        _ => unsupported("its bounds must be int8"),
    };
    let bounds = Clamp { low: bound(1)?, high: bound(2)? };
    if bounds.low > bounds.high {
        return unsupported(format!("bounds {} and {} are in no order", bounds.low, bounds.high));
    }
    reader.clamp(index, output, bounds)
}

/// To an int8 file, behind a convolution or an addition.
pub fn write_clamp(writer: &mut Writer<'_>, unclamped: &str, output: &str, clamp: Clamp) {
    let [low, high] = [clamp.low, clamp.high].map(|bound| writer.zero(bound));
    writer.push(Node::new("Clip", &[unclamped, &low, &high], &[output]));
}
