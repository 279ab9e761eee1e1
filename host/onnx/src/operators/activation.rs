//! Elementwise functions of one activation.

use goldcrest_quantize::graph::{Activation, Clamp, FloatOp, TensorId};

use super::{
    Export, Held, Importer, Problem, Reader, Value, Writer, add, affine, arithmetic, mul, unsupported,
};
use crate::import::{Fold, Form, Operands, View};
use crate::{Attribute, Data, Node, Tensor};

fn apply(importer: &mut Importer<'_>, node: &Node, activation: Activation) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let output = importer.push(node, "", FloatOp::Activation(activation), &[view.tensor])?;
    Ok(Value::Activation(view.of(output)))
}

pub fn relu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Relu)
}

/// The last one of a network with one output is left to the host, as a softmax is.
pub fn sigmoid(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    if importer.is_end(node) && importer.graph.tensor(view.tensor).shape.len() == 1 {
        importer.ended = true;
        return Ok(Value::Activation(view));
    }
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

pub fn abs(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Abs)
}

pub fn celu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Celu { alpha: node.float("alpha").unwrap_or(1.0) })
}

pub fn elu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Elu { alpha: node.float("alpha").unwrap_or(1.0) })
}

pub fn erf(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Erf)
}

pub fn exp(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Exp)
}

/// By the error function, or by the hyperbolic tangent that comes close to it.
pub fn gelu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match node.string("approximate").unwrap_or("none") {
        "none" => apply(importer, node, Activation::Gelu),
        "tanh" => apply(importer, node, Activation::GeluTanh),
        other => unsupported(format!("attribute `approximate` is `{other}`; supported are none and tanh")),
    }
}

pub fn mish(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Mish)
}

/// To the power of one number.
pub fn pow(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match bound(importer, node, 1)? {
        Some(exponent) => apply(importer, node, Activation::Pow { exponent }),
        None => unsupported("has no exponent"),
    }
}

pub fn selu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let alpha = node.float("alpha").unwrap_or(1.673_263_2);
    apply(importer, node, Activation::Selu { alpha, gamma: node.float("gamma").unwrap_or(1.050_701) })
}

pub fn softplus(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Softplus)
}

pub fn softsign(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Softsign)
}

pub fn sqrt(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::Sqrt)
}

pub fn thresholded_relu(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    apply(importer, node, Activation::ThresholdedRelu { alpha: node.float("alpha").unwrap_or(1.0) })
}

pub fn hard_sigmoid(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let (alpha, beta) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
    apply(importer, node, Activation::HardSigmoid { alpha, beta })
}

/// Bounds are inputs since opset 11, attributes before.
pub fn clip(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let low = bound(importer, node, 1)?.or(node.float("min")).unwrap_or(f32::NEG_INFINITY);
    let high = bound(importer, node, 2)?.or(node.float("max")).unwrap_or(f32::INFINITY);
    bounded(importer, node, low, high)
}

/// `Min` with a constant: how some exporters write the upper half of Relu6.
pub fn min(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operand(importer, node)? {
        Operand::Bound(view, high) => bounded_view(importer, node, &view, f32::NEG_INFINITY, high),
        // min(a, b) = a - relu(a - b)
        Operand::Activation(a, b) => {
            let over = difference(importer, node, &a, b.tensor)?;
            let relu = importer.push(node, "/relu", FloatOp::Activation(Activation::Relu), &[over])?;
            let less = arithmetic::negated(importer, node, "/less", relu)?;
            let output = add::push(importer, node, [a.tensor, less])?;
            Ok(Value::Activation(a.of(output)))
        }
    }
}

/// `Max` with a constant, or of two activations.
pub fn max(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operand(importer, node)? {
        Operand::Bound(view, low) => bounded_view(importer, node, &view, low, f32::INFINITY),
        // max(a, b) = b + relu(a - b)
        Operand::Activation(a, b) => {
            let over = difference(importer, node, &a, b.tensor)?;
            let relu = importer.push(node, "/relu", FloatOp::Activation(Activation::Relu), &[over])?;
            let output = add::push(importer, node, [b.tensor, relu])?;
            Ok(Value::Activation(b.of(output)))
        }
    }
}

/// `Max` of constants.
pub const MAX: Fold = Fold::Arithmetic(f32::max, |a, b| a.max(b));

/// `Min` of constants.
pub const MIN: Fold = Fold::Arithmetic(f32::min, |a, b| a.min(b));

/// `Pow` of constants.
pub const POW: Fold = Fold::Arithmetic(f32::powf, |a, b| u32::try_from(b).map_or(0, |b| a.wrapping_pow(b)));

/// What a maximum or minimum is taken with.
enum Operand {
    /// A number.
    Bound(View, f32),
    /// Another activation.
    Activation(View, View),
}

fn operand(importer: &Importer<'_>, node: &Node) -> Result<Operand, Problem> {
    if node.inputs.len() != 2 {
        return unsupported(format!("has {} inputs, supported are two", node.inputs.len()));
    }
    let (view, index) = match (importer.activation(node, 0), importer.activation(node, 1)) {
        (Ok(a), Ok(b)) if a.axes == b.axes && arithmetic::same_shape(importer, &a, &b) => {
            return Ok(Operand::Activation(a, b));
        }
        (Ok(a), Ok(b)) => return arithmetic::mismatch(importer, &a, &b),
        (Ok(view), Err(_)) => (view, 1),
        (Err(_), Ok(view)) => (view, 0),
        (Err(problem), Err(_)) => return Err(problem),
    };
    match bound(importer, node, index)? {
        Some(bound) => Ok(Operand::Bound(view, bound)),
        None => unsupported("lacks an operand"),
    }
}

fn difference(importer: &mut Importer<'_>, node: &Node, a: &View, b: TensorId) -> Result<TensorId, Problem> {
    let less = arithmetic::negated(importer, node, "/minus", b)?;
    importer.push(node, "/difference", FloatOp::Add, &[a.tensor, less])
}

fn bounded(importer: &mut Importer<'_>, node: &Node, low: f32, high: f32) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    bounded_view(importer, node, &view, low, high)
}

fn bounded_view(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    low: f32,
    high: f32,
) -> Result<Value, Problem> {
    let activation = match (low, high) {
        (low, high) if low.is_nan() || high.is_nan() || low > high => {
            return unsupported(format!("bounds {low} and {high} are in no order"));
        }
        (0.0, f32::INFINITY) => Activation::Relu,
        _ => Activation::Clip { low, high },
    };
    let output = importer.push(node, "", FloatOp::Activation(activation), &[view.tensor])?;
    Ok(Value::Activation(view.of(output)))
}

/// A single float at an input of the node.
fn bound(importer: &Importer<'_>, node: &Node, index: usize) -> Result<Option<f32>, Problem> {
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
            let gate = between(export, "Sigmoid", &[input], "/gate");
            mul::written(&[input, &gate], output)
        }
        Activation::Elu { alpha } => node("Elu").with("alpha", Attribute::Float(alpha)),
        Activation::Celu { alpha } => node("Celu").with("alpha", Attribute::Float(alpha)),
        Activation::Selu { alpha, gamma } => {
            node("Selu").with("alpha", Attribute::Float(alpha)).with("gamma", Attribute::Float(gamma))
        }
        Activation::ThresholdedRelu { alpha } => {
            node("ThresholdedRelu").with("alpha", Attribute::Float(alpha))
        }
        Activation::Softplus => node("Softplus"),
        Activation::Softsign => node("Softsign"),
        Activation::Abs => node("Abs"),
        Activation::Sqrt => node("Sqrt"),
        Activation::Exp => node("Exp"),
        Activation::Erf => node("Erf"),
        Activation::Pow { exponent } => {
            let exponent = export.constant("/exponent", Tensor::f32(&[], vec![exponent]));
            Node::new("Pow", &[input, &exponent], &[output])
        }
        // The opset that is written has neither of these as one operator.
        Activation::Mish => {
            let softplus = between(export, "Softplus", &[input], "/softplus");
            let gate = between(export, "Tanh", &[&softplus], "/gate");
            mul::written(&[input, &gate], output)
        }
        Activation::Gelu => {
            let root = export.constant("/root", Tensor::f32(&[], vec![std::f32::consts::FRAC_1_SQRT_2]));
            let scaled = between(export, "Mul", &[input, &root], "/scaled");
            let curve = between(export, "Erf", &[&scaled], "/curve");
            half_of_one_more(export, input, output, &curve)
        }
        Activation::GeluTanh => {
            let three = export.constant("/three", Tensor::f32(&[], vec![3.0]));
            let small = export.constant("/small", Tensor::f32(&[], vec![0.044715]));
            let factor = (2.0 / std::f32::consts::PI).sqrt();
            let factor = export.constant("/factor", Tensor::f32(&[], vec![factor]));
            let cube = between(export, "Pow", &[input, &three], "/cube");
            let part = between(export, "Mul", &[&cube, &small], "/part");
            let sum = between(export, "Add", &[input, &part], "/sum");
            let scaled = between(export, "Mul", &[&sum, &factor], "/scaled");
            let curve = between(export, "Tanh", &[&scaled], "/curve");
            half_of_one_more(export, input, output, &curve)
        }
    }
}

/// Adds a node before that of an operator; returns what it writes.
fn between(export: &mut Export<'_>, op: &str, inputs: &[&str], suffix: &str) -> String {
    let name = format!("{}{suffix}", export.output);
    export.onnx.nodes.push(Node::new(op, inputs, &[&name]));
    name
}

/// `x * (curve + 1) / 2`.
fn half_of_one_more(export: &mut Export<'_>, input: &str, output: &str, curve: &str) -> Node {
    let one = export.constant("/one", Tensor::f32(&[], vec![1.0]));
    let half = export.constant("/half", Tensor::f32(&[], vec![0.5]));
    let more = between(export, "Add", &[curve, &one], "/more");
    let gate = between(export, "Mul", &[&more, &half], "/gate");
    mul::written(&[input, &gate], output)
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
