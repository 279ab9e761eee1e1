//! What happens to gradients before the optimizer sees them: clipping, weight decay, momentum.
//!
//! ONNX Runtime's `SGDOptimizerV2` knows only `p -= learning_rate * direction`, so momentum lives in
//! the graph: the velocity `v` of a parameter is one more tensor that a step computes anew, and the
//! direction is `v`, as in PyTorch's `torch.optim.SGD`:
//!
//! ```text
//! g = gradient + weight_decay * p          (coupled decay)
//! v = momentum * v + g
//! direction = v, or g + momentum * v       (Nesterov)
//! direction += weight_decay * p            (decoupled decay)
//! ```

use goldcrest_onnx::{Attribute, Node, Tensor};

use super::tape::Tape;
use super::{AutodiffError, Parameter, Role};

/// Momentum and weight decay.
#[derive(Clone, Debug, PartialEq)]
pub struct Momentum {
    /// Part of the velocity that a step keeps, in `0..1`; 0 keeps none.
    pub momentum: f32,
    /// Looks one step ahead (Nesterov).
    pub nesterov: bool,
    /// Pull of every weight towards 0.
    pub weight_decay: f32,
    /// The pull does not enter the velocity (Loshchilov and Hutter, 2019).
    pub decoupled: bool,
    /// Biases and normalization parameters are pulled too; else tensors of one axis are not.
    pub decay_all: bool,
}

impl Default for Momentum {
    fn default() -> Self {
        Self { momentum: 0.9, nesterov: false, weight_decay: 0.0, decoupled: false, decay_all: false }
    }
}

impl Momentum {
    pub(super) fn check(&self) -> Result<(), AutodiffError> {
        for (option, value) in [("momentum", self.momentum), ("weight_decay", self.weight_decay)] {
            if !(0.0..1.0).contains(&value) {
                return Err(AutodiffError::Option { option, value, range: "0..1" });
            }
        }
        Ok(())
    }

    /// The direction of a parameter's step, and its velocity as one more parameter.
    pub(super) fn direction(
        &self,
        tape: &mut Tape,
        parameter: &str,
        initial: &Tensor,
        gradient: &str,
    ) -> Result<(String, Option<Parameter>), AutodiffError> {
        let decays = self.weight_decay > 0.0 && (self.decay_all || initial.shape.len() > 1);
        let mut gradient = gradient.to_owned();
        if decays && !self.decoupled {
            let pull = tape.scale(parameter, self.weight_decay)?;
            gradient = tape.op("Add", &[&gradient, &pull])?;
        }
        let (mut direction, mut velocity) = (gradient.clone(), None);
        if self.momentum > 0.0 {
            let name = tape.declare(&format!("{parameter}.mom"), parameter)?;
            let kept = tape.scale(&name, self.momentum)?;
            let next = tape.op("Add", &[&kept, &gradient])?;
            direction = if self.nesterov {
                let ahead = tape.scale(&next, self.momentum)?;
                tape.op("Add", &[&gradient, &ahead])?
            } else {
                next.clone()
            };
            let initial = Tensor::f32(&initial.shape, vec![0.0; initial.data.len()]);
            velocity = Some(Parameter { name, initial, role: Role::Computed { next } });
        }
        if decays && self.decoupled {
            let pull = tape.scale(parameter, self.weight_decay)?;
            direction = tape.op("Add", &[&direction, &pull])?;
        }
        Ok((direction, velocity))
    }
}

/// Scales gradients so that their common norm is at most `limit` (Pascanu et al., 2013).
pub(super) fn clip(tape: &mut Tape, gradients: &[String], limit: f32) -> Result<Vec<String>, AutodiffError> {
    let mut total: Option<String> = None;
    for gradient in gradients {
        let square =
            tape.emit(Node::new("ReduceSumSquare", &[gradient], &[]).with("keepdims", Attribute::Int(0)))?;
        total = Some(match total {
            None => square,
            Some(total) => tape.op("Add", &[&total, &square])?,
        });
    }
    let Some(total) = total else { return Ok(Vec::new()) };
    let norm = tape.op("Sqrt", &[&total])?;
    let (limit, tiny, one) = (tape.scalar(limit), tape.scalar(1e-6), tape.scalar(1.0));
    let norm = tape.op("Add", &[&norm, &tiny])?;
    let ratio = tape.op("Div", &[&limit, &norm])?;
    let factor = tape.op("Min", &[&ratio, &one])?;
    gradients.iter().map(|gradient| tape.op("Mul", &[gradient, &factor])).collect()
}
