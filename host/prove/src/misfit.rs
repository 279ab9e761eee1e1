//! Images that are not what a model takes.

use std::fmt;

use goldcrest_engine::shape::Shape;

/// Images of one shape for a model of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The images.
    pub found: Shape,
    /// What the model takes.
    pub expected: Shape,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, expected } = self;
        write!(f, "the images are {found}, but the model takes {expected}")?;
        match expected.channels {
            channels if channels == found.channels => write!(f, "; pass --resize"),
            1 => write!(f, "; pass --channels gray"),
            3 => write!(f, "; pass --channels rgb"),
            channels => write!(
                f,
                "; pictures have 1 channel (gray) or 3 (colour), and nothing makes {channels} of them: \
                 export a model of 1 or 3"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_can_help() {
        let says = |found: [usize; 3], expected: [usize; 3]| {
            let shape = |[height, width, channels]: [usize; 3]| Shape::new(height, width, channels);
            Misfit { found: shape(found), expected: shape(expected) }.to_string()
        };
        assert!(says([8, 8, 3], [16, 16, 3]).ends_with("takes 16x16x3; pass --resize"));
        assert!(says([8, 8, 3], [8, 8, 1]).ends_with("pass --channels gray"));
        assert!(says([8, 8, 1], [8, 8, 3]).ends_with("pass --channels rgb"));
        let two = says([16, 16, 3], [16, 16, 2]);
        assert!(two.contains("1 channel (gray) or 3") && !two.contains("--"), "{two}");
    }
}
