//! A folder of pictures.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    error::DatasetError,
    layout::{Layout, is_csv, is_hidden},
    names,
};

/// Folders within folders that are looked into: room for two around `train/<class>`.
const DEPTH: usize = 5;
/// The largest list of labels.
pub(super) const MAX_TABLE: u64 = 64 << 20;

/// Finds the pictures. Symbolic links are followed; links cannot make a cycle, because folders
/// are read to a fixed depth.
pub(super) fn layout(root: &Path) -> Result<Layout<PathBuf>, DatasetError> {
    let mut layout = Layout::new(root.display().to_string().trim_end_matches('/').to_owned());
    walk(&mut layout, root, &[])?;
    Ok(layout)
}

fn walk(layout: &mut Layout<PathBuf>, folder: &Path, above: &[&str]) -> Result<(), DatasetError> {
    for entry in entries(folder)? {
        let path = [above, &[entry.name.as_str()]].concat();
        if !entry.is_folder {
            if is_csv(&entry.name) && entry.bytes <= MAX_TABLE {
                layout.table(&path, fs::read(&entry.path).map_err(DatasetError::io(&entry.path))?);
            }
            layout.file(&path, entry.path);
            continue;
        }
        layout.folder(&path);
        if path.len() < DEPTH {
            walk(layout, &entry.path, &path)?;
        }
    }
    Ok(())
}

struct Entry {
    name: String,
    path: PathBuf,
    is_folder: bool,
    bytes: u64,
}

/// The files and folders of a folder, sorted, without hidden ones, devices and pipes.
fn entries(folder: &Path) -> Result<Vec<Entry>, DatasetError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(DatasetError::io(folder))? {
        let entry = entry.map_err(DatasetError::io(folder))?;
        let name = names::readable(entry.file_name().as_encoded_bytes());
        if is_hidden(&name) {
            continue;
        }
        let path = entry.path();
        let mut kind = entry.file_type().map_err(DatasetError::io(&path))?;
        // Only of links and tables more is asked: looking at each of many files takes long.
        let mut bytes = 0;
        if kind.is_symlink() || is_csv(&name) {
            let found = fs::metadata(&path).map_err(DatasetError::io(&path))?;
            (kind, bytes) = (found.file_type(), found.len());
        }
        if kind.is_dir() || kind.is_file() {
            entries.push(Entry { name, path, is_folder: kind.is_dir(), bytes });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
