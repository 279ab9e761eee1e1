//! From an accumulator to an int8 output: requantization, zero point, bounds.
#![allow(unsafe_code)]

use crate::image::Record;

/// The last step of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    zero: i32,
    low: i32,
    high: i32,
    wide: bool,
    /// No bounds beyond saturation.
    saturates: bool,
}

impl Output {
    /// The last step of a layer, as its record describes it.
    #[inline]
    pub fn new(record: &Record) -> Self {
        let saturates = record.low == i8::MIN && record.high == i8::MAX;
        let (low, high) = (i32::from(record.low), i32::from(record.high));
        Self { zero: i32::from(record.output_zero), low, high, wide: record.wide, saturates }
    }

    /// `clamp(saturate(round_half_even(acc * multiplier / 2^16) + zero))`.
    #[inline(always)]
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
    #[inline(always)]
    pub fn finish(&self, t: i32) -> i8 {
        if self.saturates {
            return saturated(t, 0x7fff + (self.zero << 16)) as i8;
        }
        self.bounded(t.wrapping_add(0x7fff).wrapping_add((t >> 16) & 1) >> 16)
    }

    /// The same without bounds beyond saturation.
    #[cfg(not(goldcrest_dsp))]
    pub fn saturated(&self, acc: i32, multiplier: i32) -> i8 {
        let (low, high) = (i32::from(i8::MIN), i32::from(i8::MAX));
        Self { low, high, saturates: true, ..*self }.value(acc, multiplier)
    }

    /// Whether outputs need neither 64 bits nor bounds beyond saturation.
    pub fn is_plain(&self) -> bool {
        !self.wide && self.saturates
    }

    /// [`Output::value`] where [`Output::is_plain`]: loops that know it need no branches.
    #[cfg(not(goldcrest_armv7))]
    #[inline(always)]
    pub fn plain_value(&self, acc: i32, multiplier: i32) -> i8 {
        saturated(acc.wrapping_mul(multiplier), 0x7fff + (self.zero << 16)) as i8
    }

    /// Whether saturation is the only bound.
    pub fn saturates(&self) -> bool {
        self.saturates
    }

    /// Smallest and largest value.
    pub fn bounds(&self) -> [i8; 2] {
        [self.low as i8, self.high as i8]
    }

    /// Whether outputs may need 64 bits.
    #[cfg(any(goldcrest_dsp, goldcrest_mve))]
    pub fn is_wide(&self) -> bool {
        self.wide
    }

    /// Zero point.
    #[cfg(goldcrest_mve)]
    pub fn zero(&self) -> i32 {
        self.zero
    }

    /// `0x7fff` plus the zero point in the upper half: what is added before the shift.
    #[cfg(any(goldcrest_armv7, goldcrest_dsp))]
    pub fn rounding(&self) -> i32 {
        0x7fff + (self.zero << 16)
    }

    #[inline(always)]
    fn bounded(&self, rounded: i32) -> i8 {
        rounded.wrapping_add(self.zero).min(self.high).max(self.low) as i8
    }
}

/// `saturate((t + rounding + parity) >> 16)`, where the parity is bit 16 of `t`.
#[inline(always)]
pub fn saturated(t: i32, rounding: i32) -> i32 {
    #[cfg(goldcrest_armv7)]
    {
        let result;
        // SAFETY: reads and writes registers and flags only. The shift moves bit 16 into the carry.
        unsafe {
            core::arch::asm!(
                "lsls {0}, {1}, #16", "adc {0}, {1}, {2}", "ssat {0}, #8, {0}, asr #16",
                out(reg) result, in(reg) t, in(reg) rounding, options(pure, nomem, nostack)
            );
        }
        result
    }
    #[cfg(not(goldcrest_armv7))]
    {
        (t.wrapping_add(rounding).wrapping_add((t >> 16) & 1) >> 16).clamp(-128, 127)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requantize::{Multiplier, requantize};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn narrow_and_wide_equal_the_contract(
            acc in -(1i32 << 24)..(1 << 24), k in 1u32..100_000, zero: i8, a: i8, b: i8, bounds: bool
        ) {
            let (low, high) = if bounds { (a.min(b), a.max(b)) } else { (-128, 127) };
            let record = Record { output_zero: zero, low, high, ..Record::default() };
            let expected = requantize(acc, Multiplier::new(k).unwrap(), zero).clamp(low, high);
            let wide = Output::new(&Record { wide: true, ..record });
            prop_assert_eq!(wide.value(acc, k as i32), expected);
            if (i64::from(acc) * i64::from(k)).abs() < (1 << 31) - (1 << 24) {
                prop_assert_eq!(Output::new(&record).value(acc, k as i32), expected);
            }
        }
    }
}
