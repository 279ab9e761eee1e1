//! Whether calibration images stand for what the model will see.

use std::fmt;

use goldcrest_data::{Split, is_constant};

/// With fewer calibration images a few values decide the ranges.
const FEW: usize = 100;
/// Names of classes that a message lists.
const LISTED: usize = 12;

/// Why calibration images may not stand for what the model will see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortcoming {
    /// Fewer than 100 images.
    Few {
        /// How many.
        images: usize,
    },
    /// Images of one value.
    Constant {
        /// How many of them.
        images: usize,
        /// Of how many.
        of: usize,
    },
    /// Classes of which there is no image.
    Missing {
        /// Their names.
        classes: Vec<String>,
        /// Classes in all.
        of: usize,
    },
}

impl fmt::Display for Shortcoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Few { images } => {
                write!(f, "{images} calibration images; with fewer than {FEW} the ranges are guesses")
            }
            Self::Constant { images, of } => {
                write!(f, "{images} of {of} calibration images have one value everywhere")
            }
            Self::Missing { classes, of } => {
                let listed = classes[..classes.len().min(LISTED)].join(", ");
                let more = if classes.len() > LISTED { ", ..." } else { "" };
                let missing = classes.len();
                write!(
                    f,
                    "no calibration image of {missing} of {of} classes: {listed}{more}; take more --images"
                )
            }
        }
    }
}

/// What is wrong with calibration images for a model of these classes; nothing where they are fit for it.
pub fn shortcomings(images: &Split, classes: &[String]) -> Vec<Shortcoming> {
    let mut found = Vec::new();
    if images.len() < FEW {
        found.push(Shortcoming::Few { images: images.len() });
    }
    let constant = (0..images.len()).filter(|&index| is_constant(images.image(index))).count();
    if constant > 0 {
        found.push(Shortcoming::Constant { images: constant, of: images.len() });
    }
    let counts = images.counts(classes.len());
    let missing: Vec<String> =
        classes.iter().zip(counts).filter(|&(_, count)| count == 0).map(|(name, _)| name.clone()).collect();
    if !missing.is_empty() {
        found.push(Shortcoming::Missing { classes: missing, of: classes.len() });
    }
    found
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    #[test]
    fn few_constant_and_missing_images_are_told() {
        let classes = ["cat", "dog"].map(str::to_owned);
        let good: Vec<u8> = [0, 9].repeat(100);
        let labels: Vec<u16> = [0, 1].repeat(50);
        assert_eq!(shortcomings(&Split::new(Shape::new(1, 2, 1), good, labels), &classes), []);
        let poor = Split::new(Shape::new(1, 2, 1), vec![7, 7, 0, 9], vec![1, 1]);
        let found: Vec<String> = shortcomings(&poor, &classes).iter().map(ToString::to_string).collect();
        let [few, constant, missing] = &found[..] else { panic!("{found:?}") };
        assert!(few.starts_with("2 calibration images"), "{few}");
        assert!(constant.starts_with("1 of 2 calibration images"), "{constant}");
        assert!(missing.contains("1 of 2 classes: cat;"), "{missing}");
    }
}
