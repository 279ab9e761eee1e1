//! From logits to the class that a model answers, and how sure it is.

/// The index of the largest value, of equal ones the first; 0 of none. Firmware,
/// host and training all answer by this rule.
pub fn largest<T: Copy + PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    let mut most = None;
    for (index, &value) in values.iter().enumerate() {
        if most.is_none_or(|most| value > most) {
            (best, most) = (index, Some(value));
        }
    }
    best
}

/// Probabilities in 1/32768 of logits with a scale, by integer arithmetic: as many as `into` has places,
/// zeros where there are no logits. Each is off by at most 2/32768.
pub fn softmax(logits: &[i8], scale: f32, into: &mut [u16]) {
    let rate = halvings(scale);
    let most = logits.iter().copied().max().unwrap_or(i8::MIN);
    let weight = |logit: i8| power_of_half(u64::from(most.abs_diff(logit)).saturating_mul(rate));
    let sum: u64 = logits.iter().map(|&logit| weight(logit)).sum();
    let probability = |logit| ((weight(logit) << 15) + sum / 2).checked_div(sum).unwrap_or(0) as u16;
    let probabilities = logits.iter().map(|&logit| probability(logit)).chain(core::iter::repeat(0));
    into.iter_mut().zip(probabilities).for_each(|(place, probability)| *place = probability);
}

/// `scale * log2(e)` in 1/2^32, from the scale's bits, so that no core needs floating point for it.
fn halvings(scale: f32) -> u64 {
    /// log2(e) in 1/2^30.
    const LOG2_E: u64 = 1_549_082_005;
    let bits = scale.to_bits();
    let (exponent, fraction) = ((bits >> 23) & 0xff, u64::from(bits & 0x7f_ffff));
    // The scale is `mantissa * 2^(exponent - 150)`; beyond 2^40 every difference leaves nothing.
    let product = (fraction | 1 << 23) * LOG2_E;
    match exponent {
        0 => 0,
        1..148 => product.checked_shr(148 - exponent).unwrap_or(0),
        148..156 => product << (exponent - 148),
        _ => 1 << 40,
    }
}

/// `2^-exponent` in 1/2^30; the exponent in 1/2^32.
fn power_of_half(exponent: u64) -> u64 {
    /// The series of `2^-x` for x from 0 to 1, in 1/2^30.
    const SERIES: [i64; 8] =
        [1 << 30, -744_261_118, 257_941_248, -59_597_083, 10_327_387, -1_431_680, 165_394, -16_377];
    let fraction = ((exponent & 0xffff_ffff) >> 2) as i64;
    let power = SERIES.iter().rev().fold(0, |sum, &term| term + ((sum * fraction) >> 30));
    (power as u64).checked_shr((exponent >> 32).min(64) as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_of_equal_values_is_the_largest() {
        assert_eq!(largest(&[-3i8, 7, 7, 2]), 1);
        assert_eq!(largest(&[i8::MIN; 3]), 0);
        assert_eq!(largest(&[0.5f32, -1.0, 2.5]), 2);
        assert_eq!(largest::<i8>(&[]), 0);
    }

    proptest! {
        #[test]
        fn probabilities_are_those_of_floating_point(
            logits in proptest::collection::vec(any::<i8>(), 1..40),
            scale in prop_oneof![0.0001f32..4.0, Just(0.0), Just(1e-30), Just(1e30)],
        ) {
            let mut found = vec![7; logits.len() + 1];
            softmax(&logits, scale, &mut found);
            let most = f64::from(*logits.iter().max().unwrap());
            let weights: Vec<f64> =
                logits.iter().map(|&logit| ((f64::from(logit) - most) * f64::from(scale)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (found, weight) in found.iter().zip(&weights) {
                let expected = weight / sum * 32768.0;
                prop_assert!((f64::from(*found) - expected).abs() <= 2.0, "{found} is not {expected}");
            }
            prop_assert_eq!(found[logits.len()], 0);
        }

        #[test]
        fn no_scale_stops_it(logits in proptest::collection::vec(any::<i8>(), 0..9), bits in any::<u32>()) {
            softmax(&logits, f32::from_bits(bits), &mut [0; 5]);
        }
    }
}
