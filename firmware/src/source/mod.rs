//! Where pictures come from: the host over the line, flash, a camera. Each puts one picture into a model's
//! input.
//!
//! * [`received`]: pixels that came over the link.
//! * [`stored`]: pictures in flash.
//! * [`arducam`]: an ArduCAM Mini with its OV2640.

pub mod arducam;
pub mod received;
pub mod stored;

use goldcrest_engine::picture::Preprocessing;
pub use goldcrest_engine::picture::Scratch;
use goldcrest_engine::shape::Shape;

/// Gives pictures, one after another.
pub trait ImageSource {
    /// Why there is no picture.
    type Error;

    /// Puts the next picture into a model's input of shape `to`, as the model's preprocessing says: u8
    /// pixels, HWC. What `input` holds after an error is not a picture.
    ///
    /// # Errors
    /// The source's own, and inputs that it cannot fill.
    fn fill(&mut self, rule: &Preprocessing, to: Shape, input: &mut [u8]) -> Result<(), Self::Error>;
}

/// What puts prepared values into an input.
fn put(input: &mut [u8]) -> impl FnMut(usize, u8) {
    |index, value| {
        if let Some(place) = input.get_mut(index) {
            *place = value;
        }
    }
}
