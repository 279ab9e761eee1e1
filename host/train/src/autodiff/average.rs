//! The running mean of the weights over the steps (Polyak and Juditsky, 1992), one more tensor per parameter:
//!
//! ```text
//! keep = min(decay, t / (9 + t))          t: the number of the step, from 1
//! mean = keep * mean + (1 - keep) * w     w: the weights that the step begins with
//! ```
//!
//! The first steps forget the random beginning faster, as TensorFlow's `ExponentialMovingAverage` does.
//! Running statistics are averaged like weights.

use goldcrest_onnx::Tensor;

use super::tape::Tape;
use super::{AutodiffError, Parameter, Role};

/// The name of the mean of a parameter.
pub fn averaged(parameter: &str) -> String {
    format!("{parameter}.ema")
}

/// What a step adds to the mean: `1 - keep`, a float `[1]`.
pub(super) fn share(tape: &mut Tape, decay: f32) -> Result<String, AutodiffError> {
    let step = tape.step_number_next()?;
    let [nine, one, decay] = [9.0, 1.0, decay].map(|value| tape.constant(Tensor::f32(&[1], vec![value])));
    let slower = tape.op("Add", &[&step, &nine])?;
    let keep = tape.op("Div", &[&step, &slower])?;
    let keep = tape.op("Min", &[&keep, &decay])?;
    tape.op("Sub", &[&one, &keep])
}

/// The mean of a parameter whose value is `current`, as one more parameter.
pub(super) fn mean(
    tape: &mut Tape,
    parameter: &str,
    current: &str,
    initial: &Tensor,
    share: &str,
) -> Result<Parameter, AutodiffError> {
    let name = tape.declare(&averaged(parameter), parameter)?;
    let difference = tape.op("Sub", &[current, &name])?;
    let part = tape.op("Mul", &[&difference, share])?;
    let part = tape.reshape_like(&part, parameter)?;
    let next = tape.op("Add", &[&name, &part])?;
    Ok(Parameter { name, initial: initial.clone(), role: Role::Computed { next } })
}
