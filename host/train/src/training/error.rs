//! Why a training ended early.

use std::path::PathBuf;

use goldcrest_engine::shape::Shape;
use goldcrest_onnx::OnnxError;
use goldcrest_onnx::info::InfoError;
use goldcrest_onnx::native::NativeError;

use super::checkpoint::CheckpointError;
use super::manifest::ManifestError;
use super::quantization_aware::QatError;
use super::recipe::RecipeError;
use super::run::RunError;
use super::session::SessionError;
use super::teacher::TeacherError;
use crate::autodiff::AutodiffError;

/// Why training did not get to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network cannot be differentiated.
    #[error(transparent)]
    Autodiff(#[from] AutodiffError),
    /// The network is not given to native code.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// ONNX Runtime refused.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The recipe does not fit.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The training API is for the processor.
    #[error("--backend training-api trains on the processor; pass --backend session with --device cuda")]
    ApiDevice,
    /// The teacher.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// Training for int8.
    #[error(transparent)]
    Qat(#[from] Box<QatError>),
    /// The prepared network of the run cannot be read.
    #[error(transparent)]
    Prepared(#[from] OnnxError),
    /// What the prepared network says of its images.
    #[error(transparent)]
    Info(#[from] InfoError),
    /// The run's folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What the run is about.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the run cannot be written.
    #[error("{path}: cannot write: {source}; the last checkpoint is whole, --resume continues it")]
    Write { path: PathBuf, source: std::io::Error },
    /// Weights without a slope.
    #[error(
        "the network's weights are integers (`{name}`) and cannot be trained; take the float model that it \
         came from, with --qat to train for int8, or go on with its run by --resume"
    )]
    Integers { name: String },
    /// Images and network do not fit.
    #[error("the network takes {found} images, those of the data set are {expected}; {advice}")]
    Shape { found: String, expected: Shape, advice: &'static str },
    /// Classes and network do not fit.
    #[error(
        "the network has {found} classes, the data set has {expected}; pass --head {expected} to give an \
         ONNX model a new last layer"
    )]
    Classes { found: String, expected: usize },
    /// There are too few images.
    #[error("the data set has no {part} images")]
    Empty { part: &'static str },
    /// The share to be set aside is less than an image.
    #[error(
        "--validate {share} of {images} training images sets no image of any class aside; give a larger \
         share, or leave it out to choose the best model by the test images"
    )]
    NoValidation { share: f32, images: usize },
    /// The loss is not a number any more.
    #[error(
        "the loss became {loss} in step {step} of epoch {epoch} with learning rate {learning_rate}; \
         try a lower one (--learning-rate {lower}) or a warm-up (--warmup 1)"
    )]
    Diverged { loss: f32, step: usize, epoch: usize, learning_rate: f32, lower: f32 },
    /// The batch cannot change within an epoch.
    #[error(
        "the run stopped within an epoch of batches of {began} images; resume it with --batch {began}, or \
         with {now} after the epoch's end"
    )]
    Batch { began: usize, now: usize },
    /// The checkpoint is of another network.
    #[error("{path}: the checkpoint is of another network or recipe: {problem}")]
    OtherNetwork { path: PathBuf, problem: String },
}

/// Says which file could not be written.
pub(super) fn write_error(path: PathBuf) -> impl FnOnce(std::io::Error) -> TrainError {
    move |source| TrainError::Write { path, source }
}
