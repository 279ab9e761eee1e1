//! `y = 1 / (1 + exp(-x))`: the slope is `y * (1 - y)`.

use goldcrest_onnx::Node;

use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};

pub(in crate::autodiff) struct Sigmoid;

impl Rule for Sigmoid {
    fn op(&self) -> &'static str {
        "Sigmoid"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, y) = (&node.inputs[0], &node.outputs[0]);
        let dx = match tape.dialect {
            Dialect::Training => {
                let dx = tape.declare_gradient(x)?;
                tape.append(Node::new("SigmoidGrad", &[dy, y], &[&dx]).in_domain("com.microsoft"))?;
                dx
            }
            Dialect::Standard => {
                let one = tape.scalar(1.0);
                let rest = tape.op("Sub", &[&one, y])?;
                let slope = tape.op("Mul", &[y, &rest])?;
                tape.op("Mul", &[dy, &slope])?
            }
        };
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::Node;

    #[test]
    fn gradient() {
        GradientCheck::of(Node::new("Sigmoid", &["x"], &["y"])).input("x", &[2, 3, 4, 5]).run();
    }
}
