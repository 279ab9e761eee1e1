//! `manifest.json`: what a run trains, on which images, by what recipe. A resumed run must have the same
//! again; so no image that was trained on becomes one that the run is judged by.

use std::path::{Path, PathBuf};

use goldcrest_data::{Dataset, Split};
use goldcrest_onnx::{Data, Model};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::recipe::{Recipe, RecipeOptions};
use super::run::{MANIFEST, RECIPE};

/// What a run is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The data set's name.
    pub data: String,
    /// Names of its classes.
    pub classes: Vec<String>,
    /// Height, width and channels of its images.
    pub shape: [usize; 3],
    /// Training images, those set aside included, and test images.
    pub images: [usize; 2],
    /// SHA-256 of pixels and labels.
    pub data_sha256: String,
    /// Share of the training images set aside.
    pub validate: f32,
    /// Seed of the choice of those.
    pub split_seed: u64,
    /// Seed of the weights, of the order of the images and of their augmentation.
    pub seed: u64,
    /// Images per step.
    pub batch: usize,
    /// Whether it trains for int8.
    pub qat: bool,
    /// SHA-256 of the network without its weights.
    pub network_sha256: String,
    /// SHA-256 of the teacher's file.
    pub teacher_sha256: Option<String>,
    /// SHA-256 of the quantized model that training for int8 began with.
    pub prepared_sha256: Option<String>,
    /// The effective recipe.
    pub recipe: String,
}

/// The file: a manifest and its own SHA-256.
#[derive(Serialize, Deserialize)]
struct File {
    sha256: String,
    manifest: Manifest,
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read.
    #[error(
        "{path}: cannot read what the run was trained on: {source}; pass --overwrite to start the run anew"
    )]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not one, or a damaged one.
    #[error(
        "{path}: not a run's manifest, or a damaged one: {problem}; pass --overwrite to start the run anew"
    )]
    Damaged { path: PathBuf, problem: String },
    /// The teacher's file cannot be read.
    #[error("--teacher {path}: {source}")]
    Teacher { path: PathBuf, source: std::io::Error },
    /// The run is about something else.
    #[error("{path}: the run began with {began}, this is {now}; pass the same again, or another --out")]
    Other { path: PathBuf, began: String, now: String },
    /// A file of the run is another one than it wrote.
    #[error("{path}: not the file that the run wrote; {advice}")]
    Changed { path: PathBuf, advice: &'static str },
}

impl Manifest {
    /// What a run of `model` on `dataset` by `recipe` is about.
    ///
    /// # Errors
    /// [`ManifestError::Teacher`].
    pub fn of(model: &Model, dataset: &Dataset, recipe: &Recipe) -> Result<Self, ManifestError> {
        let shape = dataset.shape;
        let teacher_sha256 = match &recipe.distillation {
            Some(distillation) => {
                let path = &distillation.teacher;
                let bytes = std::fs::read(path)
                    .map_err(|source| ManifestError::Teacher { path: path.clone(), source })?;
                Some(sum(&bytes))
            }
            None => None,
        };
        Ok(Self {
            data: dataset.name.clone(),
            classes: dataset.classes.clone(),
            shape: [shape.height, shape.width, shape.channels],
            images: [dataset.train.len(), dataset.test.len()],
            data_sha256: data_sum([&dataset.train, &dataset.test]),
            validate: recipe.validate,
            split_seed: recipe.split_seed,
            seed: recipe.seed,
            batch: recipe.batch,
            qat: recipe.qat,
            network_sha256: network_sum(model),
            teacher_sha256,
            prepared_sha256: None,
            recipe: recipe.to_toml(),
        })
    }

    /// Reads a run's file.
    ///
    /// # Errors
    /// [`ManifestError::Read`], [`ManifestError::Damaged`].
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let damaged = |problem| ManifestError::Damaged { path: path.to_owned(), problem };
        let bytes =
            std::fs::read(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        let File { sha256, manifest } =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.sum() != sha256 {
            return Err(damaged("its SHA-256 is not the one in it".to_string()));
        }
        Ok(manifest)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let file = File { sha256: self.sum(), manifest: self.clone() };
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        goldcrest_files::write(path, &text)
    }

    /// Whether a run that began with this goes on with `now`; `path` is the file, for the error.
    ///
    /// # Errors
    /// [`ManifestError::Other`] with the first difference.
    pub fn admits(&self, now: &Self, path: &Path) -> Result<(), ManifestError> {
        let differs =
            |began: String, now: String| Err(ManifestError::Other { path: path.to_owned(), began, now });
        let [train, test] = self.images;
        let [train_now, test_now] = now.images;
        if self.images != now.images {
            let images = |train, test| format!("{train} training and {test} test images");
            return differs(images(train, test), images(train_now, test_now));
        }
        if self.shape != now.shape {
            let size =
                |[height, width, channels]: [usize; 3]| format!("images of {height}x{width}x{channels}");
            return differs(size(self.shape), size(now.shape));
        }
        if self.classes != now.classes {
            let names = |classes: &[String]| format!("the classes {}", classes.join(", "));
            return differs(names(&self.classes), names(&now.classes));
        }
        if self.data_sha256 != now.data_sha256 {
            let data = |of: &Self| format!("the images {:.12} of {}", of.data_sha256, of.data);
            return differs(data(self), data(now));
        }
        if (self.validate, self.split_seed) != (now.validate, now.split_seed) {
            let split = |of: &Self| format!("--validate {} --split-seed {}", of.validate, of.split_seed);
            return differs(split(self), split(now));
        }
        if self.seed != now.seed {
            return differs(format!("--seed {}", self.seed), format!("--seed {}", now.seed));
        }
        if self.qat != now.qat {
            let qat = |of: &Self| format!("--qat {}", of.qat);
            return differs(qat(self), qat(now));
        }
        if self.network_sha256 != now.network_sha256 {
            let network = |of: &Self| format!("the network {:.12}", of.network_sha256);
            return differs(network(self), network(now));
        }
        if self.teacher_sha256 != now.teacher_sha256 {
            let teacher = |of: &Self| match &of.teacher_sha256 {
                Some(sum) => format!("the teacher {sum:.12}"),
                None => "no teacher".to_string(),
            };
            return differs(teacher(self), teacher(now));
        }
        Ok(())
    }

    fn sum(&self) -> String {
        // Serializing what holds only text and numbers cannot fail.
        sum(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The recipe of the run in a folder, which goes on with it; nothing where the folder holds no manifest.
///
/// # Errors
/// When the manifest is damaged, or `recipe.toml` beside it was changed.
pub fn recipe(run: &Path) -> Result<RecipeOptions, ManifestError> {
    let path = run.join(MANIFEST);
    if !path.exists() {
        // Whether there is a run to resume is for the run's folder to say.
        return Ok(RecipeOptions::default());
    }
    let manifest = Manifest::read(&path)?;
    let copy = run.join(RECIPE);
    if std::fs::read(&copy).is_ok_and(|copy| copy != manifest.recipe.as_bytes()) {
        let advice =
            "change a resumed run's recipe with flags, and remove this file: the manifest has the recipe";
        return Err(ManifestError::Changed { path: copy, advice });
    }
    let damaged = |problem| ManifestError::Damaged { path: path.clone(), problem };
    toml::from_str(&manifest.recipe).map_err(|error| damaged(error.to_string()))
}

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn sum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of the images and labels of two splits, in hexadecimal.
pub(crate) fn data_sum(splits: [&Split; 2]) -> String {
    let mut sum = Sha256::new();
    for split in splits {
        sum.update((split.len() as u64).to_le_bytes());
        split.labels().iter().for_each(|label| sum.update(label.to_le_bytes()));
        sum.update(split.pixels());
    }
    hex(&sum.finalize())
}

/// Of the network as a file, with zeros for the weights: those change from run to run.
fn network_sum(model: &Model) -> String {
    let mut model = model.clone();
    model.metadata.clear();
    for tensor in model.graph.initializers.values_mut().filter(|tensor| !tensor.shape.is_empty()) {
        if let Data::F32(values) = &mut tensor.data {
            values.fill(0.0);
        }
    }
    sum(&model.encode())
}
