//! Equal logits. Two classes nearly as likely often round to the same int8 logit, and then the first of them
//! is the answer: a preference that the float network does not have. Lowering each class by part of a step
//! against those behind it gives the closer calls back to both, at the price of a small error in the logits
//! themselves.
//!
//! Where the float margin of class `i` over a later class `j` is `d` steps and `i` is lowered by `D` against
//! `j`, `i` wins with probability `clamp(1 + d - D)` over all positions of the rounding grid. Margins near
//! zero are equally frequent, so the share of wrong answers goes with `1/2 - D + D^2`: half of it remains at
//! `D = 1/2`.

use alloc::{vec, vec::Vec};

/// What offsets cost against what they win: a set of offsets whose mean square is one squared step has to
/// win back that many times the answers lost.
const COST: f64 = 2.0;
/// Share of the weights that all pairs of classes get alike, because few images show few of the pairs.
const PRIOR: f64 = 0.5;

/// How far each class is to be moved, in steps of the logits, for close calls as frequent as the float logits
/// (`classes` per image) have them. The offsets' sum is 0.
pub fn offsets(logits: &[f32], classes: usize) -> Vec<f64> {
    let weights = close_calls(logits, classes);
    // The least of sum w_ij (D^2 - D) + cost sum offset^2 is where its slope is 0, a system of linear
    // equations.
    let mut matrix = vec![0.0; classes * classes];
    let mut wanted = vec![0.0; classes];
    for i in 0..classes {
        matrix[i * classes + i] = 2.0 * COST / classes as f64;
        for j in (0..classes).filter(|&j| j != i) {
            let weight = weights[i.min(j) * classes + i.max(j)];
            matrix[i * classes + i] += 2.0 * weight;
            matrix[i * classes + j] -= 2.0 * weight;
            wanted[i] += if i < j { -weight } else { weight };
        }
    }
    solve(matrix, wanted)
}

/// How often the two largest logits are those of each pair of classes, calls nearer than the median margin
/// only; sums up to 1.
fn close_calls(logits: &[f32], classes: usize) -> Vec<f64> {
    let pairs: Vec<(usize, f32)> = logits.chunks_exact(classes).filter_map(best_two).collect();
    let mut margins: Vec<f32> = pairs.iter().map(|pair| pair.1).collect();
    margins.sort_by(f32::total_cmp);
    let median = margins.get(margins.len() / 2).copied().unwrap_or(0.0);
    let mut counts = vec![0.0; classes * classes];
    pairs.iter().filter(|pair| pair.1 <= median).for_each(|pair| counts[pair.0] += 1.0);
    let total: f64 = counts.iter().sum::<f64>().max(1.0);
    let each = PRIOR / (classes * (classes - 1) / 2).max(1) as f64;
    for i in 0..classes {
        for j in i + 1..classes {
            let count = &mut counts[i * classes + j];
            *count = (1.0 - PRIOR) * *count / total + each;
        }
    }
    counts
}

/// The pair of the two largest logits, as `first * classes + second`, and their distance.
fn best_two(logits: &[f32]) -> Option<(usize, f32)> {
    let largest = |but: Option<usize>| {
        let others = logits.iter().enumerate().filter(|&(index, _)| Some(index) != but);
        others.max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index)
    };
    let first = largest(None)?;
    let second = largest(Some(first))?;
    Some((first.min(second) * logits.len() + first.max(second), logits[first] - logits[second]))
}

/// Gaussian elimination; the matrix is symmetric and positive definite.
fn solve(mut matrix: Vec<f64>, mut wanted: Vec<f64>) -> Vec<f64> {
    let size = wanted.len();
    for i in 0..size {
        for row in i + 1..size {
            let factor = matrix[row * size + i] / matrix[i * size + i];
            for column in i..size {
                matrix[row * size + column] -= factor * matrix[i * size + column];
            }
            wanted[row] -= factor * wanted[i];
        }
    }
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|column| matrix[i * size + column] * wanted[column]).sum();
        wanted[i] = (wanted[i] - known) / matrix[i * size + i];
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random logits, and the share of images whose answer rounding to whole steps changes.
    fn changed(offsets: &[f64], images: usize) -> f64 {
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let largest = |values: &[f64]| {
            (0..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
        };
        let mut wrong = 0;
        for _ in 0..images {
            let exact: Vec<f64> = offsets.iter().map(|_| 12.0 * uniform()).collect();
            let rounded: Vec<f64> = exact.iter().zip(offsets).map(|(x, o)| libm::rint(x + o)).collect();
            wrong += usize::from(largest(&exact) != largest(&rounded));
        }
        wrong as f64 / images as f64
    }

    #[test]
    fn moved_classes_keep_more_answers() {
        let moved = offsets(&[], 4);
        assert!(moved.is_sorted() && moved.iter().sum::<f64>().abs() < 1e-9, "{moved:?}");
        let (before, after) = (changed(&[0.0; 4], 20_000), changed(&moved, 20_000));
        assert!(after < 0.75 * before, "{after} of {before}");
    }

    #[test]
    fn pairs_that_are_often_close_count_more() {
        // Classes 0 and 1 are always close; 2 is far.
        let logits = [5.0, 5.1, 0.0].repeat(20);
        let (known, unknown) = (offsets(&logits, 3), offsets(&[], 3));
        assert!(known[1] - known[0] > 1.2 * (unknown[1] - unknown[0]), "{known:?}, {unknown:?}");
        assert_eq!(offsets(&[1.0], 1), [0.0]);
    }
}
