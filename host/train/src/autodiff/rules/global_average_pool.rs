//! Mean over all rows and columns: every value gets an equal part of the gradient. ONNX Runtime has
//! no gradient operator for it, so both dialects are the same.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct GlobalAveragePool;

impl Rule for GlobalAveragePool {
    fn op(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let Some([rows, columns]) = tape.type_of(x)?.rows_and_columns() else {
            return Err(AutodiffError::unsupported(node, "rows and columns of its input must be fixed"));
        };
        let part = tape.scale(dy, 1.0 / (rows * columns) as f32)?;
        let shape = tape.shape_tensor(x)?;
        let dx = tape.op("Expand", &[&part, &shape])?;
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::Node;

    #[test]
    fn gradient() {
        let node = Node::new("GlobalAveragePool", &["x"], &["y"]);
        GradientCheck::of(node).input("x", &[2, 3, 4, 5]).run();
    }
}
