//! AdamW (Loshchilov and Hutter, 2019) inside the graph, as `torch.optim.AdamW` computes it:
//!
//! ```text
//! m = beta_1 * m + (1 - beta_1) * g
//! v = beta_2 * v + (1 - beta_2) * g^2
//! direction = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon) + weight_decay * p
//! ```
//!
//! `m`, `v` and the powers of the betas are tensors that a step computes anew, so that a checkpoint holds
//! them.

use goldcrest_onnx::Tensor;

use super::tape::Tape;
use super::{AutodiffError, Parameter, Role};

/// AdamW's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Part of the mean gradient that a step keeps, in `0..1`.
    pub beta_1: f32,
    /// Part of the mean squared gradient that a step keeps, in `0..1`.
    pub beta_2: f32,
    /// Added to the deviation.
    pub epsilon: f32,
    /// Pull of every weight towards 0; tensors of one axis are not pulled.
    pub weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// Names of the tensors that hold `beta_1^t` and `beta_2^t`.
const POWERS: [&str; 2] = ["adamw.beta_1_power", "adamw.beta_2_power"];

impl AdamW {
    pub(super) fn check(&self) -> Result<(), AutodiffError> {
        for (option, value) in
            [("beta_1", self.beta_1), ("beta_2", self.beta_2), ("weight_decay", self.weight_decay)]
        {
            if !(0.0..1.0).contains(&value) {
                return Err(AutodiffError::Option { option, value, range: "0..1" });
            }
        }
        Ok(())
    }

    /// The powers of the betas as two more parameters, and what `m` and `v` are divided by in this step.
    pub(super) fn corrections(
        &self,
        tape: &mut Tape,
    ) -> Result<([String; 2], Vec<Parameter>), AutodiffError> {
        let one = tape.constant(Tensor::f32(&[1], vec![1.0]));
        let (mut corrections, mut parameters) = ([const { String::new() }; 2], Vec::new());
        for ((name, beta), correction) in
            POWERS.into_iter().zip([self.beta_1, self.beta_2]).zip(&mut corrections)
        {
            let name = tape.declare(name, &one)?;
            let next = tape.scale(&name, beta)?;
            *correction = tape.op("Sub", &[&one, &next])?;
            parameters.push(Parameter {
                name,
                initial: Tensor::f32(&[1], vec![1.0]),
                role: Role::Computed { next },
            });
        }
        Ok((corrections, parameters))
    }

    /// The direction of a parameter's step, and its two means as more parameters.
    pub(super) fn direction(
        &self,
        tape: &mut Tape,
        parameter: &str,
        initial: &Tensor,
        gradient: &str,
        corrections: &[String; 2],
    ) -> Result<(String, Vec<Parameter>), AutodiffError> {
        let square = tape.op("Mul", &[gradient, gradient])?;
        let mut means = Vec::new();
        let mut corrected = Vec::new();
        for ((suffix, beta, value), correction) in
            [("m", self.beta_1, gradient), ("v", self.beta_2, &square)].into_iter().zip(corrections)
        {
            let name = tape.declare(&format!("{parameter}.{suffix}"), parameter)?;
            let (kept, added) = (tape.scale(&name, beta)?, tape.scale(value, 1.0 - beta)?);
            let next = tape.op("Add", &[&kept, &added])?;
            let divided = tape.op("Div", &[&next, correction])?;
            corrected.push(tape.reshape_like(&divided, parameter)?);
            let zeros = Tensor::f32(&initial.shape, vec![0.0; initial.data.len()]);
            means.push(Parameter { name, initial: zeros, role: Role::Computed { next } });
        }
        let deviation = tape.op("Sqrt", &[&corrected[1]])?;
        let epsilon = tape.scalar(self.epsilon);
        let deviation = tape.op("Add", &[&deviation, &epsilon])?;
        let mut direction = tape.op("Div", &[&corrected[0], &deviation])?;
        if self.weight_decay > 0.0 && initial.shape.len() > 1 {
            let pull = tape.scale(parameter, self.weight_decay)?;
            direction = tape.op("Add", &[&direction, &pull])?;
        }
        Ok((direction, means))
    }
}
