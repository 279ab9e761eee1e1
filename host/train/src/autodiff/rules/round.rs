//! `y = round(x)`, halves to even: the gradient passes as if nothing were rounded, the straight-through
//! estimator (Bengio, Léonard, Courville, 2013).

use goldcrest_onnx::Node;

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Round;

impl Rule for Round {
    fn op(&self) -> &'static str {
        "Round"
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        tape.add_gradient(&node.inputs[0], dy.into())?;
        Ok(())
    }
}
