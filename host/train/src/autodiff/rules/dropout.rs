//! Dropout: each value is 0 with probability `ratio`, else `x / (1 - ratio)` (Srivastava et al., 2014).
//! The gradient is masked and scaled alike.
//!
//! ONNX's own operator draws from a generator inside of the session, which a checkpoint does not hold. Here
//! the mask is a function of the seed, the node, the step and the position, in integers: a resumed run drops
//! the same values, and so do both dialects. Positions are scrambled by three rounds of `h (2h + 1)` modulo
//! `2^30` and a rotation, the mixing of the cipher RC6.

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::{Attribute, Data, Node, Tensor};

use crate::autodiff::AutodiffError;
use crate::autodiff::rule::Rule;
use crate::autodiff::tape::Tape;

pub(in crate::autodiff) struct Dropout;

/// Numbers are drawn below this.
const RANGE: i64 = 1 << 30;
/// Half of their bits.
const HALF: i64 = 1 << 15;

impl Rule for Dropout {
    fn op(&self) -> &'static str {
        "Dropout"
    }

    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        let (x, y, ratio) = (&node.inputs[0], &node.outputs[0], ratio(tape, node)?);
        let seed = node.int("seed").unwrap_or_else(|| tape.next_seed());
        let drawn = draw(tape, x, seed)?;
        let limit = tape.constant(Tensor::i64s(&[(f64::from(ratio) * RANGE as f64) as i64]));
        tape.append(Node::new("GreaterOrEqual", &[&drawn, &limit], &[&mask(node)]))?;
        let (zero, scaled) = (tape.scalar(0.0), tape.scale(x, 1.0 / (1.0 - ratio))?);
        tape.append(Node::new("Where", &[&mask(node), &scaled, &zero], &[y]))
    }

    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError> {
        let ratio = ratio(tape, node)?;
        let (zero, scaled) = (tape.scalar(0.0), tape.scale(dy, 1.0 / (1.0 - ratio))?);
        let dx = tape.op("Where", &[&mask(node), &scaled, &zero])?;
        tape.add_gradient(&node.inputs[0], dx)?;
        Ok(())
    }
}

/// A number below [`RANGE`] for each value of `x`.
fn draw(tape: &mut Tape, x: &str, seed: i64) -> Result<String, AutodiffError> {
    let step = tape.step_number()?;
    let integer = Attribute::Int(data_type::INT64.into());
    let step = tape.emit(Node::new("Cast", &[&step], &[]).with("to", integer))?;
    let number = |tape: &mut Tape, value: i64| tape.constant(Tensor::i64s(&[value]));
    let (range, half) = (number(tape, RANGE), number(tape, HALF));
    let (spread, scramble) = (number(tape, 668_265_263), number(tape, 374_761_393));
    let offset = number(tape, seed.wrapping_mul(0x9e37_79b9).rem_euclid(RANGE));
    let step = tape.op("Mul", &[&step, &scramble])?;
    let start = tape.op("Add", &[&step, &offset])?;

    let (size, scalars) =
        (tape.op("Size", &[x])?, [0, 1].map(|value| Tensor::new(&[], Data::I64(vec![value]))));
    let [first, delta] = scalars.map(|scalar| tape.constant(scalar));
    let positions = tape.op("Range", &[&first, &size, &delta])?;
    let positions = tape.op("Mul", &[&positions, &spread])?;
    let mut h = tape.op("Add", &[&positions, &start])?;
    let (one, two) = (number(tape, 1), number(tape, 2));
    for _ in 0..3 {
        let low = tape.op("Mod", &[&h, &range])?;
        let double = tape.op("Mul", &[&low, &two])?;
        let odd = tape.op("Add", &[&double, &one])?;
        let product = tape.op("Mul", &[&low, &odd])?;
        let product = tape.op("Mod", &[&product, &range])?;
        let (high, low) = (tape.op("Div", &[&product, &half])?, tape.op("Mod", &[&product, &half])?);
        let turned = tape.op("Mul", &[&low, &half])?;
        let turned = tape.op("Add", &[&turned, &high])?;
        h = tape.op("Add", &[&turned, &scramble])?;
    }
    let h = tape.op("Mod", &[&h, &range])?;
    let shape = tape.shape_tensor(x)?;
    tape.op("Reshape", &[&h, &shape])
}

fn mask(node: &Node) -> String {
    format!("{}.mask", node.outputs[0])
}

fn ratio(tape: &Tape, node: &Node) -> Result<f32, AutodiffError> {
    let Some(name) = node.inputs.get(1).filter(|name| !name.is_empty()) else { return Ok(0.5) };
    match tape.constants.get(name).and_then(Tensor::as_f32) {
        Some([ratio]) if (0.0..1.0).contains(ratio) => Ok(*ratio),
        _ => Err(AutodiffError::unsupported(node, format!("ratio `{name}` is not a constant in 0..1"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::Dialect;
    use crate::autodiff::gradient_check::{GradientCheck, distance};
    use goldcrest_onnx::{Node, Tensor};

    /// Finite differences would see another mask at every run. In one run, the output is
    /// `mask * x` and the gradient must be `mask * dy`; the mask of a seed and a step is the same in both
    /// dialects.
    #[test]
    fn gradient() {
        let results = [Dialect::Training, Dialect::Standard].map(|dialect| {
            let check = GradientCheck::of(Node::new("Dropout", &["x", "ratio"], &["y"]))
                .input_clear_of("x", &[10, 100], &[0.0])
                .constant("ratio", Tensor::f32(&[], vec![0.2]));
            let [x, y, dy, dx] = check.one_run(dialect);
            let kept = y.iter().filter(|&&y| y != 0.0).count();
            assert!((750..850).contains(&kept), "{dialect:?}: {kept} of 1000 are kept");
            for index in 0..1000 {
                assert!((y[index] * dy[index] - dx[index] * x[index]).abs() < 1e-5, "{dialect:?}");
                let ratio = y[index] / x[index];
                assert!(ratio == 0.0 || (ratio - 1.25).abs() < 1e-5, "{dialect:?}: {ratio}");
            }
            [y, dx]
        });
        let [[y, dx], [other_y, other_dx]] = &results;
        assert!(distance(y, other_y) < 1e-4 && distance(dx, other_dx) < 1e-4);
    }
}
