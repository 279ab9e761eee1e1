//! `y = x * max(0, min(1, x / 6 + 0.5))`: the slope is 0 below -3, 1 above 3, and `x / 3 + 0.5` between. ONNX
//! Runtime has no gradient operator for it, so both dialects are the same.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct HardSwish;

impl Rule for HardSwish {
    fn op(&self) -> &'static str {
        "HardSwish"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let x = &node.inputs[0];
        let (zero, half, one) = (tape.scalar(0.0), tape.scalar(0.5), tape.scalar(1.0));
        let (low, high) = (tape.scalar(-3.0), tape.scalar(3.0));
        let third = tape.scale(x, 1.0 / 3.0)?;
        let slope = tape.op("Add", &[&third, &half])?;
        let (above, below) = (tape.op("Greater", &[x, &low])?, tape.op("Less", &[x, &high])?);
        let slope = tape.op("Where", &[&below, &slope, &one])?;
        let slope = tape.op("Where", &[&above, &slope, &zero])?;
        let dx = tape.op("Mul", &[dy, &slope])?;
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
        let node = Node::new("HardSwish", &["x"], &["y"]);
        GradientCheck::of(node.clone()).input("x", &[2, 3, 4, 5]).run();
        let values = vec![-9.0, -4.0, -3.2, -2.8, -1.0, 0.0, 1.0, 2.8, 3.2, 4.0];
        GradientCheck::of(node).input_of("x", Tensor::f32(&[10], values)).run();
    }
}
