//! Why an engine does not start, or takes no picture.

use crate::image::ImageError;

/// The arena is smaller than the image needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ArenaTooSmall {
    /// Bytes given.
    pub found: usize,
    /// Bytes the image needs.
    pub expected: usize,
}

impl core::fmt::Display for ArenaTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { found, expected } = self;
        write!(f, "arena of {found} bytes, but the model needs {expected}; enlarge the arena or pack for RAM")
    }
}

/// A picture with another number of bytes than the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WrongPixelCount {
    /// Bytes given.
    pub found: usize,
    /// Height x width x channels of the input.
    pub expected: usize,
}

impl core::fmt::Display for WrongPixelCount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { found, expected } = self;
        write!(f, "picture of {found} bytes, but the model takes {expected}; resize it to the model's input")
    }
}

/// Why a model does not run in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// Its device image is not one, or not one for this program.
    Image(ImageError),
    /// The arena is too small.
    Arena(ArenaTooSmall),
}

impl From<ImageError> for OpenError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<ArenaTooSmall> for OpenError {
    fn from(error: ArenaTooSmall) -> Self {
        Self::Arena(error)
    }
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::Arena(error) => error.fmt(f),
        }
    }
}

/// Why a model's golden vectors prove nothing good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SelfTestError {
    /// The image holds no golden vectors.
    NoVectors,
    /// Some gave other logits than the ones they come with.
    Failed {
        /// Golden vectors in the image.
        vectors: u16,
        /// How many of them gave other logits.
        failed: u16,
    },
}

impl core::fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoVectors => {
                write!(f, "the device image holds no golden vectors; pack the model with `--golden`")
            }
            Self::Failed { vectors, failed } => write!(
                f,
                "{failed} of {vectors} golden vectors gave wrong logits; is the arena written by somebody \
                 else, or the flash damaged?"
            ),
        }
    }
}

impl core::error::Error for ArenaTooSmall {}
impl core::error::Error for WrongPixelCount {}
impl core::error::Error for OpenError {}
impl core::error::Error for SelfTestError {}
