//! Why bytes are not a device image.

use core::fmt::Write;

use crate::kernels::{self, Family};

/// Why [`Image::new_checked`](super::Image::new_checked) refuses bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// Fewer bytes than the header, or than the header promises.
    Truncated {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// The first four bytes are not those of an image.
    Magic([u8; 4]),
    /// Another format version.
    Version(u16),
    /// The checksum does not match the bytes: the image is damaged.
    Checksum {
        /// Checksum of the bytes.
        found: u32,
        /// Checksum in the header.
        expected: u32,
    },
    /// The bytes do not start at a multiple of [`Image::ALIGNMENT`](super::Image::ALIGNMENT) in memory.
    Misaligned,
    /// The image was packed for instructions that this build does not have.
    Family {
        /// What the image was packed for.
        image: Family,
        /// The fastest that this build has.
        build: Family,
    },
    /// A family that this engine does not know.
    UnknownFamily(u8),
    /// A block lies outside the image or is not aligned.
    Block {
        /// What the block holds.
        block: &'static str,
        /// Its offset.
        offset: u32,
        /// Its bytes.
        bytes: u64,
    },
    /// The input or output tensor does not fit the arena or does not match the pixels and labels.
    Tensor(&'static str),
    /// No part of a picture has this number.
    Fit(u8),
    /// A label is not UTF-8.
    Label(u16),
    /// A layer is wrong.
    Layer {
        /// Which, counted from 0.
        layer: u16,
        /// What is wrong.
        problem: LayerError,
    },
}

/// What is wrong with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayerError {
    /// The program does not have the kernel of this number.
    Kernel(u8),
    /// The shapes do not belong to the operator.
    Shape,
    /// A tensor or the scratch memory lies outside the arena, or is not aligned.
    Arena,
    /// Weights or channel constants lie outside the image, are not aligned, or have another length
    /// than the kernel reads.
    Constants,
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Truncated { found, expected } => {
                write!(f, "device image: {found} bytes, but {expected} are needed; it is truncated")
            }
            Self::Magic(found) => {
                write!(f, "not a device image: it starts with {found:02x?}, expected {:02x?}", super::MAGIC)
            }
            Self::Version(found) => write!(
                f,
                "device image of format {found}, but this program reads format {}; pack the model again",
                super::VERSION
            ),
            Self::Checksum { found, expected } => write!(
                f,
                "device image: checksum {found:#010x}, but the header says {expected:#010x}; it is damaged"
            ),
            Self::Misaligned => write!(
                f,
                "device image: its address is not a multiple of {}; place it aligned",
                super::ALIGNMENT
            ),
            Self::Family { image, build } => write!(
                f,
                "device image for {image} cores, but this program is built for {build}; build it with {}, or \
                 pack the model for {build}",
                image.setting()
            ),
            Self::UnknownFamily(code) => write!(
                f,
                "device image for cores of family {code}, which this program does not know; pack the model \
                 again"
            ),
            Self::Block { block, offset, bytes } => {
                write!(f, "device image: {block} ({bytes} bytes at {offset:#x}) not inside it or not aligned")
            }
            Self::Tensor(which) => {
                write!(f, "device image: the {which} tensor does not fit the arena, the pixels or the labels")
            }
            Self::Fit(code) => write!(
                f,
                "device image: pictures are fitted in way {code}, which this program does not know; pack the \
                 model again"
            ),
            Self::Label(label) => write!(f, "device image: label {label} is not UTF-8"),
            Self::Layer { layer, problem } => write!(f, "device image: layer {layer}: {problem}"),
        }
    }
}

impl core::fmt::Display for LayerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Kernel(id) => match kernels::name(id) {
                Some(name) => {
                    write!(f, "it needs the kernel {name}, which this program leaves out; add kernels::")?;
                    for letter in name.chars() {
                        f.write_char(if letter == '-' { '_' } else { letter.to_ascii_uppercase() })?;
                    }
                    write!(f, " to the model's list")
                }
                None => write!(f, "this engine has no kernel {id}; pack the model again"),
            },
            Self::Shape => write!(f, "its shapes do not belong to its operator"),
            Self::Arena => write!(f, "a tensor or its scratch memory is not inside the arena"),
            Self::Constants => write!(f, "its weights or channel constants are not what the kernel reads"),
        }
    }
}

impl core::error::Error for ImageError {}
impl core::error::Error for LayerError {}
