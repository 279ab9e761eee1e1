//! CIFAR-10's own binary files: `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and
//! `batches.meta.txt` with the names of the classes.
//!
//! A record is one label byte, then 1024 red, 1024 green and 1024 blue bytes, row by row
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::{fs, path::Path};

use goldcrest_engine::picture::Preprocessing;
use goldcrest_engine::shape::Shape;
use rayon::prelude::*;

use super::{Dataset, Findings, Split, error::DatasetError};

const SHAPE: Shape = Shape::new(32, 32, 3);
const PLANE: usize = 32 * 32;
const RECORD: usize = 1 + SHAPE.len();
/// The classes of CIFAR-10, in the order of its labels.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const META: &str = "batches.meta.txt";
const TEST: &str = "test_batch.bin";

/// The largest file taken: seven times the original's 10,000 records.
pub(super) const MAX_FILE: u64 = 70_000 * RECORD as u64;

/// True for the names of CIFAR-10's files.
pub(super) fn is_part(name: &str) -> bool {
    name == META || name == TEST || is_train(name)
}

fn is_train(name: &str) -> bool {
    name.strip_prefix("data_batch_")
        .and_then(|rest| rest.strip_suffix(".bin"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// File names with their content.
type Files = Vec<(String, Vec<u8>)>;

/// The files of a folder, or `None` when none of them is CIFAR-10's.
pub(super) fn read_folder(folder: &Path) -> Result<Option<Files>, DatasetError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(DatasetError::io(folder))? {
        let entry = entry.map_err(DatasetError::io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_part(&name) {
            continue;
        }
        let path = entry.path();
        let found = fs::metadata(&path).map_err(DatasetError::io(&path))?;
        if !found.is_file() || found.len() > MAX_FILE {
            return Err(wrong_size(&name, found.len()));
        }
        files.push((name, fs::read(&path).map_err(DatasetError::io(&path))?));
    }
    Ok(files.iter().any(|(name, _)| name != META).then_some(files))
}

fn wrong_size(file: &str, bytes: u64) -> DatasetError {
    DatasetError::CifarSize { file: file.to_owned(), bytes, record: RECORD as u64, limit: MAX_FILE }
}

/// Puts the files together; training files in the order of their numbers.
pub(super) fn assemble<B: AsRef<[u8]> + Sync>(
    place: &str,
    name: String,
    mut files: Vec<(String, B)>,
) -> Result<Dataset, DatasetError> {
    let base = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    files.sort_by_key(|(name, _)| (base(name).len(), base(name)));
    let classes = match files.iter().find(|(name, _)| base(name) == META) {
        Some((name, text)) => class_names(name, text.as_ref())?,
        None => CLASSES.map(str::to_owned).to_vec(),
    };
    let part = |wanted: &dyn Fn(&str) -> bool, missing: &'static str| {
        let files: Vec<_> = files.iter().filter(|(name, _)| wanted(&base(name))).collect();
        match files.is_empty() {
            true => Err(DatasetError::CifarPart { place: place.to_owned(), missing }),
            false => records(&files),
        }
    };
    let train = part(&is_train, "data_batch_1.bin")?;
    let test = part(&|name| name == TEST, TEST)?;
    Ok(Dataset {
        name,
        classes,
        shape: SHAPE,
        train,
        test,
        preprocessing: Preprocessing::default(),
        findings: Findings::default(),
    })
}

fn class_names(file: &str, text: &[u8]) -> Result<Vec<String>, DatasetError> {
    let text = String::from_utf8_lossy(text);
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != CLASSES.len() || names.iter().any(|name| name.contains(char::is_control)) {
        return Err(DatasetError::ClassNames { file: file.to_owned(), found: names.len() });
    }
    Ok(names)
}

fn records<B: AsRef<[u8]>>(files: &[&(String, B)]) -> Result<Split, DatasetError> {
    let mut labels = Vec::new();
    for (name, bytes) in files {
        let bytes = bytes.as_ref();
        if bytes.is_empty() || bytes.len() % RECORD != 0 || bytes.len() as u64 > MAX_FILE {
            return Err(wrong_size(name, bytes.len() as u64));
        }
        for (record, label) in bytes.iter().step_by(RECORD).enumerate() {
            if usize::from(*label) >= CLASSES.len() {
                return Err(DatasetError::Label {
                    file: name.clone(),
                    record,
                    offset: record * RECORD,
                    found: usize::from(*label),
                    classes: CLASSES.len(),
                });
            }
            labels.push(u16::from(*label));
        }
    }
    let mut pixels = vec![0; labels.len() * SHAPE.len()];
    let planes: Vec<&[u8]> = files
        .iter()
        .flat_map(|(_, bytes)| bytes.as_ref().chunks_exact(RECORD))
        .map(|record| &record[1..])
        .collect();
    pixels.par_chunks_exact_mut(SHAPE.len()).zip(planes).for_each(|(image, planes)| {
        let (red, rest) = planes.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        for (((pixel, &r), &g), &b) in image.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
            pixel.copy_from_slice(&[r, g, b]);
        }
    });
    Ok(Split::new(SHAPE, pixels, labels))
}
