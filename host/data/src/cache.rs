//! Decoded pixels on disk, so that a data set is decoded once.
//!
//! One file per source and options, in `datasets` below the cache folder. It begins with the key it
//! was made for (path, size and time of change of the source, options); a file with another key is
//! stale, a file whose length or checksum is wrong is damaged, and both are made again. Layout,
//! little-endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | [`MAGIC`] |
//! | 8 | length of the header |
//! | ... | header: JSON of [`Header`] |
//! | 2 each | labels of the training images, then of the test images |
//! | ... | pixels of the training images, then of the test images |
//! | 4 | CRC-32 of all bytes before |

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use flate2::Crc;
use goldcrest_engine::picture::Preprocessing;
use goldcrest_engine::shape::Shape;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Cache, Dataset, Event, Findings, Options, Split};

/// The last byte counts versions, of this format and of what decoding does.
const MAGIC: [u8; 8] = *b"gcpixel\x03";
/// Data sets with fewer bytes of pixels are decoded faster than they are worth keeping.
const WORTH_KEEPING: usize = 4 << 20;
const MAX_HEADER: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
    name: String,
    classes: Vec<String>,
    /// Height, width, channels.
    shape: [usize; 3],
    /// Number of training and test images.
    images: [usize; 2],
    findings: Findings,
}

/// Where a source's pixels are kept, and what they must have been made from.
pub(super) struct Slot {
    file: PathBuf,
    key: String,
}

impl Slot {
    /// The slot of a source; `files` are all files that are read. `None` when nothing is to be kept
    /// or something cannot be looked at, which decoding will explain better.
    pub(super) fn new<'a>(
        source: &Path,
        files: impl IntoIterator<Item = &'a Path>,
        options: &Options,
    ) -> Option<Self> {
        let folder = match &options.cache {
            Cache::Off => return None,
            Cache::Folder(folder) => folder.clone(),
            Cache::User => goldcrest_files::cache_folder()?,
        };
        let source = source.canonicalize().ok()?;
        let Options { resize, channels, preprocessing, skip_broken, .. } = options;
        let name = format!("{}|{resize:?}|{channels:?}|{preprocessing:?}|{skip_broken}", source.display());
        let mut contents = Sha256::new();
        for file in files {
            let found = file.metadata().ok()?;
            let changed = found.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            contents.update(file.as_os_str().as_encoded_bytes());
            contents.update(format!("|{}|{}|", found.len(), changed.as_nanos()));
        }
        let stem = super::name_of(&source).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let stem: String = stem.chars().take(40).collect();
        let file = format!("{stem}-{}.pixels", &hex(&Sha256::digest(&name))[..16]);
        let key = format!("{name}|{}", hex(&contents.finalize()));
        Some(Self { file: folder.join("datasets").join(file), key })
    }

    /// What was kept, if it is whole and of this key.
    pub(super) fn load(&self, options: &Options) -> Option<Dataset> {
        match self.read() {
            Ok(dataset) => dataset,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    let remark = format!("{}: damaged cache ({error}); decoding again", self.file.display());
                    (options.progress)(&Event::Remark(&remark));
                }
                None
            }
        }
    }

    fn read(&self) -> io::Result<Option<Dataset>> {
        let file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        let mut input = Summed { inner: file, crc: Crc::new() };
        let mut start = [0; 16];
        input.read_exact(&mut start)?;
        let (magic, header_length) = start.split_at(8);
        if magic != MAGIC {
            return Ok(None);
        }
        let header_length = u64::from_le_bytes(header_length.try_into().map_err(io::Error::other)?);
        if header_length > MAX_HEADER.min(length) {
            return Err(damaged("header length"));
        }
        let header = input.take_bytes(header_length as usize)?;
        let header: Header = serde_json::from_slice(&header)?;
        if header.key != self.key {
            return Ok(None);
        }
        let [height, width, channels] = header.shape;
        let shape = Shape::new(height, width, channels);
        let size = header
            .shape
            .iter()
            .try_fold(1usize, |size, &extent| size.checked_mul(extent))
            .filter(|&size| size > 0)
            .ok_or_else(|| damaged("shape"))?;
        let expected = header
            .images
            .iter()
            .try_fold(0usize, |sum, &images| sum.checked_add(images))
            .and_then(|images| images.checked_mul(size.checked_add(2)?))
            .and_then(|bytes| bytes.checked_add(16 + header_length as usize + 4));
        if expected.map(|bytes| bytes as u64) != Some(length) {
            return Err(damaged("file length"));
        }
        let mut labels = [Vec::new(), Vec::new()];
        for (labels, count) in labels.iter_mut().zip(header.images) {
            let bytes = input.take_bytes(2 * count)?;
            *labels = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            if labels.iter().any(|&label| usize::from(label) >= header.classes.len()) {
                return Err(damaged("label"));
            }
        }
        let train = input.take_bytes(header.images[0] * size)?;
        let test = input.take_bytes(header.images[1] * size)?;
        let sum = input.crc.sum();
        if input.take_bytes(4)? != sum.to_le_bytes() {
            return Err(damaged("checksum"));
        }
        let [train_labels, test_labels] = labels;
        Ok(Some(Dataset {
            name: header.name,
            classes: header.classes,
            shape,
            train: Split::new(shape, train, train_labels),
            test: Split::new(shape, test, test_labels),
            preprocessing: Preprocessing::default(),
            findings: header.findings,
        }))
    }

    /// Keeps a data set. A full disk or a read-only folder costs time later, not the run.
    pub(super) fn store(&self, dataset: &Dataset, options: &Options) {
        if dataset.train.pixels().len() + dataset.test.pixels().len() < WORTH_KEEPING {
            return;
        }
        if let Err(error) = self.write(dataset) {
            let remark = format!("{}: cannot keep the decoded images: {error}", self.file.display());
            (options.progress)(&Event::Remark(&remark));
        }
    }

    fn write(&self, dataset: &Dataset) -> io::Result<()> {
        let folder = self.file.parent().ok_or_else(|| damaged("folder"))?;
        std::fs::create_dir_all(folder)?;
        let header = serde_json::to_vec(&Header {
            key: self.key.clone(),
            name: dataset.name.clone(),
            classes: dataset.classes.clone(),
            shape: [dataset.shape.height, dataset.shape.width, dataset.shape.channels],
            images: [dataset.train.len(), dataset.test.len()],
            findings: dataset.findings.clone(),
        })?;
        let labels: Vec<u8> = [&dataset.train, &dataset.test]
            .iter()
            .flat_map(|split| split.labels())
            .flat_map(|l| l.to_le_bytes())
            .collect();
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &(header.len() as u64).to_le_bytes(),
            &header,
            &labels,
            dataset.train.pixels(),
            dataset.test.pixels(),
        ];
        let mut file = goldcrest_files::Draft::new(&self.file)?;
        let mut crc = Crc::new();
        for part in parts {
            crc.update(part);
            file.write_all(part)?;
        }
        file.write_all(&crc.sum().to_le_bytes())?;
        file.commit()
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("wrong {what}"))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sums up what is read.
struct Summed<R> {
    inner: R,
    crc: Crc,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Read> Summed<R> {
    /// Exactly `count` bytes; the caller has compared `count` with the file's length. Read in
    /// pieces, so that the sum is made while they are in the processor's cache.
    fn take_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        for piece in bytes.chunks_mut(256 << 10) {
            self.read_exact(piece)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn dataset() -> Dataset {
        super::super::glyphs::draw(1500, 100, 3)
    }

    fn same(a: &Dataset, b: &Dataset) -> bool {
        (a.train.pixels(), a.train.labels(), a.test.pixels(), a.test.labels(), &a.classes, a.shape, &a.name)
            == (
                b.train.pixels(),
                b.train.labels(),
                b.test.pixels(),
                b.test.labels(),
                &b.classes,
                b.shape,
                &b.name,
            )
    }

    /// A source, a slot for it and a kept data set.
    fn kept() -> (tempfile::TempDir, Options, PathBuf, Slot) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.tar");
        fs::write(&source, "content").unwrap();
        let options = Options { cache: Cache::Folder(folder.path().join("cache")), ..Options::default() };
        let slot = Slot::new(&source, [source.as_path()], &options).unwrap();
        assert!(slot.load(&options).is_none());
        slot.store(&dataset(), &options);
        (folder, options, source, slot)
    }

    #[test]
    fn gives_back_what_was_kept() {
        let (_folder, options, _, slot) = kept();
        assert!(same(&slot.load(&options).unwrap(), &dataset()));
    }

    #[test]
    fn another_source_or_other_options_do_not_match() {
        let (_folder, options, source, slot) = kept();
        let resized = Options { resize: Some([8, 8]), ..options.clone() };
        assert!(Slot::new(&source, [source.as_path()], &resized).unwrap().load(&options).is_none());
        fs::write(&source, "changed content").unwrap();
        let changed = Slot::new(&source, [source.as_path()], &options).unwrap();
        assert!(changed.load(&options).is_none());
        assert_eq!(changed.file, slot.file, "a stale file is replaced, not joined by another");
    }

    #[test]
    fn damage_is_noticed() {
        let (_folder, options, _, slot) = kept();
        let whole = fs::read(&slot.file).unwrap();
        let flip = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        let middle = whole.len() / 2;
        let extended = [&whole[..], &[0]].concat();
        for bytes in [
            flip(8),
            flip(15),
            flip(20),
            flip(middle),
            flip(whole.len() - 1),
            whole[..middle].to_vec(),
            whole[..10].to_vec(),
            Vec::new(),
            extended,
        ] {
            fs::write(&slot.file, bytes).unwrap();
            assert!(slot.load(&options).is_none());
        }
        slot.store(&dataset(), &options);
        assert!(slot.load(&options).is_some());
    }

    #[test]
    fn small_sets_and_unwritable_folders_are_let_go() {
        let (folder, options, source, slot) = kept();
        fs::remove_file(&slot.file).unwrap();
        slot.store(&super::super::glyphs::draw(10, 10, 3), &options);
        assert!(!slot.file.exists());
        let blocked = Options { cache: Cache::Folder(source.clone()), ..options.clone() };
        let slot = Slot::new(&source, [folder.path().join("source.tar").as_path()], &blocked).unwrap();
        slot.store(&dataset(), &blocked);
        assert!(slot.load(&blocked).is_none());
        let off = Options { cache: Cache::Off, ..options };
        assert!(Slot::new(&source, [source.as_path()], &off).is_none());
    }
}
