//! Softmax cross entropy, averaged over the batch, with label smoothing `e`:
//! `(1 - e) * mean_n(-log p[n, label]) + e * mean_n,k(-log p[n, k])` (Szegedy et al., 2016). Where an image
//! is of several classes, their shares take the place of the label's 1.

use goldcrest_onnx::{Attribute, Data, Node, Tensor};

use super::tape::Tape;
use super::{AutodiffError, Dialect, Targets};

/// A loss with its slope.
pub(super) struct Loss {
    /// A float without axes.
    pub value: String,
    /// The gradient of the logits.
    pub gradient: String,
}

/// The loss of `targets` in the form `form`.
pub(super) fn softmax_cross_entropy(
    tape: &mut Tape,
    logits: &str,
    targets: &str,
    form: Targets,
    smoothing: f32,
) -> Result<Loss, AutodiffError> {
    let classes = classes(tape, logits)?;
    let even = smoothing / classes as f32;
    match (form, tape.dialect) {
        (Targets::Labels, Dialect::Training) => training(tape, logits, targets, smoothing),
        (Targets::Labels, Dialect::Standard) => {
            let depth = tape.integers(&[classes as i64]);
            let values = tape.constant(Tensor::f32(&[2], vec![even, 1.0 - smoothing + even]));
            let shares = tape.op("OneHot", &[targets, &depth, &values])?;
            of_shares(tape, logits, &shares)
        }
        (Targets::Shares, _) if smoothing == 0.0 => of_shares(tape, logits, targets),
        (Targets::Shares, _) => {
            let (kept, even) = (tape.scale(targets, 1.0 - smoothing)?, tape.scalar(even));
            let shares = tape.op("Add", &[&kept, &even])?;
            of_shares(tape, logits, &shares)
        }
    }
}

fn training(tape: &mut Tape, logits: &str, labels: &str, smoothing: f32) -> Result<Loss, AutodiffError> {
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
        return Ok(Loss { value: hard, gradient });
    }
    let mean = tape.emit(Node::new("ReduceMean", &[&log_p], &[]).with("keepdims", Attribute::Int(0)))?;
    let (hard, soft) = (tape.scale(&hard, 1.0 - smoothing)?, tape.scale(&mean, smoothing)?);
    let loss = tape.op("Sub", &[&hard, &soft])?;
    let (p, even) = (tape.op("Exp", &[&log_p])?, tape.scalar(1.0 / classes as f32));
    let difference = tape.op("Sub", &[&p, &even])?;
    let count = batch(tape, logits)?;
    let mean = tape.op("Div", &[&difference, &count])?;
    let soft = tape.scale(&mean, smoothing)?;
    let gradient = tape.op("Add", &[&gradient, &soft])?;
    Ok(Loss { value: loss, gradient })
}

/// The loss of shares that sum to 1 in each row, in standard operators.
fn of_shares(tape: &mut Tape, logits: &str, shares: &str) -> Result<Loss, AutodiffError> {
    let log_p = tape.emit(Node::new("LogSoftmax", &[logits], &[]).with("axis", Attribute::Int(1)))?;
    let count = batch(tape, logits)?;
    let likelihood = tape.op("Mul", &[shares, &log_p])?;
    let sum = total(tape, &likelihood)?;
    let mean = tape.op("Div", &[&sum, &count])?;
    let value = tape.op("Neg", &[&mean])?;

    let p = tape.op("Exp", &[&log_p])?;
    let difference = tape.op("Sub", &[&p, shares])?;
    let gradient = tape.op("Div", &[&difference, &count])?;
    Ok(Loss { value, gradient })
}

/// The sum of everything, a float without axes.
pub(super) fn total(tape: &mut Tape, values: &str) -> Result<String, AutodiffError> {
    tape.emit(Node::new("ReduceSum", &[values], &[]).with("keepdims", Attribute::Int(0)))
}

/// The number of images, as a float without axes.
pub(super) fn batch(tape: &mut Tape, logits: &str) -> Result<String, AutodiffError> {
    let shape = tape.shape_tensor(logits)?;
    let first = tape.constant(Tensor::new(&[], Data::I64(vec![0])));
    let size = tape.op("Gather", &[&shape, &first])?;
    let float = Attribute::Int(goldcrest_onnx::proto::data_type::FLOAT.into());
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
