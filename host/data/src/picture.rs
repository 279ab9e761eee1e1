//! One picture from a file, and from there to a model's input as every command makes it.

use std::path::Path;

use goldcrest_engine::picture::{Preprocessing, Resize, ResizeError, Scratch};
use goldcrest_engine::shape::Shape;

use super::decode;
use super::error::DatasetError;

/// A decoded picture, upright, over its background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows, columns, and 1 channel where the file is gray, else 3.
    pub shape: Shape,
    /// Gray or RGB, u8, row by row.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Reads a JPEG, PNG, WebP, BMP, GIF (its first frame) or TIFF file; transparent pixels show the
    /// background.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn open(path: &Path, background: [u8; 3]) -> Result<Self, DatasetError> {
        let decode::Decoded { shape, pixels, .. } = decode::one(path, background)?;
        Ok(Self { shape, pixels })
    }

    /// The picture as a model's input (u8, HWC).
    ///
    /// # Errors
    /// An input of neither 1 nor 3 channels, or a side that is too long.
    pub fn fit(&self, to: Shape, rule: &Preprocessing) -> Result<Vec<u8>, ResizeError> {
        let mut input = vec![0; to.len()];
        prepare(rule, self.shape, &self.pixels, to, &mut input)?;
        Ok(input)
    }
}

/// Makes an image of a picture's pixels ([`Preprocessing::prepare`]).
pub(super) fn prepare(
    rule: &Preprocessing,
    picture: Shape,
    pixels: &[u8],
    to: Shape,
    image: &mut [u8],
) -> Result<(), ResizeError> {
    let (mut sums, mut row) = (vec![0; Resize::sums(to)], vec![0; Preprocessing::row(picture, to)]);
    rule.prepare(picture, pixels, to, Scratch { sums: &mut sums, row: &mut row }, image)
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::picture::{Fit, color};

    use super::*;

    const WHITE: [u8; 3] = [255; 3];
    const MIDDLE: Preprocessing = Preprocessing { fit: Fit::Middle, background: WHITE };
    const WHOLE: Preprocessing = Preprocessing { fit: Fit::Whole, background: WHITE };

    fn picture(height: usize, width: usize) -> Picture {
        let shape = Shape::new(height, width, 3);
        let pixels = (0..shape.len()).map(|index| (index * 37 % 251) as u8).collect();
        Picture { shape, pixels }
    }

    #[test]
    fn a_file_of_any_size_becomes_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.png");
        let original = picture(48, 97);
        image::save_buffer(&path, &original.pixels, 97, 48, image::ExtendedColorType::Rgb8).unwrap();
        let opened = Picture::open(&path, WHITE).unwrap();
        assert_eq!(opened, original);
        let input = opened.fit(Shape::new(32, 32, 3), &MIDDLE).unwrap();
        // The 48 columns in the middle, whatever is beside them.
        let mut other = original.clone();
        for row in other.pixels.chunks_exact_mut(97 * 3) {
            row[..24 * 3].fill(0);
            row[72 * 3..].fill(255);
        }
        assert_eq!(other.fit(Shape::new(32, 32, 3), &MIDDLE).unwrap(), input);
        assert_ne!(other.fit(Shape::new(32, 32, 3), &WHOLE).unwrap(), input);
        assert_eq!(original.fit(original.shape, &MIDDLE).unwrap(), original.pixels);
    }

    #[test]
    fn a_model_of_one_channel_gets_luma() {
        let original = picture(8, 8);
        let gray = original.fit(Shape::new(8, 8, 1), &WHOLE).unwrap();
        let expected: Vec<u8> =
            original.pixels.as_chunks::<3>().0.iter().map(|&pixel| color::gray(pixel)).collect();
        assert_eq!(gray, expected);
        let refused = original.fit(Shape::new(8, 8, 2), &WHOLE).unwrap_err();
        assert_eq!(refused, ResizeError::Channels { picture: 3, output: 2 });
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "not a picture").unwrap();
        let message = Picture::open(&path, WHITE).unwrap_err().to_string();
        assert!(message.contains("notes.txt") && message.contains("not a picture"), "{message}");
        let message = Picture::open(&folder.path().join("none.png"), WHITE).unwrap_err().to_string();
        assert!(message.contains("none.png: No such file"), "{message}");
    }
}
