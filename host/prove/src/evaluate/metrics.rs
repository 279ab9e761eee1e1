//! Accuracy in its forms, from logits and labels.

use goldcrest_engine::answer::largest;

use super::softmax;

/// Bins of the calibration error.
const BINS: usize = 15;

/// How often a model is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Images evaluated.
    pub images: usize,
    /// Share of images whose class has the largest logit (the first of equal ones).
    pub accuracy: f64,
    /// Share of images whose class is among the `k` largest logits, for `k` from 1 to [`Evaluation::TOP`] or
    /// the number of classes; of equal logits the first count as larger.
    pub top: Vec<f64>,
    /// Expected calibration error: mean distance between confidence (softmax) and accuracy over 15
    /// bins of confidence (Guo et al., On Calibration of Modern Neural Networks, 2017).
    pub calibration_error: f64,
    /// One per class.
    pub per_class: Vec<ClassResult>,
    /// `confusion[class][answer]`: how many images of a class got an answer.
    pub confusion: Vec<Vec<u64>>,
    /// The answer for each image.
    pub answers: Vec<usize>,
}

/// How often a model is right on one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassResult {
    /// Images of the class.
    pub images: u64,
    /// Of these, how many got it as the answer (recall; the class's accuracy).
    pub recall: f64,
    /// Of the images that got the class as the answer, how many are of it.
    pub precision: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

impl Evaluation {
    /// Maximum number of answers per image that are looked at.
    pub const TOP: usize = 10;

    /// Share of images whose class is among the five largest logits.
    pub fn top5(&self) -> f64 {
        self.top.get(4).or(self.top.last()).copied().unwrap_or_default()
    }

    /// Mean of the classes' F1.
    pub fn macro_f1(&self) -> f64 {
        self.per_class.iter().map(|class| class.f1).sum::<f64>() / self.per_class.len().max(1) as f64
    }

    /// Mean of the recalls of the classes that have images: what accuracy would be if they had equally many.
    pub fn balanced_accuracy(&self) -> f64 {
        let seen = self.per_class.iter().filter(|class| class.images > 0);
        seen.clone().map(|class| class.recall).sum::<f64>() / seen.count().max(1) as f64
    }

    /// The class that is the answer for every image, where there are images of several.
    pub fn only_answer(&self) -> Option<usize> {
        let first = *self.answers.first()?;
        let is_only = self.answers.iter().all(|&answer| answer == first);
        let classes = self.per_class.iter().filter(|class| class.images > 0).count();
        (is_only && classes > 1).then_some(first)
    }

    /// Evaluates logits (`classes` per image) against labels.
    pub fn of(logits: &[f32], labels: &[u16], classes: usize) -> Self {
        let images = logits.len() / classes.max(1);
        let mut confusion = vec![vec![0u64; classes]; classes];
        let mut answers = Vec::with_capacity(images);
        // How many images have their class in each place of the order of logits.
        let mut places = vec![0usize; classes.min(Self::TOP)];
        let mut bins = [(0usize, 0usize, 0.0f64); BINS];
        for (logits, &label) in logits.chunks_exact(classes.max(1)).zip(labels) {
            let (label, answer) = (usize::from(label).min(classes - 1), largest(logits));
            confusion[label][answer] += 1;
            answers.push(answer);
            let ahead = |(index, &logit): (usize, &f32)| {
                logit > logits[label] || (logit == logits[label] && index < label)
            };
            let place = logits.iter().enumerate().filter(|&pair| ahead(pair)).count();
            places.iter_mut().skip(place).for_each(|count| *count += 1);
            let confidence = softmax(logits)[answer];
            let (count, right, sum) = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            *count += 1;
            *right += usize::from(answer == label);
            *sum += confidence;
        }
        let right: u64 = (0..classes).map(|class| confusion[class][class]).sum();
        let share = |part: f64| part / images.max(1) as f64;
        let calibration_error = bins.iter().map(|&(_, right, sum)| share((right as f64 - sum).abs())).sum();
        let per_class = (0..classes).map(|class| ClassResult::of(&confusion, class)).collect();
        Self {
            images,
            accuracy: share(right as f64),
            top: places.iter().map(|&count| share(count as f64)).collect(),
            calibration_error,
            per_class,
            confusion,
            answers,
        }
    }
}

impl ClassResult {
    fn of(confusion: &[Vec<u64>], class: usize) -> Self {
        let images: u64 = confusion[class].iter().sum();
        let answers: u64 = confusion.iter().map(|row| row[class]).sum();
        let right = confusion[class][class] as f64;
        let share = |of: u64| if of == 0 { 0.0 } else { right / of as f64 };
        let (recall, precision) = (share(images), share(answers));
        let f1 = if right == 0.0 { 0.0 } else { 2.0 * recall * precision / (recall + precision) };
        Self { images, recall, precision, f1 }
    }
}

/// How closely a model follows another.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Share of images on which both give one answer.
    pub agreement: f64,
    /// Mean squared difference of the logits.
    pub logit_mse: f64,
    /// Images that the other model gets right and this one wrong.
    pub lost: Vec<usize>,
    /// Images that this model gets right and the other wrong.
    pub won: Vec<usize>,
}

impl Agreement {
    /// Compares a model's logits with another's on the same images.
    pub fn of(logits: &[f32], other: &[f32], labels: &[u16], classes: usize) -> Self {
        let pairs = || logits.chunks_exact(classes).zip(other.chunks_exact(classes)).zip(labels);
        let images = pairs().count().max(1);
        let (mut same, mut lost, mut won) = (0, Vec::new(), Vec::new());
        for (index, ((own, other), &label)) in pairs().enumerate() {
            let (own, other, label) = (largest(own), largest(other), usize::from(label));
            same += usize::from(own == other);
            if own != label && other == label {
                lost.push(index);
            } else if own == label && other != label {
                won.push(index);
            }
        }
        let squared = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        let error: f64 = logits.iter().zip(other).map(squared).sum();
        Self {
            agreement: same as f64 / images as f64,
            logit_mse: error / logits.len().min(other.len()).max(1) as f64,
            lost,
            won,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four images of three classes: answers 0, 0, 1, 2 for labels 0, 1, 1, 0.
    const LOGITS: [f32; 12] = [3.0, 1.0, 0.0, 2.0, 2.0, 0.0, 0.0, 5.0, 1.0, 0.0, 0.5, 1.0];
    const LABELS: [u16; 4] = [0, 1, 1, 0];

    #[test]
    fn counts_answers_per_class() {
        let evaluation = Evaluation::of(&LOGITS, &LABELS, 3);
        assert_eq!(evaluation.answers, [0, 0, 1, 2], "the first of equal logits counts");
        assert_eq!((evaluation.images, evaluation.accuracy, evaluation.top5()), (4, 0.5, 1.0));
        assert_eq!(evaluation.top, [0.5, 0.75, 1.0], "the first is the accuracy");
        assert_eq!(evaluation.confusion, [[1, 0, 1], [1, 1, 0], [0, 0, 0]]);
        let [first, second, third] = *evaluation.per_class else { panic!() };
        assert_eq!((first.images, first.recall, first.precision, first.f1), (2, 0.5, 0.5, 0.5));
        assert_eq!((second.recall, second.precision), (0.5, 1.0));
        assert_eq!(third, ClassResult::default(), "a class without images or right answers");
        assert!((evaluation.macro_f1() - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn confidence_without_accuracy_is_an_error() {
        let sure = [20.0, 0.0];
        let wrong = Evaluation::of(&sure.repeat(10), &[1; 10], 2);
        assert!((wrong.calibration_error - 1.0).abs() < 1e-6);
        let right = Evaluation::of(&sure.repeat(10), &[0; 10], 2);
        assert!(right.calibration_error < 1e-6);
        let unsure = Evaluation::of(&[0.0, 0.0].repeat(10), &[0, 1].repeat(5), 2);
        assert!(unsure.calibration_error < 1e-6, "half right at a confidence of one half");
    }

    #[test]
    fn agreement_is_about_answers_and_distance() {
        let mut other = LOGITS;
        other[10] = 9.0;
        let agreement = Agreement::of(&LOGITS, &other, &LABELS, 3);
        assert_eq!(agreement.agreement, 0.75);
        assert!((agreement.logit_mse - 8.5 * 8.5 / 12.0).abs() < 1e-9);
        let answers_all_right = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let agreement = Agreement::of(&LOGITS, &answers_all_right, &LABELS, 3);
        assert_eq!((agreement.lost, agreement.won), (vec![1, 3], vec![]));
    }
}
