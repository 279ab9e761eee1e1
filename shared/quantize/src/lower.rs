//! Numbers of int8 operators, from real ones.

use super::fusion::Step;
use super::graph::{Clamp, Quantization};
use super::quantizer::QuantizeError;
use goldcrest_engine::requantize::Multiplier;

/// The multiplier on the grid nearest to a real one.
pub fn multiplier(step: &Step<'_>, channel: usize, real: f64) -> Result<Multiplier, QuantizeError> {
    on_grid(step, channel, libm::rint(real * 65536.0).max(1.0))
}

/// The multiplier `k / 2^16`.
pub fn on_grid(step: &Step<'_>, channel: usize, k: f64) -> Result<Multiplier, QuantizeError> {
    let found = if k <= f64::from(u32::MAX) { Multiplier::new(k as u32) } else { None };
    found.ok_or_else(|| QuantizeError::Multiplier {
        node: step.node.name.clone(),
        channel,
        multiplier: k / 65536.0,
    })
}

/// Bounds of real values on a grid.
pub fn clamp(bounds: Option<(f64, f64)>, grid: Quantization) -> Clamp {
    let Some((low, high)) = bounds else { return Clamp::NONE };
    Clamp { low: grid.value(low), high: grid.value(high) }
}
