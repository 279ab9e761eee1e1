//! From logits to the class that a model answers.

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

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn the_first_of_equal_values_is_the_largest() {
        assert_eq!(largest(&[-3i8, 7, 7, 2]), 1);
        assert_eq!(largest(&[i8::MIN; 3]), 0);
        assert_eq!(largest(&[0.5f32, -1.0, 2.5]), 2);
        assert_eq!(largest::<i8>(&[]), 0);
    }
}
