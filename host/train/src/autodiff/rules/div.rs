//! `y = a / b` with broadcasting: `da = dy / b`, `db = -dy * y / b`, summed over where they were broadcast.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::broadcast::reduce_to;
use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Div;

impl Rule for Div {
    fn op(&self) -> &'static str {
        "Div"
    }

    /// A parameter in steps of its grid.
    fn parameters(&self) -> Positions {
        Positions { trainable: &[0], before: Some("Round"), ..Positions::default() }
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (a, b, y) = (&node.inputs[0], &node.inputs[1], &node.outputs[0]);
        let quotient = tape.op("Div", &[dy, b])?;
        if tape.wants(a) {
            let gradient = reduce_to(tape, &quotient, a)?;
            tape.add_gradient(a, gradient)?;
        }
        if tape.wants(b) {
            let product = tape.op("Mul", &[&quotient, y])?;
            let sum = reduce_to(tape, &product, b)?;
            let gradient = tape.op("Neg", &[&sum])?;
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
        let near_zero: Vec<f32> = (-10..=10).map(|tenth| tenth as f32 / 10.0).collect();
        for b in [&[2, 3, 4][..], &[3, 1], &[]] {
            let node = Node::new("Div", &["a", "b"], &["y"]);
            GradientCheck::of(node).input("a", &[2, 3, 4]).input_clear_of("b", b, &near_zero).run();
        }
    }
}
