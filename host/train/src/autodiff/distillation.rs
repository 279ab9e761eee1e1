//! Learning from a teacher's logits: with temperature `T`, teacher probabilities `p = softmax(teacher / T)`
//! and own ones `q = softmax(logits / T)`, the loss is `T^2 * mean_n sum_k p log(p / q)`, whose gradient is
//! `T * (q - p) / N` (Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015).

use goldcrest_onnx::{Attribute, Node};

use super::AutodiffError;
use super::loss::{Loss, batch, total};
use super::tape::Tape;

/// How much a teacher says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distillation {
    /// Share of the teacher in the loss, in `0..=1`; the rest is that of the targets.
    pub weight: f32,
    /// Softens both distributions, above 0; 1 leaves them as they are.
    pub temperature: f32,
}

impl Distillation {
    pub(super) fn check(&self) -> Result<(), AutodiffError> {
        let Self { weight, temperature } = *self;
        if !(0.0..=1.0).contains(&weight) {
            return Err(AutodiffError::Option { option: "distill_weight", value: weight, range: "0..=1" });
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            let range = "the positive numbers";
            return Err(AutodiffError::Option { option: "temperature", value: temperature, range });
        }
        Ok(())
    }

    /// The loss against the teacher, not yet weighted.
    fn divergence(&self, tape: &mut Tape, logits: &str, teacher: &str) -> Result<Loss, AutodiffError> {
        let mut log_softmax = |values: &str| {
            let soft = tape.scale(values, 1.0 / self.temperature)?;
            tape.emit(Node::new("LogSoftmax", &[&soft], &[]).with("axis", Attribute::Int(1)))
        };
        let (log_q, log_p) = (log_softmax(logits)?, log_softmax(teacher)?);
        let (q, p) = (tape.op("Exp", &[&log_q])?, tape.op("Exp", &[&log_p])?);
        let ratio = tape.op("Sub", &[&log_p, &log_q])?;
        let terms = tape.op("Mul", &[&p, &ratio])?;
        let (sum, count) = (total(tape, &terms)?, batch(tape, logits)?);
        let mean = tape.op("Div", &[&sum, &count])?;
        let value = tape.scale(&mean, self.temperature * self.temperature)?;
        let difference = tape.op("Sub", &[&q, &p])?;
        let gradient = tape.op("Div", &[&difference, &count])?;
        Ok(Loss { value, gradient: tape.scale(&gradient, self.temperature)? })
    }

    /// `loss` with the teacher's share in it.
    pub(super) fn mix(
        &self,
        tape: &mut Tape,
        loss: Loss,
        logits: &str,
        teacher: &str,
    ) -> Result<Loss, AutodiffError> {
        let other = self.divergence(tape, logits, teacher)?;
        let mut weigh = |own: &str, other: &str| {
            let (own, other) = (tape.scale(own, 1.0 - self.weight)?, tape.scale(other, self.weight)?);
            tape.op("Add", &[&own, &other])
        };
        Ok(Loss {
            value: weigh(&loss.value, &other.value)?,
            gradient: weigh(&loss.gradient, &other.gradient)?,
        })
    }
}
