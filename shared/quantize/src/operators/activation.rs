//! Elementwise functions of one input, in double precision: what int8 tables are made from.

use goldcrest_engine::shape::Shape;

use super::lookup::Lookup;
use super::{Channels, FloatOperator, QuantizedOp};
use crate::fusion::Step;
use crate::infer::{Infer, ShapeError, one};
use crate::quantizer::{Builder, QuantizeError};

/// Elementwise functions, named as in ONNX.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, low), high)`; Relu6 is `Clip { 0, 6 }`.
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// `x < 0 ? alpha * x : x`
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(0, min(1, alpha * x + beta))`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `x * sigmoid(x)`
    Silu,
    /// `x < 0 ? alpha * (exp(x) - 1) : x`
    Elu {
        /// How far below zero it reaches.
        alpha: f32,
    },
    /// `x < 0 ? alpha * (exp(x / alpha) - 1) : x`
    Celu {
        /// How far below zero it reaches.
        alpha: f32,
    },
    /// `gamma * (x > 0 ? x : alpha * (exp(x) - 1))`
    Selu {
        /// How far below zero it reaches, before it is scaled.
        alpha: f32,
        /// Slope above zero.
        gamma: f32,
    },
    /// `x > alpha ? x : 0`
    ThresholdedRelu {
        /// Where it begins.
        alpha: f32,
    },
    /// `x / 2 * (1 + erf(x / sqrt(2)))`
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`
    GeluTanh,
    /// `x * tanh(softplus(x))`
    Mish,
    /// `log(1 + exp(x))`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `|x|`
    Abs,
    /// Square root; 0 below zero.
    Sqrt,
    /// `e^x`
    Exp,
    /// The error function.
    Erf,
    /// `x^exponent`; 0 where that is no number.
    Pow {
        /// The exponent.
        exponent: f32,
    },
}

impl Activation {
    /// The function's value.
    pub fn apply(&self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        // `exp` overflows where the function is its argument.
        let softplus = |x: f64| x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
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
            Self::Elu { alpha } if x < 0.0 => f64::from(alpha) * libm::expm1(x),
            Self::Celu { alpha } if x < 0.0 => f64::from(alpha) * libm::expm1(x / f64::from(alpha)),
            Self::Elu { .. } | Self::Celu { .. } => x,
            Self::Selu { alpha, gamma } if x <= 0.0 => f64::from(gamma) * f64::from(alpha) * libm::expm1(x),
            Self::Selu { gamma, .. } => f64::from(gamma) * x,
            Self::ThresholdedRelu { alpha } if x > f64::from(alpha) => x,
            Self::ThresholdedRelu { .. } => 0.0,
            Self::Gelu => x / 2.0 * (1.0 + libm::erf(x * core::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044715 * x * x * x);
                x / 2.0 * (1.0 + libm::tanh(inner))
            }
            Self::Mish => x * libm::tanh(softplus(x)),
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Abs => x.abs(),
            Self::Sqrt => libm::sqrt(x.max(0.0)),
            Self::Exp => libm::exp(x),
            Self::Erf => libm::erf(x),
            Self::Pow { exponent } => {
                let power = libm::pow(x, f64::from(exponent));
                if power.is_finite() { power } else { 0.0 }
            }
        }
    }

    /// Whether `f(c * x) = c * f(x)` for every `c > 0`.
    fn is_homogeneous(&self) -> bool {
        matches!(self, Self::Relu | Self::LeakyRelu { .. } | Self::Abs)
    }
}

impl Infer for Activation {
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        one(inputs)
    }
}

impl FloatOperator for Activation {
    fn bounds(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Relu => Some((0.0, f64::INFINITY)),
            Self::Clip { low, high } => Some((f64::from(low), f64::from(high))),
            _ => None,
        }
    }

    fn channels(&self) -> Channels {
        if self.is_homogeneous() { Channels::Shared } else { Channels::Fixed }
    }

    fn is_identity(&self) -> bool {
        *self == Self::Clip { low: f32::NEG_INFINITY, high: f32::INFINITY }
    }

    fn lower(&self, builder: &mut Builder<'_>, step: &Step<'_>) -> Result<(), QuantizeError> {
        let (input, output) = (builder.context.input(step, 0), builder.context.output(step));
        let table = Lookup::of(input, output, |x| self.apply(x));
        builder.push(step, QuantizedOp::Lookup(table));
        Ok(())
    }
}
