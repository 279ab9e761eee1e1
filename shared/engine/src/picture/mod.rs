//! From a camera's or a file's picture to a model's input, by the same integers on host and board.
//!
//! * [`resize`]: crop, and the average over the area of each output pixel.
//! * [`color`]: RGB565 to RGB, RGB to gray, transparency over a background.
//! * [`preprocessing`]: what of a picture a model sees.

pub mod color;
pub mod preprocessing;
pub mod resize;

pub use preprocessing::{Fit, Preparation, Preprocessing, Scratch};
pub use resize::{Crop, Resize, ResizeError};
