//! `Flatten`, `Reshape`, `Squeeze`, `Unsqueeze`: the gradient takes the input's shape again.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

/// The operator by name.
pub(in crate::autodiff) struct Reshape(pub &'static str);

impl Rule for Reshape {
    fn op(&self) -> &'static str {
        self.0
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let dx = tape.reshape_like(dy, &node.inputs[0])?;
        tape.add_gradient(&node.inputs[0], dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    use goldcrest_onnx::Tensor;

    #[test]
    fn gradient() {
        let flatten = Node::new("Flatten", &["x"], &["y"]).with("axis", Attribute::Int(1));
        GradientCheck::of(flatten).input("x", &[2, 3, 2, 2]).run();
        for (op, shape, argument) in [
            ("Reshape", &[2, 3, 4][..], &[0, -1][..]),
            ("Squeeze", &[2, 1, 3, 1], &[1, 3]),
            ("Unsqueeze", &[2, 3], &[1, -1]),
        ] {
            GradientCheck::of(Node::new(op, &["x", "argument"], &["y"]))
                .input("x", shape)
                .constant("argument", Tensor::i64s(argument))
                .run();
        }
    }
}
