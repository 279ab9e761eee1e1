//! The sums of a pair of output channels in plain Rust: what the loops in assembly compute.

use super::super::simd::{even, multiply_add, odd};

/// The accumulators of channels `a` and `b` from where the sums start, the words of weights, and the widened
/// values, two words for each four taps.
pub fn sums<const BITS: usize>(
    [mut low, mut both]: [i32; 2],
    weights: impl Iterator<Item = u32>,
    mut values: impl Iterator<Item = u32>,
) -> [i32; 2] {
    if BITS == 8 {
        for (weight, value) in weights.zip(values) {
            low = multiply_add(low, even(weight), value);
            both = multiply_add(both, weight, value);
        }
        return [low, both.wrapping_sub(low) >> 8];
    }
    // Bytes are `16 b + a + 8`.
    let mut eights = 0;
    for weight in weights {
        for word in [even(weight), odd(weight)] {
            let value = values.next().unwrap_or(0);
            low = multiply_add(low, word & 0x000f_000f, value);
            both = multiply_add(both, word, value);
            eights = multiply_add(eights, 0x0008_0008, value);
        }
    }
    [low.wrapping_sub(eights), both.wrapping_sub(low) >> 4]
}
