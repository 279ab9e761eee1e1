//! A teacher: a trained model whose logits a smaller network learns from.

use std::path::{Path, PathBuf};

use goldcrest_data::{Dataset, Normalization};
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::{Model, OnnxError};
use goldcrest_prove::evaluate::{Classifier, EvaluateError, FloatClassifier};
use goldcrest_prove::verify::RunnerError;

/// Why a model cannot teach.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeacherError {
    /// The file is not a model.
    #[error("--teacher {path}: {source}")]
    Read { path: PathBuf, source: OnnxError },
    /// The model is not a classifier of images.
    #[error("--teacher {path}: {source}")]
    Load { path: PathBuf, source: Box<EvaluateError> },
    /// It sees other images.
    #[error("--teacher {path}: it takes {found} images, those of the data set are {expected}")]
    Images { path: PathBuf, found: Shape, expected: Shape },
    /// It knows other classes.
    #[error(
        "--teacher {path}: it tells {found} apart, the data set has {expected}; teacher and data must agree"
    )]
    Classes { path: PathBuf, found: String, expected: String },
    /// It cannot be run.
    #[error("the teacher: {0}")]
    Run(#[from] RunnerError),
}

/// A loaded teacher.
pub(super) struct Teacher {
    classifier: FloatClassifier,
    /// Per channel: from the student's normalized values to the teacher's, as factor and summand.
    renormalize: Vec<(f32, f32)>,
    /// Values of one channel of an image.
    plane: usize,
}

impl Teacher {
    /// Loads the model of a file for images that were normalized by `normalization`.
    pub fn load(path: &Path, dataset: &Dataset, normalization: &Normalization) -> Result<Self, TeacherError> {
        let path = path.to_owned();
        let model = match Model::read(&path) {
            Ok(model) => model,
            Err(source) => return Err(TeacherError::Read { path, source }),
        };
        let classifier = match FloatClassifier::load(&model) {
            Ok(classifier) => classifier,
            Err(source) => return Err(TeacherError::Load { path, source: Box::new(source) }),
        };
        let (found, expected) = (classifier.input(), dataset.shape);
        if found != expected {
            return Err(TeacherError::Images { path, found, expected });
        }
        let labels = &classifier.info().labels;
        let named = model.metadata.contains_key(goldcrest_onnx::info::LABELS);
        if labels.len() != dataset.classes.len() || named && *labels != dataset.classes {
            let list = |names: &[String]| match names.len() {
                count @ 21.. => format!("{count} classes ({}, ...)", names[..3].join(", ")),
                count => format!("{count} classes ({})", names.join(", ")),
            };
            let (found, expected) = (list(labels), list(&dataset.classes));
            return Err(TeacherError::Classes { path, found, expected });
        }
        let theirs = &classifier.info().normalization;
        let channels = normalization.mean.iter().zip(&normalization.std);
        let renormalize = channels
            .zip(theirs.mean.iter().zip(&theirs.std))
            .map(|((mean, std), (their_mean, their_std))| (std / their_std, (mean - their_mean) / their_std))
            .collect();
        Ok(Self { classifier, renormalize, plane: expected.height * expected.width })
    }

    /// The logits of normalized images, one image after the other.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>, TeacherError> {
        if self.renormalize.iter().all(|&change| change == (1.0, 0.0)) {
            return Ok(self.classifier.logits_of_values(images)?);
        }
        let mut images = images.to_vec();
        for (plane, (factor, summand)) in
            images.chunks_exact_mut(self.plane).zip(self.renormalize.iter().cycle())
        {
            plane.iter_mut().for_each(|value| *value = *value * factor + summand);
        }
        Ok(self.classifier.logits_of_values(&images)?)
    }
}
