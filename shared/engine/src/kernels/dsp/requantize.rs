//! Requantization in assembly, for loops that keep their sums in registers.

/// Requantizes a sum whose product is known not to overflow, and saturates it: `rounding` is `0x7fff` plus
/// the zero point in the upper half, `free` a register that is overwritten.
macro_rules! plain {
    ($value:literal, $multiplier:literal, $rounding:literal, $free:literal $(, $other:literal)?) => {
        concat!(
            "mul ",
            $value,
            ", ",
            $value,
            ", ",
            $multiplier,
            "\n",
            // Shifts bit 16, the parity of the quotient, into the carry.
            "lsls ",
            $free,
            ", ",
            $value,
            ", #16\n",
            "adc ",
            $value,
            ", ",
            $value,
            ", ",
            $rounding,
            "\n",
            "ssat ",
            $value,
            ", #8, ",
            $value,
            ", asr #16\n",
        )
    };
}

/// The same for any sum, in 64 bits; `other` is overwritten too.
macro_rules! wide {
    ($value:literal, $multiplier:literal, $rounding:literal, $free:literal, $other:literal) => {
        concat!(
            "smull ",
            $free,
            ", ",
            $other,
            ", ",
            $value,
            ", ",
            $multiplier,
            "\n",
            "lsls ",
            $value,
            ", ",
            $free,
            ", #16\n",
            "adcs ",
            $free,
            ", ",
            $free,
            ", ",
            $rounding,
            "\n",
            "adc ",
            $other,
            ", ",
            $other,
            ", ",
            $rounding,
            ", asr #31\n",
            // What leaves 32 bits after the shift saturates there.
            "ssat ",
            $other,
            ", #16, ",
            $other,
            "\n",
            "lsr ",
            $free,
            ", ",
            $free,
            ", #16\n",
            "pkhbt ",
            $value,
            ", ",
            $free,
            ", ",
            $other,
            ", lsl #16\n",
            "ssat ",
            $value,
            ", #8, ",
            $value,
            "\n",
        )
    };
}
pub(super) use {plain, wide};
