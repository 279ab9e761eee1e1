//! Where pictures come from: the host over the line, flash, a camera. Each puts one picture into a model's
//! input.
//!
//! * [`received`]: pixels that came over the link.
//! * [`stored`]: pictures in flash.
//! * [`arducam`]: an ArduCAM Mini with its OV2640.

pub mod arducam;
pub mod received;
pub mod stored;

use goldcrest_engine::picture::{Crop, Resize, ResizeError, color};
use goldcrest_engine::shape::Shape;

/// Gives pictures, one after another.
pub trait ImageSource {
    /// Why there is no picture.
    type Error;

    /// Puts the next picture into a model's input of shape `to`: u8 pixels, HWC. What `input` holds after
    /// an error is not a picture.
    ///
    /// # Errors
    /// The source's own, and inputs that it cannot fill.
    fn fill(&mut self, to: Shape, input: &mut [u8]) -> Result<(), Self::Error>;
}

/// A picture whose rows are at hand one after another, on its way into an input: the part in its middle that
/// has the input's proportions, averaged by area; luma where the input has one channel. The host does the
/// same.
pub struct Fitting<'s> {
    resize: Resize<'s>,
    is_gray: bool,
}

impl<'s> Fitting<'s> {
    /// Ready for the first row of an RGB picture; `sums` has room for [`Resize::sums`].
    ///
    /// # Errors
    /// Inputs of neither 1 nor 3 channels, sides of 0, too little room.
    pub fn new(picture: Shape, to: Shape, sums: &'s mut [u64]) -> Result<Self, ResizeError> {
        let is_gray = to.channels == 1;
        let picture = Shape { channels: if is_gray { 1 } else { 3 }, ..picture };
        Ok(Self { resize: Resize::new(picture, Crop::middle(picture, to), to, sums)?, is_gray })
    }

    /// Takes the next row, RGB; a gray picture's luma is left at the row's beginning.
    ///
    /// # Errors
    /// A row of another length than the picture's.
    pub fn row(&mut self, row: &mut [u8], input: &mut [u8]) -> Result<(), ResizeError> {
        let mut length = row.len();
        if self.is_gray {
            length /= 3;
            for pixel in 0..length {
                let Some(&[red, green, blue]) = row.get(3 * pixel..).and_then(|rest| rest.first_chunk())
                else {
                    break;
                };
                if let Some(place) = row.get_mut(pixel) {
                    *place = color::gray([red, green, blue]);
                }
            }
        }
        let row = row.get(..length).unwrap_or_default();
        self.resize.row(row, |index, value| {
            if let Some(place) = input.get_mut(index) {
                *place = value;
            }
        })
    }
}
