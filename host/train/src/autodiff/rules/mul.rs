//! `y = a * b` with broadcasting: `da = dy * b`, `db = dy * a`, summed over where they were broadcast.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::broadcast::reduce_to;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Mul;

impl Rule for Mul {
    fn op(&self) -> &'static str {
        "Mul"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (a, b) = (&node.inputs[0], &node.inputs[1]);
        for (input, other) in [(a, b), (b, a)] {
            if tape.wants(input) {
                let gradient = tape.op("Mul", &[dy, other])?;
                let gradient = reduce_to(tape, &gradient, input)?;
                tape.add_gradient(input, gradient)?;
            }
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
        for b in [&[2, 3, 4, 5][..], &[2, 3, 1, 1], &[3, 1, 1], &[5], &[]] {
            let node = Node::new("Mul", &["a", "b"], &["y"]);
            GradientCheck::of(node).input("a", &[2, 3, 4, 5]).input("b", b).run();
        }
    }

    #[test]
    fn gradient_of_a_square() {
        GradientCheck::of(Node::new("Mul", &["a", "a"], &["y"])).input("a", &[2, 3]).run();
    }
}
