//! Accumulators next to rounding boundaries.

use goldcrest_engine::requantize::Multiplier;

/// An accumulator to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The accumulator.
    pub accumulator: i64,
    /// Whether accumulator times multiplier is exactly between two integers.
    pub tie: bool,
}

/// The accumulators on both sides of every boundary between two int8 outputs, the two where the output
/// starts to saturate included, with at most this magnitude, in rising order. Where a boundary is itself an
/// accumulator, a tie, it stands between its neighbours.
///
/// A boundary is an accumulator `a` with `a * k / 2^16 + zero_point = y + 1/2`, for `y` from -129 to 127.
pub fn around_boundaries(multiplier: Multiplier, zero_point: i8, limit: i64) -> Vec<Target> {
    let k = i64::from(multiplier.k());
    let mut targets = Vec::new();
    for output in -129..=127i64 {
        let boundary = (2 * (output - i64::from(zero_point)) + 1) << 15;
        let below = boundary.div_euclid(k);
        let tie = boundary.rem_euclid(k) == 0;
        let neighbours = if tie { below - 1..=below + 1 } else { below..=below + 1 };
        targets
            .extend(neighbours.map(|accumulator| Target { accumulator, tie: tie && accumulator == below }));
    }
    targets.retain(|target| target.accumulator.abs() <= limit);
    // With large multipliers one accumulator is next to several boundaries; ties come last among equals.
    targets.sort_unstable();
    targets.reverse();
    targets.dedup_by_key(|target| target.accumulator);
    targets.reverse();
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldcrest_engine::requantize::requantize;

    #[test]
    fn each_boundary_has_an_accumulator_on_either_side() {
        for (k, zero_point) in [(17, -128), (256, 3), (749, 127), (4096, 0)] {
            let multiplier = Multiplier::new(k).unwrap();
            let targets = around_boundaries(multiplier, zero_point, i64::MAX);
            let outputs: Vec<i8> = targets
                .iter()
                .map(|target| requantize(target.accumulator as i32, multiplier, zero_point))
                .collect();
            assert!(outputs.is_sorted());
            let changes = targets.windows(2).zip(outputs.windows(2)).filter(|(_, pair)| pair[0] != pair[1]);
            let steps: Vec<i64> =
                changes.map(|(targets, _)| targets[1].accumulator - targets[0].accumulator).collect();
            assert_eq!(steps, vec![1; 255], "k {k}: every change of the output happens between neighbours");
        }
    }

    #[test]
    fn ties_are_the_multiples_that_end_in_a_half() {
        // 256 a = 2^15 (2 y + 1), so a = 128 (2 y + 1).
        let targets = around_boundaries(Multiplier::new(256).unwrap(), 0, 1000);
        let ties: Vec<i64> =
            targets.iter().filter(|target| target.tie).map(|target| target.accumulator).collect();
        assert_eq!(ties, [-896, -640, -384, -128, 128, 384, 640, 896]);
        assert_eq!(targets.len(), 3 * ties.len());
        // 3 a = 2^15 (2 y + 1) for every third y only.
        let odd = around_boundaries(Multiplier::new(3).unwrap(), 0, i64::MAX);
        assert!(odd.iter().filter(|target| target.tie).all(|target| (3 * target.accumulator) % 65536 != 0));
        assert_eq!(odd.iter().filter(|target| target.tie).count(), 86);
    }
}
