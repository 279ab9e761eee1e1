//! Elements of tensors that stand in a file beside the model, as exporters write them for all but the
//! smallest networks. The model names that file; a name that leads anywhere but beside the model is
//! refused.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use super::{integer_text, text};
use crate::proto::{entry, tensor as field};
use crate::wire::{Content, Fields};

/// How often a file may be read in all: tensors may share their elements, but not to become many times
/// the file.
const READINGS: u64 = 2;

/// The files beside a model.
#[derive(Debug, Default)]
pub struct External<'a> {
    folder: Option<&'a Path>,
    /// Files read so far, and how many bytes may still be read of each.
    open: Vec<(String, File, u64)>,
}

impl<'a> External<'a> {
    /// For a model that is in memory: it has no files beside it.
    pub fn none() -> Self {
        Self::default()
    }

    /// For a model in a folder.
    pub fn in_folder(folder: &'a Path) -> Self {
        Self { folder: Some(folder), open: Vec::new() }
    }

    /// The bytes that a tensor's `external_data` points to.
    pub fn read(&mut self, tensor: &[u8]) -> Result<Vec<u8>, String> {
        let (mut location, mut offset, mut length) = (None, 0, None);
        for content in Fields::with(tensor, field::EXTERNAL_DATA) {
            let Content::Bytes(pair) = content else { return Err("its external data is damaged".into()) };
            let (Ok(key), Ok(value)) = (text(pair, entry::KEY), text(pair, entry::VALUE)) else {
                return Err("its external data is damaged".into());
            };
            match &*key {
                "location" => location = Some(value),
                "offset" => offset = integer_text(&value)?,
                "length" => length = Some(integer_text(&value)?),
                // A checksum, which is optional.
                _ => {}
            }
        }
        let location = location.ok_or("its data is in an external file without a name")?;
        let Some(folder) = self.folder else {
            return Err(format!(
                "its data is in `{location}`; read the model from its file, with that beside it"
            ));
        };
        let place = match self.open.iter().position(|(name, ..)| *name == location) {
            Some(place) => place,
            None => {
                let (file, size) = open(folder, &location)?;
                self.open.push((location.clone(), file, size.saturating_mul(READINGS)));
                self.open.len() - 1
            }
        };
        let (_, file, left) = &mut self.open[place];
        let failed = |error: std::io::Error| format!("its data file `{location}` cannot be read: {error}");
        let size = file.metadata().map_err(failed)?.len();
        let length = length.unwrap_or(size.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(format!(
                "its data are bytes {offset} to {} of `{location}`, which has {size}; the file is cut \
                 short or another model's",
                offset.saturating_add(length)
            ));
        }
        *left = left.checked_sub(length).ok_or_else(|| format!("too many tensors share `{location}`"))?;
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
        Ok(bytes)
    }
}

/// A file beside the model and its size.
fn open(folder: &Path, location: &str) -> Result<(File, u64), String> {
    let mut parts = Path::new(location).components();
    let named = match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if !location.contains(['/', '\\']) => Path::new(name),
        _ => return Err(format!("its data is in `{location}`; only a file beside the model is read")),
    };
    let path = folder.join(named);
    let missing = |error: std::io::Error| {
        format!("its data is in `{location}`, which is not beside the model ({error}); copy it there")
    };
    let metadata = std::fs::symlink_metadata(&path).map_err(missing)?;
    if !metadata.is_file() {
        return Err(format!("its data is in `{location}`, which is not a plain file; copy the file itself"));
    }
    Ok((File::open(&path).map_err(missing)?, metadata.len()))
}
