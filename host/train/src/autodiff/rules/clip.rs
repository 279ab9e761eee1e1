//! `y = min(max(x, low), high)`: the gradient passes where `y = x`, the bounds included, as in
//! PyTorch's `clamp`. ONNX Runtime has no gradient operator for it, so both dialects are the same.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Clip;

impl Rule for Clip {
    fn op(&self) -> &'static str {
        "Clip"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, y) = (&node.inputs[0], &node.outputs[0]);
        let zero = tape.scalar(0.0);
        let passes = tape.op("Equal", &[x, y])?;
        let dx = tape.op("Where", &[&passes, dy, &zero])?;
        tape.add_gradient(x, dx)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::{Node, Tensor};

    #[test]
    fn gradient() {
        for inputs in [&["x", "low", "high"][..], &["x", "low"], &["x", "", "high"], &["x"]] {
            GradientCheck::of(Node::new("Clip", inputs, &["y"]))
                .input_clear_of("x", &[2, 3, 4, 5], &[-0.5, 1.0])
                .constant("low", Tensor::f32(&[], vec![-0.5]))
                .constant("high", Tensor::f32(&[], vec![1.0]))
                .run();
        }
    }
}
