//! Bytes and device images that own their memory, aligned as an image must be.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use super::{Image, ImageError};
use crate::engine::{bytes, bytes_mut, part};
use crate::kernels;

/// Bytes that start at a multiple of [`Image::ALIGNMENT`] in memory, which those of a `Vec<u8>`
/// need not.
///
/// ```
/// use goldcrest_engine::{AlignedBytes, Image};
///
/// let aligned = AlignedBytes::from(&b"GCI"[..]);
/// assert!(aligned.as_ptr().addr().is_multiple_of(Image::ALIGNMENT));
/// assert_eq!(&aligned[..], b"GCI");
/// ```
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    words: Vec<u32>,
    length: usize,
}

impl AlignedBytes {
    /// The bytes for the rest of the program, as the memory of a simulated board is.
    pub fn leak(self) -> &'static mut [u8] {
        bytes_mut(Vec::leak(self.words)).get_mut(..self.length).unwrap_or_default()
    }
}

impl From<&[u8]> for AlignedBytes {
    /// Copies bytes.
    fn from(from: &[u8]) -> Self {
        let mut aligned =
            Self { words: alloc::vec![0; from.len().div_ceil(size_of::<u32>())], length: from.len() };
        aligned.copy_from_slice(from);
        aligned
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        part(bytes(&self.words), 0, self.length)
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        bytes_mut(&mut self.words).get_mut(..self.length).unwrap_or_default()
    }
}

/// A device image that owns its memory and was checked once, with every kernel there is: for programs with an
/// operating system below.
///
/// ```
/// use goldcrest_engine::{ImageBuf, ImageError};
///
/// let error = ImageBuf::new_checked(b"GCI").unwrap_err();
/// assert_eq!(error, ImageError::Truncated { found: 3, expected: 68 });
/// ```
#[derive(Clone, Debug)]
pub struct ImageBuf {
    bytes: AlignedBytes,
}

impl ImageBuf {
    /// Copies bytes, wherever they stand in memory, and checks them as [`Image::new_checked`] does; what
    /// follows the image's own length is left out.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn new_checked(from: &[u8]) -> Result<Self, ImageError> {
        let mut bytes = AlignedBytes::from(from);
        bytes.length = Image::new_checked(&bytes, kernels::ALL)?.bytes().len();
        bytes.words.truncate(bytes.length.div_ceil(size_of::<u32>()));
        Ok(Self { bytes })
    }

    /// The image.
    pub fn image(&self) -> Image<'_> {
        Image::checked_before(&self.bytes, kernels::ALL)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for ImageBuf {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for ImageBuf {}
