//! Softmax cross entropy, averaged over the batch, with label smoothing `e`:
//! `(1 - e) * mean_n(-log p[n, label]) + e * mean_n,k(-log p[n, k])` (Szegedy et al., 2016).

use super::tape::Tape;
use super::{AutodiffError, Dialect};
use crate::onnx::{Attribute, Node, Tensor};

/// The loss (a scalar), and the gradient of the logits.
pub(super) fn softmax_cross_entropy(
    tape: &mut Tape,
    logits: &str,
    labels: &str,
    smoothing: f32,
) -> Result<(String, String), AutodiffError> {
    match tape.dialect {
        Dialect::Training => training(tape, logits, labels, smoothing),
        Dialect::Standard => standard(tape, logits, labels, smoothing),
    }
}

fn training(
    tape: &mut Tape,
    logits: &str,
    labels: &str,
    smoothing: f32,
) -> Result<(String, String), AutodiffError> {
    let classes = classes(tape, logits)?;
    let reduction = || Attribute::String("mean".into());
    let log_p = tape.declare("loss.log_probability", logits)?;
    let seed = tape.scalar(1.0 - smoothing);
    let hard = tape.declare("loss.cross_entropy", &seed)?;
    tape.append(
        Node::new("SoftmaxCrossEntropyLoss", &[logits, labels], &[&hard, &log_p])
            .with("reduction", reduction()),
    )?;
    let gradient = tape.declare_gradient(logits)?;
    tape.append(
        Node::new("SoftmaxCrossEntropyLossGrad", &[&seed, &log_p, labels], &[&gradient])
            .in_domain("com.microsoft")
            .with("reduction", reduction()),
    )?;
    if smoothing == 0.0 {
        return Ok((hard, gradient));
    }
    let mean = tape.emit(Node::new("ReduceMean", &[&log_p], &[]).with("keepdims", Attribute::Int(0)))?;
    let (hard, soft) = (tape.scale(&hard, 1.0 - smoothing)?, tape.scale(&mean, smoothing)?);
    let loss = tape.op("Sub", &[&hard, &soft])?;
    let (p, even) = (tape.op("Exp", &[&log_p])?, tape.scalar(1.0 / classes as f32));
    let difference = tape.op("Sub", &[&p, &even])?;
    let count = batch(tape, labels)?;
    let mean = tape.op("Div", &[&difference, &count])?;
    let soft = tape.scale(&mean, smoothing)?;
    let gradient = tape.op("Add", &[&gradient, &soft])?;
    Ok((loss, gradient))
}

fn standard(
    tape: &mut Tape,
    logits: &str,
    labels: &str,
    smoothing: f32,
) -> Result<(String, String), AutodiffError> {
    let classes = classes(tape, logits)?;
    let log_p = tape.emit(Node::new("LogSoftmax", &[logits], &[]).with("axis", Attribute::Int(1)))?;
    let even = smoothing / classes as f32;
    let depth = tape.integers(&[classes as i64]);
    let values = tape.constant(Tensor::f32(&[2], vec![even, 1.0 - smoothing + even]));
    let target = tape.op("OneHot", &[labels, &depth, &values])?;
    let count = batch(tape, labels)?;

    let likelihood = tape.op("Mul", &[&target, &log_p])?;
    let sum = tape.emit(Node::new("ReduceSum", &[&likelihood], &[]).with("keepdims", Attribute::Int(0)))?;
    let mean = tape.op("Div", &[&sum, &count])?;
    let loss = tape.op("Neg", &[&mean])?;

    let p = tape.op("Exp", &[&log_p])?;
    let difference = tape.op("Sub", &[&p, &target])?;
    let gradient = tape.op("Div", &[&difference, &count])?;
    Ok((loss, gradient))
}

/// The number of images, as a float without axes.
fn batch(tape: &mut Tape, labels: &str) -> Result<String, AutodiffError> {
    let size = tape.op("Size", &[labels])?;
    let float = Attribute::Int(crate::onnx::proto::data_type::FLOAT.into());
    tape.emit(Node::new("Cast", &[&size], &[]).with("to", float))
}

fn classes(tape: &Tape, logits: &str) -> Result<usize, AutodiffError> {
    let found = tape.type_of(logits)?;
    match (found.shape.len(), found.fixed(1)) {
        (2, Some(classes)) if classes > 0 => Ok(classes),
        _ => Err(AutodiffError::Signature(format!(
            "its output `{logits}` is {found}, logits are [N, classes]"
        ))),
    }
}
