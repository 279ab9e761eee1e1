//! A folder of pictures: `train/<class>/*.jpg`, `test/<class>/*.jpg`, or `<class>/*.jpg`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    error::DatasetError,
    layout::{Layout, Part, is_hidden, is_picture},
    names,
};

/// Finds the pictures. Symbolic links are followed; links cannot make a cycle, because folders
/// are read to a fixed depth.
pub(super) fn layout(root: &Path) -> Result<Layout<PathBuf>, DatasetError> {
    let mut layout = Layout::new(root.display().to_string());
    let top = entries(root)?;
    let folders: Vec<&Entry> = top.iter().filter(|entry| entry.is_folder).collect();
    if folders.iter().any(|entry| Part::from_name(&entry.name).is_some()) {
        for folder in folders {
            match Part::from_name(&folder.name) {
                None => layout.stranger(&folder.name),
                Some(part) => {
                    for entry in entries(&folder.path)? {
                        class(&mut layout, part, &[&folder.name], &entry)?;
                    }
                }
            }
        }
    } else {
        for folder in &top {
            class(&mut layout, Part::Flat, &[], folder)?;
        }
    }
    Ok(layout)
}

fn class(
    layout: &mut Layout<PathBuf>,
    part: Part,
    above: &[&str],
    folder: &Entry,
) -> Result<(), DatasetError> {
    let path = |rest: &[&str]| [above, rest].concat().join("/");
    let misplaced = |file| Err(DatasetError::Misplaced { file, expected: "train/<class>/0001.jpg" });
    if !folder.is_folder {
        return match is_picture(&folder.name) {
            true => misplaced(path(&[&folder.name])),
            false => Ok(()),
        };
    }
    layout.class(part, &folder.name);
    for entry in entries(&folder.path)? {
        if entry.is_folder {
            return misplaced(path(&[&folder.name, &entry.name]));
        }
        layout.file(&[above, &[&folder.name, &entry.name]].concat(), entry.path)?;
    }
    Ok(())
}

struct Entry {
    name: String,
    path: PathBuf,
    is_folder: bool,
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
        if kind.is_symlink() {
            kind = fs::metadata(&path).map_err(DatasetError::io(&path))?.file_type();
        }
        if kind.is_dir() || kind.is_file() {
            entries.push(Entry { name, path, is_folder: kind.is_dir() });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
