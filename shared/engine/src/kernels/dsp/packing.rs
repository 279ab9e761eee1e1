//! What the orders of the DSP kernels share: output channels in pairs, weights in words.

use alloc::vec::Vec;

use super::super::Family;
use super::super::packing::LayerSpec;
use super::HEIGHT;
use crate::image::{Channel, Record};

/// Largest magnitude of an accumulator that two channels in one word allow.
const ACCUMULATOR_LIMIT: i64 = 1 << 23;

/// Whether the layer is a convolution whose weights have that many bits, for a core with DSP instructions.
pub fn is_convolution(layer: &LayerSpec<'_>, bits: usize) -> bool {
    layer.preferences.family == Family::Dsp && layer.is_convolution(bits)
}

/// Whether the layer is depthwise with one output channel per input channel, in the reach of the DSP kernels.
pub fn is_depthwise(layer: &LayerSpec<'_>) -> bool {
    let Record { window, groups, output, wide, .. } = layer.record;
    let one = layer.is_depthwise() && output.shape.channels == groups;
    is_convolution(layer, 8) && one && window.kernel[0] <= HEIGHT && !wide
}

/// Whether accumulators fit where two channels share a word.
pub fn fits_pairs(layer: &LayerSpec<'_>) -> bool {
    let (low, high) = layer.accumulators;
    low >= -ACCUMULATOR_LIMIT && high < ACCUMULATOR_LIMIT
}

/// Numbers as the bytes of a stream of weights.
pub fn le_bytes<const N: usize>(numbers: [i32; N]) -> impl Iterator<Item = i8> {
    numbers.into_iter().flat_map(i32::to_le_bytes).map(|byte| byte as i8)
}

/// Weights as halfwords of a stream of weights.
pub fn halfwords(weights: impl IntoIterator<Item = i16>) -> impl Iterator<Item = i8> {
    weights.into_iter().flat_map(i16::to_le_bytes).map(|byte| byte as i8)
}

/// The first of the two channels of each pair; an odd last channel is paired with the one before it.
pub fn pairs(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels.div_ceil(2)).map(move |pair| (2 * pair).min(channels - 2))
}

/// Channel constants of a pair with weights of `BITS` bits: the second accumulator sums both channels.
pub fn pair_constants<const BITS: usize>(a: Channel, b: Channel) -> [Channel; 2] {
    let bias = b.bias.wrapping_mul(1 << BITS).wrapping_add(a.bias);
    [a, Channel { bias, multiplier: b.multiplier }]
}

/// The words of a run of two channels, filled up with zeros: for each four taps an even and an odd one, or
/// one where weights have four bits.
pub fn run_words<const BITS: usize>(a: &[i8], b: &[i8]) -> Vec<[i8; 4]> {
    let tap = |run: &[i8], at: usize| run.get(at).copied().unwrap_or(0);
    let mut words = Vec::new();
    for quad in (0..a.len()).step_by(4) {
        if BITS == 4 {
            words.push([0, 1, 2, 3].map(|at| (tap(b, quad + at) << 4) | (tap(a, quad + at) + 8)));
            continue;
        }
        for first in [quad, quad + 1] {
            words.push(word([tap(a, first), tap(a, first + 2)], [tap(b, first), tap(b, first + 2)]));
        }
    }
    words
}

/// Two taps of two channels in one word, as the halfwords `256 b + a`.
fn word(a: [i8; 2], b: [i8; 2]) -> [i8; 4] {
    let half = |tap: usize| (256 * i32::from(b[tap]) + i32::from(a[tap])) as i16;
    let ([w, x], [y, z]) = (half(0).to_le_bytes(), half(1).to_le_bytes());
    [w, x, y, z].map(|byte| byte as i8)
}

/// What is added to products before the shift: `0x7fff`, and the output's zero point in the upper half.
pub fn rounding(layer: &LayerSpec<'_>) -> i32 {
    0x7fff + (i32::from(layer.record.output_zero) << 16)
}
