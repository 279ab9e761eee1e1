//! From an accumulator to an int8 output: requantization, zero point, bounds.

use crate::image::Record;

/// The last step of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    zero: i32,
    low: i32,
    high: i32,
    wide: bool,
}

impl Output {
    /// The last step of a layer, as its record describes it.
    #[inline]
    pub fn new(record: &Record) -> Self {
        let (low, high) = (i32::from(record.low), i32::from(record.high));
        Self { zero: i32::from(record.output_zero), low, high, wide: record.wide }
    }

    /// `clamp(saturate(round_half_even(acc * multiplier / 2^16) + zero))`.
    #[inline]
    pub fn value(&self, acc: i32, multiplier: i32) -> i8 {
        if self.wide { self.wide_value(acc, multiplier) } else { self.finish(acc.wrapping_mul(multiplier)) }
    }

    #[inline(never)]
    fn wide_value(&self, acc: i32, multiplier: i32) -> i8 {
        let t = i64::from(acc) * i64::from(multiplier);
        let rounded = (t + 0x7fff + ((t >> 16) & 1)) >> 16;
        // Beyond the bounds of an i8 and its zero point every value saturates to the same output.
        self.bounded(rounded.clamp(-1024, 1024) as i32)
    }

    /// The same for a product that the packer proved to fit 32 bits.
    #[inline]
    pub fn finish(&self, t: i32) -> i8 {
        self.bounded(t.wrapping_add(0x7fff).wrapping_add((t >> 16) & 1) >> 16)
    }

    /// Whether the output needs neither 64 bits nor bounds beyond saturation.
    #[cfg(goldcrest_dsp)]
    pub fn is_plain(&self) -> bool {
        !self.wide && self.low == i32::from(i8::MIN) && self.high == i32::from(i8::MAX)
    }

    /// Zero point, smallest and largest value.
    #[cfg(goldcrest_dsp)]
    pub fn bounds(&self) -> [i32; 3] {
        [self.zero, self.low, self.high]
    }

    #[inline]
    fn bounded(&self, rounded: i32) -> i8 {
        rounded.wrapping_add(self.zero).min(self.high).max(self.low) as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requantize::{Multiplier, requantize};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn narrow_and_wide_equal_the_contract(acc in -(1i32 << 24)..(1 << 24), k in 1u32..100_000, zero: i8, a: i8, b: i8) {
            let record = Record { output_zero: zero, low: a.min(b), high: a.max(b), ..Record::default() };
            let expected = requantize(acc, Multiplier::new(k).unwrap(), zero).clamp(a.min(b), a.max(b));
            let wide = Output::new(&Record { wide: true, ..record });
            prop_assert_eq!(wide.value(acc, k as i32), expected);
            if (i64::from(acc) * i64::from(k)).abs() < (1 << 31) - 0x8000 {
                prop_assert_eq!(Output::new(&record).value(acc, k as i32), expected);
            }
        }
    }
}
