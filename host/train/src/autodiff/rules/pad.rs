//! Zeros around a tensor: the gradient loses what was added, which is padding by the negative.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Pad;

impl Rule for Pad {
    fn op(&self) -> &'static str {
        "Pad"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        if let Some(mode) = node.string("mode").filter(|mode| *mode != "constant") {
            return Err(AutodiffError::unsupported(
                node,
                format!("mode = {mode} has no gradient rule, only constant"),
            ));
        }
        let Some(pads) = node.inputs.get(1).and_then(|pads| tape.constants.get(pads)?.as_i64()) else {
            return Err(AutodiffError::unsupported(node, "pads are not constant"));
        };
        let negative: Vec<i64> = pads.iter().map(|pad| -pad).collect();
        let negative = tape.integers(&negative);
        let dx = tape.op("Pad", &[dy, &negative])?;
        tape.add_gradient(&node.inputs[0], dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Node, Tensor};

    #[test]
    fn gradient() {
        for pads in [[0, 0, 1, 2, 0, 0, 3, 0], [0, 1, 0, -1, 0, 2, -2, 1]] {
            GradientCheck::of(Node::new("Pad", &["x", "pads"], &["y"]))
                .input("x", &[2, 3, 4, 5])
                .constant("pads", Tensor::i64s(&pads))
                .run();
        }
    }
}
