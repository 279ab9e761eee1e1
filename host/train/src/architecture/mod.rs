//! Architectures: a network described in a few lines of TOML becomes an ONNX model with fresh
//! weights.
//!
//! ```toml
//! name = "tiny"
//! layers = [
//!     { conv = { channels = 8, kernel = 3, padding = "same", batch_norm = true, activation = "relu" } },
//!     { block = { name = "basic", channels = 16, stride = 2, repeat = 2 } },
//!     "global_average_pool",
//!     "flatten",
//!     { linear = { features = "$classes" } },
//! ]
//!
//! [blocks.basic]
//! layers = [
//!     { residual = { activation = "relu", body = [
//!         { conv = { channels = "$channels", kernel = 3, padding = "same", batch_norm = true } },
//!     ], shortcut = [
//!         { conv = { channels = "$channels", kernel = 1, stride = "$stride" } },
//!     ] } },
//! ]
//! ```
//!
//! Every key is described in [`description`]. Padding is symmetric, as in PyTorch: `"same"` adds
//! `kernel / 2` on every side, with stride 2 too, where TensorFlow would pad below and to the right
//! only.

mod build;
pub mod description;
mod head;
mod initialization;
mod multiply_accumulates;

use std::path::PathBuf;

pub use build::LayerError;
pub use description::Description;
pub use head::{HeadError, replace_head};
pub use multiply_accumulates::multiply_accumulates;

use goldcrest_engine::shape::Shape;
use goldcrest_models::ARCHITECTURES;
use goldcrest_onnx::Model;

/// Why an architecture could not be loaded or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// Neither a built-in name nor a file.
    #[error(
        "no architecture `{name}`: built in are {}; any other is the path of a .toml file",
        built_in_names()
    )]
    NotFound { name: String },
    /// The file cannot be read.
    #[error("{path}: cannot read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The TOML is malformed, or has a key or value that no architecture has; the message shows the line.
    #[error("{origin}: {source}")]
    Parse { origin: String, source: Box<toml::de::Error> },
    /// A layer cannot be built.
    #[error("{origin}, line {line}: layer `{layer}`: {problem}")]
    Layer { origin: String, line: usize, layer: String, problem: Box<LayerError> },
    /// The network as a whole is not a classifier.
    #[error("{origin}: {problem}")]
    Network { origin: String, problem: String },
}

/// A network's description, ready to be built.
#[derive(Clone, Debug)]
pub struct Architecture {
    description: Description,
    /// The TOML, to find lines for messages.
    text: String,
    /// Where the TOML comes from, for messages.
    origin: String,
}

/// Loads a built-in architecture by name, or any from the path of a TOML file.
///
/// # Errors
/// [`ArchitectureError::NotFound`], [`ArchitectureError::Read`], [`ArchitectureError::Parse`].
pub fn load(name_or_path: &str) -> Result<Architecture, ArchitectureError> {
    if let Some((name, text)) = ARCHITECTURES.iter().find(|(name, _)| *name == name_or_path) {
        return Architecture::parse(&format!("{name}.toml (built in)"), text);
    }
    let path = PathBuf::from(name_or_path);
    if path.extension().is_none_or(|extension| extension != "toml") && !path.is_file() {
        return Err(ArchitectureError::NotFound { name: name_or_path.into() });
    }
    let text = std::fs::read_to_string(&path).map_err(|source| ArchitectureError::Read { path, source })?;
    Architecture::parse(name_or_path, &text)
}

/// Whether a name is that of an architecture that comes with Goldcrest.
pub fn is_built_in(name: &str) -> bool {
    ARCHITECTURES.iter().any(|(known, _)| *known == name)
}

impl Architecture {
    /// Reads a description; `origin` names it in messages.
    ///
    /// # Errors
    /// [`ArchitectureError::Parse`].
    pub fn parse(origin: &str, text: &str) -> Result<Self, ArchitectureError> {
        let description = toml::from_str(text)
            .map_err(|source| ArchitectureError::Parse { origin: origin.into(), source: Box::new(source) })?;
        Ok(Self { description, text: text.into(), origin: origin.into() })
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// The network as a float ONNX model (opset 17): input `input` `[N, C, H, W]`, output `logits`
    /// `[N, classes]`, weights drawn from `seed`. The same seed gives the same bits.
    ///
    /// # Errors
    /// [`ArchitectureError::Layer`] names the layer that does not fit and its line,
    /// [`ArchitectureError::Network`] what is missing of a classifier.
    pub fn build(&self, input: Shape, classes: usize, seed: u64) -> Result<Model, ArchitectureError> {
        build::build(self, input, classes, seed)
    }

    /// The line of a byte of the TOML, from 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }
}

fn built_in_names() -> String {
    ARCHITECTURES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
