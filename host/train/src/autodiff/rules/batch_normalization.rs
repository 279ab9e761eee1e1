//! Batch normalization: `y = scale * (x - mean) / sqrt(variance + epsilon) + bias`, per channel, with mean
//! and variance over batch, rows and columns (Ioffe and Szegedy, 2015).
//!
//! In training the statistics are those of the batch, and the running statistics move towards them:
//! `running * momentum + batch * (1 - momentum)`, the batch's variance being divided by the number of values,
//! not one less, as ONNX defines it. Where scale and bias are both frozen, the running statistics normalize
//! and stay.
//!
//! The training dialect takes Goldcrest's own operators ([`crate::operators`]), which take a Relu along that
//! follows ([`with_relu`]).
//!
//! With `n` the normalized values: `dbias = sum(dy)`, `dscale = sum(dy * n)`,
//! `dx = scale / sqrt(variance + epsilon) * (dy - mean(dy) - n * mean(dy * n))`.

use std::collections::BTreeSet;

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::{Attribute, Node};

use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};
use crate::operators;

pub(in crate::autodiff) struct BatchNormalization;

impl Rule for BatchNormalization {
    fn op(&self) -> &'static str {
        "BatchNormalization"
    }

    fn parameters(&self) -> Positions {
        Positions { trainable: &[1, 2], statistics: &[3, 4], ..Positions::default() }
    }

    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        let [_, scale, bias, mean, variance] = &node.inputs[..] else {
            return Err(AutodiffError::unsupported(node, "it takes 5 inputs"));
        };
        if !uses_batch(tape, node) {
            let mut node = node.clone();
            node.attributes.remove("training_mode");
            node.outputs.truncate(1);
            return tape.append(node);
        }
        let y = &node.outputs[0];
        let next_mean = tape.declare(&format!("{mean}.next"), mean)?;
        let next_variance = tape.declare(&format!("{variance}.next"), variance)?;
        match tape.dialect {
            Dialect::Training => {
                let batch_mean = tape.declare(&saved(node, "mean"), scale)?;
                let deviation = tape.declare(&saved(node, "inverse_deviation"), scale)?;
                let mut own = node.clone().in_domain(operators::DOMAIN);
                own.outputs =
                    vec![y.clone(), next_mean.clone(), next_variance.clone(), batch_mean, deviation];
                tape.declare(y, &node.inputs[0])?;
                tape.append(own)?;
            }
            Dialect::Standard => {
                let normalized = normalize(tape, node, &next_mean, &next_variance)?;
                let scale = column(tape, node, scale)?;
                let bias = column(tape, node, bias)?;
                let scaled = tape.op("Mul", &[&normalized, &scale])?;
                tape.append(Node::new("Add", &[&scaled, &bias], &[y]))?;
            }
        }
        tape.computed.push((mean.clone(), next_mean));
        tape.computed.push((variance.clone(), next_variance));
        Ok(())
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        match (uses_batch(tape, node), tape.dialect) {
            (false, _) => by_running_statistics(tape, node, dy),
            (true, Dialect::Training) => training(tape, node, dy),
            (true, Dialect::Standard) => standard(tape, node, dy),
        }
    }
}

/// The attribute of a batch normalization that takes Relu along.
const RELU: &str = "relu";

/// Nodes with each Relu joined to the batch normalization before it, where nothing else reads between them
/// and the batch normalization is trained.
pub(in crate::autodiff) fn with_relu(nodes: &[Node], trainable: &BTreeSet<String>) -> Vec<Node> {
    let readers =
        |value: &String| nodes.iter().flat_map(|node| &node.inputs).filter(|&input| input == value).count();
    let mut joined: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let before = (node.op == "Relu" && node.domain.is_empty())
            .then(|| joined.iter().rposition(|other| other.outputs.first() == node.inputs.first()))
            .flatten()
            .filter(|&at| joined[at].op == "BatchNormalization" && joined[at].domain.is_empty())
            .filter(|&at| joined[at].inputs.iter().skip(1).take(2).any(|input| trainable.contains(input)))
            .filter(|&at| readers(&joined[at].outputs[0]) == 1);
        match before {
            Some(at) => {
                let joined = &mut joined[at];
                joined.outputs[0] = node.outputs[0].clone();
                joined.attributes.insert(RELU.into(), Attribute::Int(1));
            }
            None => joined.push(node.clone()),
        }
    }
    joined
}

fn uses_batch(tape: &Tape, node: &Node) -> bool {
    tape.wants(&node.inputs[1]) || tape.wants(&node.inputs[2])
}

/// What the forward pass keeps for the backward pass.
fn saved(node: &Node, part: &str) -> String {
    format!("{}.{part}", node.outputs[0])
}

fn epsilon(node: &Node) -> f32 {
    node.float("epsilon").unwrap_or(1e-5)
}

/// All axes but that of the channels.
fn axes(tape: &Tape, node: &Node) -> Result<Vec<i64>, AutodiffError> {
    let rank = tape.shape(&node.inputs[0])?.len() as i64;
    Ok((0..rank).filter(|&axis| axis != 1).collect())
}

/// A tensor with one value per channel in a shape that broadcasts over the input.
fn column(tape: &mut Tape, node: &Node, value: &str) -> Result<String, AutodiffError> {
    let rank = tape.shape(&node.inputs[0])?.len();
    let mut shape = vec![1; rank - 1];
    shape[0] = -1;
    let shape = tape.integers(&shape);
    tape.op("Reshape", &[value, &shape])
}

fn mean_over_batch(tape: &mut Tape, node: &Node, value: &str) -> Result<String, AutodiffError> {
    let axes = axes(tape, node)?;
    tape.emit(Node::new("ReduceMean", &[value], &[]).with("axes", Attribute::Ints(axes)))
}

/// Appends the normalized values, and the next running statistics under the given names.
fn normalize(
    tape: &mut Tape,
    node: &Node,
    next_mean: &str,
    next_variance: &str,
) -> Result<String, AutodiffError> {
    let (x, running_mean, running_variance) = (&node.inputs[0], &node.inputs[3], &node.inputs[4]);
    let mean = mean_over_batch(tape, node, x)?;
    let centered = tape.op("Sub", &[x, &mean])?;
    let square = tape.op("Mul", &[&centered, &centered])?;
    let variance = mean_over_batch(tape, node, &square)?;
    let epsilon = tape.scalar(epsilon(node));
    let shifted = tape.op("Add", &[&variance, &epsilon])?;
    let deviation = tape.op("Sqrt", &[&shifted])?;
    let inverse = saved(node, "inverse_deviation");
    tape.append(Node::new("Reciprocal", &[&deviation], &[&inverse]))?;
    let normalized = saved(node, "normalized");
    tape.append(Node::new("Mul", &[&centered, &inverse], &[&normalized]))?;

    let momentum = node.float("momentum").unwrap_or(0.9);
    for (running, batch, next) in
        [(running_mean, mean, next_mean), (running_variance, variance, next_variance)]
    {
        let batch = tape.reshape_like(&batch, running)?;
        let (kept, moved) = (tape.scale(running, momentum)?, tape.scale(&batch, 1.0 - momentum)?);
        tape.append(Node::new("Add", &[&kept, &moved], &[next]))?;
    }
    Ok(normalized)
}

fn training(tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
    let (mean, deviation) = (saved(node, "mean"), saved(node, "inverse_deviation"));
    let inputs = [dy, &node.inputs[0], &node.inputs[1], &node.inputs[2], &mean, &deviation];
    let mut outputs = Vec::new();
    for input in &node.inputs[..3] {
        outputs.push(tape.declare_gradient(input)?);
    }
    let mut grad = Node::new("BatchNormalizationGrad", &inputs, &[]).in_domain(operators::DOMAIN);
    grad.name = outputs[0].clone();
    grad.outputs = outputs.clone();
    tape.append(grad.with(RELU, Attribute::Int(node.int(RELU).unwrap_or(0))))?;
    for (input, gradient) in node.inputs.iter().zip(outputs) {
        if tape.wants(input) {
            tape.add_gradient(input, gradient)?;
        }
    }
    Ok(())
}

fn standard(tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
    let (x, scale, bias) = (&node.inputs[0], &node.inputs[1], &node.inputs[2]);
    let (normalized, inverse) = (saved(node, "normalized"), saved(node, "inverse_deviation"));
    let axes = axes(tape, node)?;
    let sum = tape.reduce_sum(dy, &axes, true)?;
    let product = tape.op("Mul", &[dy, &normalized])?;
    let product_sum = tape.reduce_sum(&product, &axes, true)?;
    for (parameter, gradient) in [(bias, &sum), (scale, &product_sum)] {
        if tape.wants(parameter) {
            let gradient = tape.reshape_like(gradient, parameter)?;
            tape.add_gradient(parameter, gradient)?;
        }
    }
    if !tape.wants(x) {
        return Ok(());
    }
    let size = tape.op("Size", &[x])?;
    let float = Attribute::Int(data_type::FLOAT.into());
    let size = tape.emit(Node::new("Cast", &[&size], &[]).with("to", float))?;
    let channels = tape.type_of(scale)?.fixed(0).unwrap_or(1);
    let count = tape.scale(&size, 1.0 / channels as f32)?;
    let (mean, product_mean) = (tape.op("Div", &[&sum, &count])?, tape.op("Div", &[&product_sum, &count])?);
    let along = tape.op("Mul", &[&normalized, &product_mean])?;
    let centered = tape.op("Sub", &[dy, &mean])?;
    let rest = tape.op("Sub", &[&centered, &along])?;
    let scale = column(tape, node, scale)?;
    let slope = tape.op("Mul", &[&scale, &inverse])?;
    let dx = tape.op("Mul", &[&rest, &slope])?;
    tape.add_gradient(x, dx)?;
    Ok(())
}

fn by_running_statistics(tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
    let epsilon = tape.scalar(epsilon(node));
    let shifted = tape.op("Add", &[&node.inputs[4], &epsilon])?;
    let deviation = tape.op("Sqrt", &[&shifted])?;
    let slope = tape.op("Div", &[&node.inputs[1], &deviation])?;
    let slope = column(tape, node, &slope)?;
    let dx = tape.op("Mul", &[dy, &slope])?;
    tape.add_gradient(&node.inputs[0], dx)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node, Tensor};

    fn node() -> Node {
        Node::new("BatchNormalization", &["x", "scale", "bias", "mean", "variance"], &["y"])
            .with("epsilon", Attribute::Float(1e-3))
    }

    fn check(shape: &[usize]) -> GradientCheck {
        GradientCheck::of(node())
            .input("x", shape)
            .constant("mean", Tensor::f32(&[3], vec![0.5, -1.0, 2.0]))
            .constant("variance", Tensor::f32(&[3], vec![1.0, 2.0, 0.5]))
    }

    #[test]
    fn gradient_over_images() {
        check(&[3, 3, 4, 5]).input("scale", &[3]).input("bias", &[3]).run();
    }

    #[test]
    fn gradient_over_vectors() {
        check(&[7, 3]).input("scale", &[3]).input("bias", &[3]).run();
    }

    #[test]
    fn gradient_with_running_statistics() {
        check(&[3, 3, 4, 5])
            .constant("scale", Tensor::f32(&[3], vec![0.5, -1.0, 2.0]))
            .constant("bias", Tensor::f32(&[3], vec![0.5, -1.0, 2.0]))
            .run();
    }
}
