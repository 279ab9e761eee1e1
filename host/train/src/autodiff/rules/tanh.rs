//! `y = tanh(x)`: the slope is `1 - y * y`.

use goldcrest_onnx::Node;

use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};

pub(in crate::autodiff) struct Tanh;

impl Rule for Tanh {
    fn op(&self) -> &'static str {
        "Tanh"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, y) = (&node.inputs[0], &node.outputs[0]);
        let dx = match tape.dialect {
            Dialect::Training => {
                let dx = tape.declare_gradient(x)?;
                tape.append(Node::new("TanhGrad", &[dy, y], &[&dx]).in_domain("com.microsoft"))?;
                dx
            }
            Dialect::Standard => {
                let one = tape.scalar(1.0);
                let square = tape.op("Mul", &[y, y])?;
                let slope = tape.op("Sub", &[&one, &square])?;
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
        GradientCheck::of(Node::new("Tanh", &["x"], &["y"])).input("x", &[2, 3, 4, 5]).run();
    }
}
