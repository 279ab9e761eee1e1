//! `y = x` above 0 and `alpha * x` below.

use goldcrest_onnx::{Attribute, Node};

use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;
use crate::autodiff::{AutodiffError, Dialect};

pub(in crate::autodiff) struct LeakyRelu;

impl Rule for LeakyRelu {
    fn op(&self) -> &'static str {
        "LeakyRelu"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, y) = (&node.inputs[0], &node.outputs[0]);
        let alpha = node.float("alpha").unwrap_or(0.01);
        let dx = match tape.dialect {
            Dialect::Training => {
                let dx = tape.declare_gradient(x)?;
                let grad = Node::new("LeakyReluGrad", &[dy, y], &[&dx]).in_domain("com.microsoft");
                tape.append(grad.with("alpha", Attribute::Float(alpha)))?;
                dx
            }
            Dialect::Standard => {
                let zero = tape.scalar(0.0);
                let above = tape.op("Greater", &[x, &zero])?;
                let sloped = tape.scale(dy, alpha)?;
                tape.op("Where", &[&above, dy, &sloped])?
            }
        };
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    #[test]
    fn gradient() {
        for node in [
            Node::new("LeakyRelu", &["x"], &["y"]),
            Node::new("LeakyRelu", &["x"], &["y"]).with("alpha", Attribute::Float(0.3)),
        ] {
            GradientCheck::of(node).input_clear_of("x", &[2, 3, 4, 5], &[0.0]).run();
        }
    }
}
