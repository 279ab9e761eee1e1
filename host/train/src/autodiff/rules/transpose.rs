//! Axes in another order: the gradient takes the order back.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Transpose;

impl Rule for Transpose {
    fn op(&self) -> &'static str {
        "Transpose"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let rank = tape.shape(dy)?.len() as i64;
        let reversed: Vec<i64> = (0..rank).rev().collect();
        let order = node.ints("perm").unwrap_or(&reversed);
        let back = |axis: i64| {
            order.iter().position(|&from| from == axis || from + rank == axis).unwrap_or(0) as i64
        };
        let back: Vec<i64> = (0..rank).map(back).collect();
        let dx = tape.transpose(dy, &back)?;
        tape.add_gradient(&node.inputs[0], dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    #[test]
    fn gradient() {
        let node = Node::new("Transpose", &["x"], &["y"]);
        GradientCheck::of(node.clone()).input("x", &[2, 3, 4, 5]).run();
        let node = node.with("perm", Attribute::Ints(vec![0, 2, 3, 1]));
        GradientCheck::of(node).input("x", &[2, 3, 4, 5]).run();
    }
}
