//! One picture from a file, and from there to a model's input as a board with a camera makes it.

use std::path::Path;

use goldcrest_engine::picture::{Crop, Resize, ResizeError, color};
use goldcrest_engine::shape::Shape;

use super::decode;
use super::error::DatasetError;

/// A decoded picture, upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows, columns, 3.
    pub shape: Shape,
    /// RGB, u8, row by row.
    pub pixels: Vec<u8>,
}

/// What of a picture the model sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The largest part in the middle with the input's proportions.
    #[default]
    Middle,
    /// All of it, stretched or squeezed to the input's proportions.
    Whole,
}

impl Picture {
    /// Reads a JPEG or PNG file.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let (shape, pixels) = decode::one(path)?;
        Ok(Self { shape, pixels })
    }

    /// The picture as a model's input (u8, HWC): cropped, turned gray where the model takes one channel, and
    /// averaged by area.
    ///
    /// # Errors
    /// An input of neither 1 nor 3 channels, or a side that is too long.
    pub fn fit(&self, to: Shape, part: Part) -> Result<Vec<u8>, ResizeError> {
        let picture = Shape { channels: if to.channels == 1 { 1 } else { 3 }, ..self.shape };
        let crop = match part {
            Part::Middle => Crop::middle(picture, to),
            Part::Whole => Crop::whole(picture),
        };
        let mut sums = vec![0; Resize::sums(to)];
        let mut resize = Resize::new(picture, crop, to, &mut sums)?;
        let mut input = vec![0; to.len()];
        let mut gray = Vec::with_capacity(picture.width);
        for row in self.pixels.chunks_exact(self.shape.width * self.shape.channels) {
            let row = if picture.channels == 1 {
                gray.clear();
                gray.extend(row.as_chunks::<3>().0.iter().map(|&pixel| color::gray(pixel)));
                &gray
            } else {
                row
            };
            resize.row(row, |index, value| input[index] = value)?;
        }
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let opened = Picture::open(&path).unwrap();
        assert_eq!(opened, original);
        let input = opened.fit(Shape::new(32, 32, 3), Part::Middle).unwrap();
        // The 48 columns in the middle, whatever is beside them.
        let mut other = original.clone();
        for row in other.pixels.chunks_exact_mut(97 * 3) {
            row[..24 * 3].fill(0);
            row[72 * 3..].fill(255);
        }
        assert_eq!(other.fit(Shape::new(32, 32, 3), Part::Middle).unwrap(), input);
        assert_ne!(other.fit(Shape::new(32, 32, 3), Part::Whole).unwrap(), input);
        assert_eq!(original.fit(original.shape, Part::Middle).unwrap(), original.pixels);
    }

    #[test]
    fn a_model_of_one_channel_gets_luma() {
        let original = picture(8, 8);
        let gray = original.fit(Shape::new(8, 8, 1), Part::Whole).unwrap();
        let expected: Vec<u8> =
            original.pixels.as_chunks::<3>().0.iter().map(|&pixel| color::gray(pixel)).collect();
        assert_eq!(gray, expected);
        let refused = original.fit(Shape::new(8, 8, 2), Part::Whole).unwrap_err();
        assert_eq!(refused, ResizeError::Channels { picture: 3, output: 2 });
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "not a picture").unwrap();
        let message = Picture::open(&path).unwrap_err().to_string();
        assert!(message.contains("notes.txt") && message.contains("neither JPEG nor PNG"), "{message}");
        let message = Picture::open(&folder.path().join("none.png")).unwrap_err().to_string();
        assert!(message.contains("none.png: No such file"), "{message}");
    }
}
