//! Mean over axes: every value gets an equal part of the gradient. PyTorch's `x.mean([2, 3])`, a
//! global average pool, is exported as this.

use goldcrest_onnx::{Dimension, Node};

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct ReduceMean;

impl Rule for ReduceMean {
    fn op(&self) -> &'static str {
        "ReduceMean"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let mut shape = tape.shape(x)?;
        let rank = shape.len() as i64;
        let all: Vec<i64> = (0..rank).collect();
        let mut count = 1;
        for &axis in node.ints("axes").unwrap_or(&all) {
            let axis = if axis < 0 { axis + rank } else { axis } as usize;
            let Dimension::Fixed(size) = std::mem::replace(&mut shape[axis], Dimension::Fixed(1)) else {
                return Err(AutodiffError::unsupported(node, format!("axis {axis} is not fixed")));
            };
            count *= size;
        }
        let part = tape.scale(dy, 1.0 / count as f32)?;
        let open = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => *size,
            Dimension::Named(_) => -1,
        };
        let kept: Vec<i64> = shape.iter().map(open).collect();
        let kept = tape.integers(&kept);
        let part = tape.op("Reshape", &[&part, &kept])?;
        let target = tape.shape_tensor(x)?;
        let dx = tape.op("Expand", &[&part, &target])?;
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
        for keep in [0, 1] {
            for axes in [vec![2, 3], vec![-1], vec![1, -1]] {
                let node = Node::new("ReduceMean", &["x"], &["y"])
                    .with("axes", Attribute::Ints(axes))
                    .with("keepdims", Attribute::Int(keep));
                GradientCheck::of(node).input("x", &[2, 3, 4, 5]).run();
            }
        }
    }
}
