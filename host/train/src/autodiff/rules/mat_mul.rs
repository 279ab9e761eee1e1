//! `Y = A * B`, for every matrix of a batch: `dA = dY * B^T`, `dB = A^T * dY`, summed over where a matrix was
//! used for the whole batch. Both dialects are `MatMul` and `Gemm`.

use goldcrest_onnx::{Attribute, Node};

use crate::autodiff::AutodiffError;
use crate::autodiff::broadcast::reduce_to;
use crate::autodiff::rule::{Positions, Rule};
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct MatMul;

impl Rule for MatMul {
    fn op(&self) -> &'static str {
        "MatMul"
    }

    fn parameters(&self) -> Positions {
        Positions { trainable: &[0, 1], ..Positions::default() }
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let (a, b) = (&node.inputs[0], &node.inputs[1]);
        if tape.wants(a) {
            let turned = turn(tape, b)?;
            let product = tape.op("MatMul", &[dy, &turned])?;
            let da = reduce_to(tape, &product, a)?;
            tape.add_gradient(a, da)?;
        }
        if tape.wants(b) {
            let db = if tape.shape(b)?.len() == 2 {
                weight_gradient(tape, a, b, dy)?
            } else {
                let turned = turn(tape, a)?;
                let product = tape.op("MatMul", &[&turned, dy])?;
                reduce_to(tape, &product, b)?
            };
            tape.add_gradient(b, db)?;
        }
        Ok(())
    }
}

/// All rows of all matrices of the batch at once.
fn weight_gradient(tape: &mut Tape, a: &str, b: &str, dy: &str) -> Result<String, AutodiffError> {
    let r#type = tape.type_of(b)?;
    let (Some(inner), Some(columns)) = (r#type.fixed(0), r#type.fixed(1)) else {
        let turned = turn(tape, a)?;
        let product = tape.op("MatMul", &[&turned, dy])?;
        return reduce_to(tape, &product, b);
    };
    let (inner, columns) = (tape.integers(&[-1, inner as i64]), tape.integers(&[-1, columns as i64]));
    let (a, dy) = (tape.op("Reshape", &[a, &inner])?, tape.op("Reshape", &[dy, &columns])?);
    tape.emit(Node::new("Gemm", &[&a, &dy], &[]).with("transA", Attribute::Int(1)))
}

/// The transpose of every matrix.
fn turn(tape: &mut Tape, value: &str) -> Result<String, AutodiffError> {
    let rank = tape.shape(value)?.len() as i64;
    let order: Vec<i64> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
    tape.transpose(value, &order)
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradient_check::GradientCheck;
    use goldcrest_onnx::Node;

    #[test]
    fn gradient() {
        for (a, b) in [
            (&[4, 3][..], &[3, 5][..]),
            (&[2, 4, 3], &[3, 5]),
            (&[2, 2, 4, 3], &[2, 2, 3, 5]),
            (&[2, 4, 3], &[1, 3, 5]),
            (&[4, 3], &[2, 3, 5]),
        ] {
            GradientCheck::of(Node::new("MatMul", &["a", "b"], &["y"])).input("a", a).input("b", b).run();
        }
    }
}
