//! Concatenation: each input gets its slice of the gradient.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Concat;

impl Rule for Concat {
    fn op(&self) -> &'static str {
        "Concat"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let axis = node.int("axis").unwrap_or(1);
        let rank = tape.shape(dy)?.len() as i64;
        let axis = if axis < 0 { axis + rank } else { axis };
        let mut start = 0;
        for input in &node.inputs {
            let Some(size) = tape.type_of(input)?.fixed(axis as usize) else {
                return Err(AutodiffError::unsupported(
                    node,
                    format!("axis {axis} of `{input}` must be fixed"),
                ));
            };
            let end = start + size as i64;
            if tape.wants(input) {
                let (starts, ends, axes) =
                    (tape.integers(&[start]), tape.integers(&[end]), tape.integers(&[axis]));
                let part = tape.op("Slice", &[dy, &starts, &ends, &axes])?;
                tape.add_gradient(input, part)?;
            }
            start = end;
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
        for axis in [1, -3] {
            let node = Node::new("Concat", &["a", "b", "c"], &["y"]).with("axis", Attribute::Int(axis));
            GradientCheck::of(node)
                .input("a", &[2, 3, 4, 2])
                .input("b", &[2, 1, 4, 2])
                .input("c", &[2, 2, 4, 2])
                .run();
        }
    }

    #[test]
    fn gradient_of_a_value_joined_to_itself() {
        let node = Node::new("Concat", &["a", "a"], &["y"]).with("axis", Attribute::Int(-1));
        GradientCheck::of(node).input("a", &[2, 3]).run();
    }
}
