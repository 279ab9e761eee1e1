//! Requantization: from an int32 accumulator to an int8 activation, without floating point.
//!
//! A multiplier lives on the grid `M = k / 2^16`. On that grid the integer formula below equals
//! `saturate(round_half_even(f32(acc) * M) + zero_point)` as ONNX's `QLinearConv` computes it,
//! because every product that does not saturate fits the 24-bit significand of a float.

/// A requantization multiplier `k / 2^16` with `k >= 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier(u32);

impl Multiplier {
    /// Bits behind the binary point of the grid.
    pub const FRACTION_BITS: u32 = 16;
    /// The largest `k`: larger ones would not fit the signed 32-bit operand of the kernels.
    pub const MAX: Multiplier = Multiplier(i32::MAX as u32);

    /// The multiplier `k / 2^16`, or `None` when `k` is 0 or above [`Multiplier::MAX`].
    pub const fn new(k: u32) -> Option<Self> {
        if k == 0 || k > Self::MAX.0 { None } else { Some(Self(k)) }
    }

    /// `k`, the multiplier in units of `2^-16`.
    pub const fn k(self) -> u32 {
        self.0
    }

    /// The multiplier as a float; exact, because `k` times a power of two is a double.
    pub fn to_f64(self) -> f64 {
        f64::from(self.0) / 65536.0
    }
}

/// Rounds `t / 2^16` to the nearest integer, ties to even.
#[inline]
pub const fn round_shift(t: i64) -> i64 {
    (t + 0x7fff + ((t >> 16) & 1)) >> 16
}

/// `saturate(round_half_even(acc * k / 2^16) + zero_point)`, for any accumulator.
#[inline]
pub const fn requantize(acc: i32, multiplier: Multiplier, zero_point: i8) -> i8 {
    let y = round_shift(acc as i64 * multiplier.0 as i64) + zero_point as i64;
    if y > 127 {
        127
    } else if y < -128 {
        -128
    } else {
        y as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: ONNX `QLinearConv` in binary32, for a scale on the grid.
    fn reference(acc: i32, k: u32, zero_point: i8) -> i8 {
        let scaled = acc as f32 * (k as f32 / 65536.0);
        (scaled.round_ties_even() as f64 + f64::from(zero_point)).clamp(-128.0, 127.0) as i8
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200_000))]
        #[test]
        fn equals_the_float_definition(acc in -(1i32 << 24)..(1 << 24), k in 1u32..(1 << 17), zp: i8) {
            prop_assert_eq!(requantize(acc, Multiplier::new(k).unwrap(), zp), reference(acc, k, zp));
        }

        #[test]
        fn equals_the_definition_next_to_ties(y in -200i32..200, k in 1u32..2000, off in -2i64..3, zp: i8) {
            let acc = (((2 * i64::from(y) + 1) << 15) / i64::from(k) + off) as i32;
            prop_assert_eq!(requantize(acc, Multiplier::new(k).unwrap(), zp), reference(acc, k, zp));
        }

        #[test]
        fn equals_the_definition_at_any_accumulator(acc: i32, k in 1u32..=0x7fff_ffff, zp: i8) {
            // An f32 of a large accumulator is inexact, but then both sides saturate.
            let k = k & !0x7f | 0x80;
            let (got, want) = (requantize(acc, Multiplier::new(k).unwrap(), zp), reference(acc, k, zp));
            prop_assert_eq!(got, want);
        }
    }
}
