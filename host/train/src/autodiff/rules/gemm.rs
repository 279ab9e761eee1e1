//! `Y = alpha * A' * B' + beta * C`, where `A'` is `A` or its transpose, and `B'` likewise:
//! `dA' = alpha * dY * B'^T`, `dB' = alpha * A'^T * dY`, `dC = beta * dY` summed over where C was broadcast.
//! Both dialects are `Gemm`.

use goldcrest_onnx::{Attribute, Node};

use crate::autodiff::AutodiffError;
use crate::autodiff::broadcast::reduce_to;
use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Gemm;

impl Rule for Gemm {
    fn op(&self) -> &'static str {
        "Gemm"
    }

    fn parameters(&self) -> Positions {
        Positions { trainable: &[0, 1, 2], ..Positions::default() }
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (a, b) = (&node.inputs[0], &node.inputs[1]);
        let flag = |name: &str| node.int(name).unwrap_or(0) != 0;
        let (turned_a, turned_b) = (flag("transA"), flag("transB"));
        let alpha = node.float("alpha").unwrap_or(1.0);
        let product = |left: &str, turn_left: bool, right: &str, turn_right: bool| {
            Node::new("Gemm", &[left, right], &[])
                .with("transA", Attribute::Int(turn_left.into()))
                .with("transB", Attribute::Int(turn_right.into()))
                .with("alpha", Attribute::Float(alpha))
        };
        if tape.wants(a) {
            let da = tape.emit(match turned_a {
                false => product(dy, false, b, !turned_b),
                true => product(b, turned_b, dy, true),
            })?;
            tape.add_gradient(a, da)?;
        }
        if tape.wants(b) {
            let db = tape.emit(match turned_b {
                false => product(a, !turned_a, dy, false),
                true => product(dy, true, a, turned_a),
            })?;
            tape.add_gradient(b, db)?;
        }
        if let Some(c) = node.inputs.get(2).filter(|c| tape.wants(c)) {
            let dc = reduce_to(tape, dy, c)?;
            let dc = tape.scale(&dc, node.float("beta").unwrap_or(1.0))?;
            tape.add_gradient(c, dc)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Attribute, Node};

    #[test]
    fn gradient() {
        for (turn_a, a) in [(0, [4, 3]), (1, [3, 4])] {
            for (turn_b, b) in [(0, [3, 5]), (1, [5, 3])] {
                for bias in [&[5][..], &[1, 5], &[4, 1], &[4, 5], &[]] {
                    let node = Node::new("Gemm", &["a", "b", "c"], &["y"])
                        .with("transA", Attribute::Int(turn_a))
                        .with("transB", Attribute::Int(turn_b))
                        .with("alpha", Attribute::Float(0.5))
                        .with("beta", Attribute::Float(1.5));
                    GradientCheck::of(node).input("a", &a).input("b", &b).input("c", bias).run();
                }
            }
        }
    }

    #[test]
    fn gradient_without_bias() {
        let node = Node::new("Gemm", &["a", "b"], &["y"]);
        GradientCheck::of(node).input("a", &[2, 3]).input("b", &[3, 4]).run();
    }
}
