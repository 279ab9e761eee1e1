//! Bounds of outputs, applied to finished values four at a time.
//!
//! The loops of the DSP kernels only saturate. Bounds lie within int8, so bounding the saturated value is
//! the same as bounding the value itself.

use core::cell::Cell;

use super::super::output::Output;
use super::super::simd::{load, max, min, store};

/// Bounds values; nothing to do where saturation is the only bound.
pub fn apply(last: &Output, values: &[Cell<i8>]) {
    if last.saturates() {
        return;
    }
    let [low, high] = last.bounds();
    let [lows, highs] = [low, high].map(|bound| u32::from_le_bytes([bound as u8; 4]));
    let whole = values.len() & !3;
    for at in (0..whole).step_by(4) {
        store(values, at, min(highs, max(lows, load(values, at))));
    }
    for value in values.iter().skip(whole) {
        value.set(value.get().max(low).min(high));
    }
}
