//! Dropout: each value is 0 with probability `ratio`, else `x / (1 - ratio)` (Srivastava et al., 2014).
//! The gradient is masked and scaled alike.

use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};
use crate::onnx::{Attribute, Data, Node, Tensor};

pub(in crate::autodiff) struct Dropout;

impl Rule for Dropout {
    fn op(&self) -> &'static str {
        "Dropout"
    }

    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        let ratio = ratio(tape, node)?;
        let (ratio, on) = (tape.scalar(ratio), tape.constant(Tensor::new(&[], Data::Bool(vec![true]))));
        let y = &node.outputs[0];
        let mut dropout = Node::new("Dropout", &[&node.inputs[0], &ratio, &on], &[y, &mask(node)]);
        let seed = node.int("seed").unwrap_or_else(|| tape.next_seed());
        dropout.attributes.insert("seed".into(), Attribute::Int(seed));
        tape.append(dropout)
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, ratio) = (&node.inputs[0], ratio(tape, node)?);
        let dx = match tape.dialect {
            Dialect::Training => {
                let dx = tape.declare_gradient(x)?;
                let (ratio, on) =
                    (tape.scalar(ratio), tape.constant(Tensor::new(&[], Data::Bool(vec![true]))));
                let inputs = [dy, &mask(node), &ratio, &on];
                tape.append(Node::new("DropoutGrad", &inputs, &[&dx]).in_domain("com.microsoft"))?;
                dx
            }
            Dialect::Standard => {
                let (zero, scaled) = (tape.scalar(0.0), tape.scale(dy, 1.0 / (1.0 - ratio))?);
                tape.op("Where", &[&mask(node), &scaled, &zero])?
            }
        };
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

fn mask(node: &Node) -> String {
    format!("{}.mask", node.outputs[0])
}

fn ratio(tape: &Tape, node: &Node) -> Result<f32, AutodiffError> {
    let Some(name) = node.inputs.get(1).filter(|name| !name.is_empty()) else { return Ok(0.5) };
    match tape.constants.get(name).and_then(Tensor::as_f32) {
        Some([ratio]) if (0.0..1.0).contains(ratio) => Ok(*ratio),
        _ => Err(AutodiffError::unsupported(node, format!("ratio `{name}` is no constant in 0..1"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::Dialect;
    use crate::autodiff::gradient_check::GradientCheck;
    use crate::onnx::{Node, Tensor};

    /// Finite differences would see another mask at every run. In one run, the output is
    /// `mask * x` and the gradient must be `mask * dy`.
    #[test]
    fn gradient() {
        for dialect in [Dialect::Training, Dialect::Standard] {
            let check = GradientCheck::of(Node::new("Dropout", &["x", "ratio"], &["y"]))
                .input_clear_of("x", &[10, 100], &[0.0])
                .constant("ratio", Tensor::f32(&[], vec![0.2]));
            let [x, y, dy, dx] = check.one_run(dialect);
            let kept = y.iter().filter(|&&y| y != 0.0).count();
            assert!((750..850).contains(&kept), "{dialect:?}: {kept} of 1000 are kept");
            for index in 0..1000 {
                assert!((y[index] * dy[index] - dx[index] * x[index]).abs() < 1e-5, "{dialect:?}");
                let ratio = y[index] / x[index];
                assert!(ratio == 0.0 || (ratio - 1.25).abs() < 1e-5, "{dialect:?}: {ratio}");
            }
        }
    }
}
