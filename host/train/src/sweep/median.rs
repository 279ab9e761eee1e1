//! The median rule (Golovin et al.: Google Vizier, 2017): a trial ends early when its best accuracy so far is
//! below the median of what earlier trials had reached by the same epoch.

use super::journal::Trial;
use super::sampler::RANDOM_TRIALS;

/// Whether a trial with these accuracies after each epoch, of `epochs` planned, should go on. The first
/// quarter of the epochs and the first trials always do.
pub fn goes_on(accuracies: &[f64], epochs: usize, earlier: &[Trial]) -> bool {
    let done = accuracies.len();
    if 4 * done < epochs || done >= epochs {
        return true;
    }
    let reached = earlier.iter().filter(|trial| trial.accuracies.len() >= done);
    let mut reached: Vec<f64> = reached.map(|trial| best(&trial.accuracies[..done])).collect();
    if reached.len() < RANDOM_TRIALS {
        return true;
    }
    reached.sort_by(f64::total_cmp);
    let middle = reached.len() / 2;
    let median =
        if reached.len() % 2 == 1 { reached[middle] } else { (reached[middle - 1] + reached[middle]) / 2.0 };
    best(accuracies) >= median
}

/// The best accuracy of all epochs.
pub fn best(accuracies: &[f64]) -> f64 {
    accuracies.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(accuracies: &[f64]) -> Trial {
        Trial { accuracies: accuracies.to_vec(), ..Trial::default() }
    }

    #[test]
    fn trials_below_the_median_end() {
        let earlier: Vec<Trial> =
            [0.1, 0.2, 0.3, 0.4, 0.5].iter().map(|&a| trial(&[a, a, a + 0.1, a])).collect();
        assert!(goes_on(&[0.31], 4, &earlier));
        assert!(!goes_on(&[0.29], 4, &earlier));
        // By its best epoch, not by its last.
        assert!(goes_on(&[0.1, 0.1, 0.45], 4, &earlier));
        assert!(!goes_on(&[0.1, 0.1, 0.39], 4, &earlier));
    }

    #[test]
    fn the_first_quarter_the_last_epoch_and_few_trials_end_nothing() {
        let earlier: Vec<Trial> = (0..5).map(|_| trial(&[0.5; 8])).collect();
        assert!(goes_on(&[0.0], 8, &earlier));
        assert!(!goes_on(&[0.0, 0.0], 8, &earlier));
        assert!(goes_on(&[0.0; 8], 8, &earlier));
        assert!(goes_on(&[0.0, 0.0], 8, &earlier[1..]));
        // Those that ended before do not count.
        let ended = [earlier[1..].to_vec(), vec![trial(&[0.5])]].concat();
        assert!(goes_on(&[0.0, 0.0], 8, &ended));
    }
}
