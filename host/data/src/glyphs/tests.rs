//! The drawn signs: seeded, balanced, symmetric, and out of reach of a linear classifier.

use super::*;

#[test]
fn the_same_seed_draws_the_same_pictures() {
    let (few, many) = (draw(20, 10, 5), draw(50, 10, 5));
    assert_eq!(few.train.pixels(), many.train.head(20).pixels());
    assert_eq!(few.test.pixels(), many.test.pixels());
    assert_ne!(few.train.head(10).pixels(), few.test.pixels());
    assert_ne!(few.train.pixels(), draw(20, 10, 6).train.pixels());
}

#[test]
fn classes_are_balanced_and_pictures_distinct() {
    let set = draw(500, 100, 0);
    assert_eq!(set.train.counts(10), [50; 10]);
    assert_eq!(set.classes.len(), 10);
    assert!(set.classes.is_sorted());
    let distinct: std::collections::HashSet<&[u8]> = (0..500).map(|at| set.train.image(at)).collect();
    assert_eq!(distinct.len(), 500);
}

/// Flips must keep the labels, so every sign is its own mirror image.
#[test]
fn signs_are_symmetric() {
    for (name, distance) in CLASSES {
        for at in 0..SIDE * SIDE {
            let (x, y) = centred(at);
            let (left, right) = (distance(-x, y), distance(x, y));
            assert!((left.face - right.face).abs() < 1e-5 && (left.mark - right.mark).abs() < 1e-5, "{name}");
        }
    }
}

/// Softmax regression by plain stochastic gradient descent on pixels of -1 to 1.
fn linear_accuracy(set: &Dataset, epochs: usize) -> f64 {
    const CLASS_COUNT: usize = 10;
    let inputs = SHAPE.len();
    let mut weights = vec![0.0f32; CLASS_COUNT * inputs];
    let mut bias = [0.0f32; CLASS_COUNT];
    let pixels = |split: &Split, at: usize| -> Vec<f32> {
        split.image(at).iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect()
    };
    let scores = |weights: &[f32], bias: &[f32; CLASS_COUNT], x: &[f32]| -> [f32; CLASS_COUNT] {
        std::array::from_fn(|class| {
            let row = &weights[class * inputs..][..inputs];
            // Eight sums, which the compiler turns into vector instructions.
            let mut sums = [0.0f32; 8];
            for (w, x) in row.as_chunks::<8>().0.iter().zip(x.as_chunks::<8>().0) {
                (0..8).for_each(|lane| sums[lane] += w[lane] * x[lane]);
            }
            bias[class] + sums.iter().sum::<f32>()
        })
    };
    let mut random = Random::new(1);
    let mut order: Vec<usize> = (0..set.train.len()).collect();
    for epoch in 0..epochs {
        random.shuffle(&mut order);
        let rate = 4e-4 * (1.0 - epoch as f32 / epochs as f32);
        for &at in &order {
            let x = pixels(&set.train, at);
            let logits = scores(&weights, &bias, &x);
            let top = logits.iter().copied().fold(f32::MIN, f32::max);
            let powers = logits.map(|logit| (logit - top).exp());
            let total: f32 = powers.iter().sum();
            for class in 0..CLASS_COUNT {
                let target = if class == set.train.label(at) { 1.0 } else { 0.0 };
                let step = rate * (target - powers[class] / total);
                bias[class] += step;
                weights[class * inputs..][..inputs].iter_mut().zip(&x).for_each(|(w, x)| *w += step * x);
            }
        }
    }
    let right = (0..set.test.len())
        .filter(|&at| {
            let logits = scores(&weights, &bias, &pixels(&set.test, at));
            let best = (0..CLASS_COUNT).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            best == Some(set.test.label(at))
        })
        .count();
    right as f64 / set.test.len() as f64
}

#[test]
fn a_linear_classifier_stays_under_seventy_percent() {
    let accuracy = linear_accuracy(&draw(TRAIN_IMAGES, TEST_IMAGES, 0), 12);
    assert!(accuracy < 0.70, "{accuracy}: too easy");
    assert!(accuracy > 0.30, "{accuracy}: is the label still visible?");
}
