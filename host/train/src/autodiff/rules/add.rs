//! `y = a + b` and `y = a - b` with broadcasting: the gradient passes, summed over where it was broadcast.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::broadcast::reduce_to;
use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Add;

impl Rule for Add {
    fn op(&self) -> &'static str {
        "Add"
    }

    /// A linear layer on more than two axes is exported as `MatMul` and `Add`.
    fn parameters(&self) -> Positions {
        Positions { trainable: &[0, 1], after: Some("MatMul"), ..Positions::default() }
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        for input in node.inputs.iter().take(2) {
            if tape.wants(input) {
                let gradient = reduce_to(tape, dy, input)?;
                tape.add_gradient(input, gradient)?;
            }
        }
        Ok(())
    }
}

pub(in crate::autodiff) struct Sub;

impl Rule for Sub {
    fn op(&self) -> &'static str {
        "Sub"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (a, b) = (&node.inputs[0], &node.inputs[1]);
        if tape.wants(a) {
            let gradient = reduce_to(tape, dy, a)?;
            tape.add_gradient(a, gradient)?;
        }
        if tape.wants(b) {
            let gradient = reduce_to(tape, dy, b)?;
            let gradient = tape.op("Neg", &[&gradient])?;
            tape.add_gradient(b, gradient)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::Node;

    #[test]
    fn gradient() {
        for op in ["Add", "Sub"] {
            for b in [&[2, 3, 4, 5][..], &[3, 1, 1], &[1, 3, 1, 5], &[5], &[]] {
                let node = Node::new(op, &["a", "b"], &["y"]);
                GradientCheck::of(node).input("a", &[2, 3, 4, 5]).input("b", b).run();
                let node = Node::new(op, &["b", "a"], &["y"]);
                GradientCheck::of(node).input("a", &[2, 3, 4, 5]).input("b", b).run();
            }
        }
    }

    #[test]
    fn gradient_of_a_value_added_to_itself() {
        GradientCheck::of(Node::new("Add", &["a", "a"], &["y"])).input("a", &[2, 3]).run();
    }
}
