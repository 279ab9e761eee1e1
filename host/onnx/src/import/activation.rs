//! Elementwise functions of one activation.

use goldcrest_quantize::graph::{Activation, FloatOp};

use super::{Importer, Node, Problem, Value, affine, unsupported};

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
    let output = importer.push(node, "", FloatOp::Add, &[linear, scaled])?;
    Ok(Value::Activation(view.of(output)))
}
