//! Images to calibrate with, and others to judge on.

use goldcrest_data::Split;

/// Maximum number of images to judge on: with so many, half a point of agreement is about twice what chance
/// does.
const HELD: usize = 4000;
/// Without other images, one in five of those for calibration is held out.
const PART: usize = 5;

/// Images in two parts that share none.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What calibration and learning see.
    pub fit: Split,
    /// What only judges them.
    pub held: Split,
}

impl Parts {
    /// `count` training images for calibration, the same as [`Split::sample`] draws, and up to 4000 of the
    /// others to judge on. Where the others are fewer than a fifth of those, every fifth of those judges
    /// instead.
    pub fn draw(train: &Split, count: usize, seed: u64) -> Self {
        let [fit, held] = train.sample_apart([count, HELD], seed);
        if held.len() * PART >= fit.len() {
            return Self { fit, held };
        }
        let (held, rest): (Vec<usize>, Vec<usize>) =
            (0..fit.len()).partition(|index| index % PART == PART - 1);
        Self { held: fit.select(&held), fit: fit.select(&rest) }
    }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;

    fn numbered(count: u8) -> Split {
        Split::new(Shape::new(1, 1, 1), (0..count).collect(), vec![0; count.into()])
    }

    #[test]
    fn no_image_is_in_both_parts() {
        let train = numbered(100);
        for (count, fit, held) in [(60, 60, 40), (90, 72, 18), (100, 80, 20), (500, 80, 20)] {
            let parts = Parts::draw(&train, count, 3);
            assert_eq!((parts.fit.len(), parts.held.len()), (fit, held));
            assert!(parts.held.pixels().iter().all(|image| !parts.fit.pixels().contains(image)));
        }
        assert_eq!(Parts::draw(&train, 60, 3).fit.pixels(), train.sample(60, 3).pixels());
        assert!(Parts::draw(&numbered(4), 4, 0).held.is_empty(), "too few to hold any out");
    }
}
