//! The device image for a board, from whatever file the user has.

use std::path::{Path, PathBuf};

use goldcrest_board::payload::Payload;
use goldcrest_engine::image::ImageError;
use goldcrest_onnx::{Model, OnnxError, int8};
use goldcrest_quantize::pack::{PackError, PackOptions};

/// Why a file gives no device image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Not readable.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A `.gci` file that is no device image.
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
    /// It cannot be packed.
    #[error("packing the model: {0}")]
    Pack(#[from] PackError),
}

/// Reads a device image (`.gci`) as it is, or packs an int8 ONNX file.
pub fn open(path: &Path, options: &PackOptions) -> Result<Payload, PayloadError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gci")) {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|error| PayloadError::Read { path: path.to_path_buf(), error })?;
        return Payload::from_image(&bytes)
            .map_err(|error| PayloadError::Image { path: path.to_path_buf(), error });
    }
    let model = int8::read(&Model::read(path)?);
    let model = model.map_err(|error| PayloadError::Int8 { path: path.to_path_buf(), error })?;
    Ok(Payload::pack(&model, options)?)
}
