//! The image that augmentation works on.

use goldcrest_engine::shape::Shape;

/// One image of bytes, height x width x channels, with the spare memory that steps need, so that no
/// step allocates.
#[derive(Clone, Debug)]
pub struct Canvas {
    shape: Shape,
    pixels: Vec<u8>,
    spare: Vec<u8>,
    pub(super) packed: Vec<u64>,
}

impl Canvas {
    /// A black canvas.
    pub fn new(shape: Shape) -> Self {
        let (pixels, spare) = (vec![0; shape.len()], vec![0; shape.len()]);
        Self { shape, pixels, spare, packed: Vec::new() }
    }

    /// Height, width, channels.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Starts with an image.
    ///
    /// # Panics
    ///
    /// When the image has another size than the canvas.
    pub fn load(&mut self, image: &[u8]) {
        self.pixels.copy_from_slice(image);
    }

    /// The image.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The image, to change in place.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Draws a new image from the old one. `to` holds old pixels that must all be overwritten.
    pub fn redraw(&mut self, draw: impl FnOnce(&[u8], &mut [u8])) {
        draw(&self.pixels, &mut self.spare);
        std::mem::swap(&mut self.pixels, &mut self.spare);
    }
}
