//! `y = max(0, min(1, alpha * x + beta))`: the slope is `alpha` where `0 < y < 1`. ONNX Runtime has
//! no gradient operator for it, so both dialects are the same.

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct HardSigmoid;

impl Rule for HardSigmoid {
    fn op(&self) -> &'static str {
        "HardSigmoid"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (x, y) = (&node.inputs[0], &node.outputs[0]);
        let (zero, one) = (tape.scalar(0.0), tape.scalar(1.0));
        let (above, below) = (tape.op("Greater", &[y, &zero])?, tape.op("Less", &[y, &one])?);
        let inside = tape.op("And", &[&above, &below])?;
        let sloped = tape.scale(dy, node.float("alpha").unwrap_or(0.2))?;
        let dx = tape.op("Where", &[&inside, &sloped, &zero])?;
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
        let node = Node::new("HardSigmoid", &["x"], &["y"])
            .with("alpha", Attribute::Float(0.5))
            .with("beta", Attribute::Float(0.25));
        GradientCheck::of(node).input_clear_of("x", &[2, 3, 4, 5], &[-0.5, 1.5]).run();
    }
}
