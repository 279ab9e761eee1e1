//! The gradient of broadcasting is summing.

use goldcrest_onnx::Dimension;

use super::AutodiffError;
use super::tape::Tape;

/// Sums `gradient` over the axes along which `value` was broadcast to its shape.
pub(super) fn reduce_to(tape: &mut Tape, gradient: &str, value: &str) -> Result<String, AutodiffError> {
    let (from, to) = (tape.shape(gradient)?, tape.shape(value)?);
    let added = from.len() - to.len().min(from.len());
    let is_repeated = |axis: &usize| match axis.checked_sub(added) {
        None => true,
        Some(own) => to[own] == Dimension::Fixed(1) && from[*axis] != Dimension::Fixed(1),
    };
    let axes: Vec<i64> = (0..from.len()).filter(is_repeated).map(|axis| axis as i64).collect();
    if axes.is_empty() {
        return Ok(gradient.into());
    }
    // With only leading axes to sum, the sum has its shape at once.
    let keep = axes.iter().any(|&axis| axis as usize >= added);
    let sum = tape.reduce_sum(gradient, &axes, keep)?;
    tape.reshape_like(&sum, value)
}
