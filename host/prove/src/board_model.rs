//! The user's model for a board, whatever file it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use goldcrest_board::keys::manifest_behind;
use goldcrest_board::payload::{Payload, self_test_pictures};
use goldcrest_engine::kernels::Family;
use goldcrest_engine::{ImageBuf, ImageError};
use goldcrest_onnx::{Model, OnnxError, int8};
use goldcrest_quantize::graph::QuantizedModel;
use goldcrest_quantize::pack::{Optimize, PackError, PackOptions, Winograd};

/// Why a file is not a model for a board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardModelError {
    /// Not readable.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A `.gci` file that is not a device image.
    #[error("{}: {error}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ImageError,
    },
    /// Not an ONNX model.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// Not an int8 model of Goldcrest.
    #[error("{}: {error}", path.display())]
    Int8 {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: int8::Int8Error,
    },
}

/// A model for a board, read once: an int8 ONNX file, which is packed for each board, or a finished device
/// image.
#[derive(Clone, Debug)]
pub struct BoardModel {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub content: Content,
    /// The signed manifest behind a device image.
    pub manifest: Option<Vec<u8>>,
}

/// What a file with a model for a board holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// An int8 ONNX file.
    Int8 {
        /// The ONNX file's metadata, by key.
        metadata: BTreeMap<String, String>,
        /// The network.
        model: Box<QuantizedModel>,
    },
    /// A device image (`.gci`).
    Image(ImageBuf),
}

impl BoardModel {
    /// Reads a device image (`.gci`) or an int8 ONNX file.
    ///
    /// # Errors
    /// When the file cannot be read or is neither.
    pub fn read(path: &Path) -> Result<Self, BoardModelError> {
        let place = || path.to_path_buf();
        let mut manifest = None;
        let content = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gci")) {
            let bytes =
                std::fs::read(path).map_err(|error| BoardModelError::Read { path: place(), error })?;
            let image = ImageBuf::new_checked(&bytes);
            let image = image.map_err(|error| BoardModelError::Image { path: place(), error })?;
            manifest = manifest_behind(&bytes, &image);
            Content::Image(image)
        } else {
            let onnx = Model::read(path)?;
            let model = int8::read(&onnx).map_err(|error| BoardModelError::Int8 { path: place(), error })?;
            Content::Int8 { metadata: onnx.metadata, model: Box::new(model) }
        };
        Ok(Self { path: place(), content, manifest })
    }

    /// Whether the file is a finished device image.
    pub fn is_image(&self) -> bool {
        matches!(self.content, Content::Image(_))
    }

    /// The device image: as it is, or packed as the options say.
    ///
    /// # Errors
    /// When the model cannot be packed so.
    pub fn pack(&self, options: &PackOptions) -> Result<Payload, PackError> {
        match &self.content {
            Content::Int8 { model, .. } => Payload::pack(model, options),
            Content::Image(image) => Ok(Payload::from_image(image.clone())),
        }
    }

    /// The device image with this checksum, if it is the file, or what `flash` and `pack` without budgets
    /// make of it; else the usual one. `family` is that of the board's kernels, where the board is known.
    ///
    /// # Errors
    /// When the model cannot be packed.
    pub fn pack_like(&self, crc: u32, family: Option<Family>) -> Result<Payload, PackError> {
        let usual = PackOptions { family: family.unwrap_or_default(), ..PackOptions::default() };
        let first = self.pack(&usual)?;
        if self.is_image() || first.image.image().crc() == crc {
            return Ok(first);
        }
        let pixels = first.image.image().input_shape().len();
        let families = family.map_or(Family::ALL.to_vec(), |family| vec![family]);
        for golden in [self_test_pictures(pixels), Vec::new()] {
            for &family in &families {
                for optimize in [Optimize::Speed, Optimize::Ram, Optimize::Flash] {
                    for winograd in [Winograd::Auto, Winograd::Off] {
                        let golden = golden.clone();
                        let options =
                            PackOptions { family, optimize, winograd, golden, ..PackOptions::default() };
                        let payload = self.pack(&options)?;
                        if payload.image.image().crc() == crc {
                            return Ok(payload);
                        }
                    }
                }
            }
        }
        Ok(first)
    }
}
