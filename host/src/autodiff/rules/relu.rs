//! `y = max(x, 0)`: the gradient passes where `y > 0`.

use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};
use crate::onnx::Node;

pub(in crate::autodiff) struct Relu;

impl Rule for Relu {
    fn op(&self) -> &'static str {
        "Relu"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, y) = (&node.inputs[0], &node.outputs[0]);
        let dx = match tape.dialect {
            // Reading y rather than x leaves ONNX Runtime free to fuse the Relu into what comes before.
            Dialect::Training => {
                let dx = tape.declare_gradient(x)?;
                tape.append(Node::new("ReluGrad", &[dy, y], &[&dx]).in_domain("com.microsoft"))?;
                dx
            }
            Dialect::Standard => {
                let zero = tape.scalar(0.0);
                let passes = tape.op("Greater", &[y, &zero])?;
                tape.op("Where", &[&passes, dy, &zero])?
            }
        };
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use crate::onnx::Node;

    #[test]
    fn gradient() {
        GradientCheck::of(Node::new("Relu", &["x"], &["y"])).input_clear_of("x", &[2, 3, 4, 5], &[0.0]).run();
    }
}
