//! `y = x`.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Identity;

impl Rule for Identity {
    fn op(&self) -> &'static str {
        "Identity"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        tape.add_gradient(&node.inputs[0], dy.into())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::Node;

    #[test]
    fn gradient() {
        GradientCheck::of(Node::new("Identity", &["x"], &["y"])).input("x", &[2, 3]).run();
    }
}
