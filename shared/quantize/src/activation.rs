//! Elementwise functions in double precision: what int8 tables are made from.

use super::graph::Activation;

impl Activation {
    /// The function's value.
    pub fn apply(&self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        match *self {
            Self::Relu => x.max(0.0),
            Self::Clip { low, high } => x.max(f64::from(low)).min(f64::from(high)),
            Self::LeakyRelu { alpha } if x < 0.0 => f64::from(alpha) * x,
            Self::LeakyRelu { .. } => x,
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => libm::tanh(x),
            Self::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Silu => x * sigmoid(x),
        }
    }

    /// The bounds `(low, high)` of functions that only bound their input, which a convolution or an
    /// addition before them can do.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Relu => Some((0.0, f64::INFINITY)),
            Self::Clip { low, high } => Some((f64::from(low), f64::from(high))),
            _ => None,
        }
    }
}
