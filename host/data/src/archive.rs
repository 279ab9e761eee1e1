//! Archives of image folders or CIFAR-10's binary files: tar, plain or gzip-compressed, and zip.
//!
//! Nothing is unpacked to disk: the files' bytes go to one buffer in memory and their names are
//! only read as labels, so no entry can write anywhere. Sizes are bounded before memory is taken.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    ops::Range,
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use tar::{EntryType, PaxExtensions};

use super::{
    cifar_binary,
    error::DatasetError,
    folder::MAX_TABLE,
    layout::{Layout, is_csv, is_picture},
    names,
};

/// The largest single picture in an archive.
const MAX_PICTURE: u64 = 256 << 20;
/// The longest entry name, and the largest extended header around it.
const MAX_NAME: u64 = 64 << 10;

/// The useful files of an archive.
pub(super) struct Archive {
    bytes: Vec<u8>,
    layout: Layout<Range<usize>>,
    /// CIFAR-10's binary files by name.
    binaries: Vec<(String, Range<usize>)>,
    hint: String,
}

/// What an archive turned out to hold.
pub(super) enum Contents<'a> {
    /// CIFAR-10's binary files: names and bytes.
    Cifar(Vec<(String, &'a [u8])>),
    Pictures(Layout<&'a [u8]>),
}

impl Archive {
    /// Reads a whole archive; `limit` bounds the bytes after decompression.
    pub(super) fn read(path: &Path, limit: u64) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io(path))?;
        let mut file = BufReader::with_capacity(256 << 10, file);
        let head = file.fill_buf().map_err(DatasetError::io(path))?;
        let not_an_archive =
            |found: &str| DatasetError::NotAnArchive { path: path.to_owned(), found: found.to_owned() };
        match head {
            [] => Err(not_an_archive("the file is empty")),
            [0x1f, 0x8b, ..] => Self::walk(path, MultiGzDecoder::new(file), limit),
            _ if is_tar(head) => Self::walk(path, file, limit),
            [b'P', b'K', ..] => Self::unzip(path, file, limit),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(not_an_archive("an xz-compressed file")),
            [b'B', b'Z', b'h', ..] => Err(not_an_archive("a bzip2-compressed file")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(not_an_archive("a zstd-compressed file")),
            _ if image::guess_format(head).is_ok() => Err(not_an_archive("a single image")),
            _ => Err(not_an_archive(foreign(path, head).unwrap_or("the content is not an archive"))),
        }
    }

    fn new(path: &Path) -> Self {
        Self {
            bytes: Vec::new(),
            layout: Layout::new(path.display().to_string()),
            binaries: Vec::new(),
            hint: String::new(),
        }
    }

    fn unzip(path: &Path, file: BufReader<File>, limit: u64) -> Result<Self, DatasetError> {
        let mut archive = Self::new(path);
        let damaged = |detail: String| DatasetError::Truncated { archive: path.to_owned(), detail };
        let mut zip = zip::ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
        for index in 0..zip.len() {
            let mut entry =
                zip.by_index(index).map_err(|error| damaged(format!("entry {index}: {error}")))?;
            let kind = match () {
                () if entry.is_dir() => Kind::Folder,
                () if entry.is_file() => Kind::File,
                () => Kind::Other('l'),
            };
            let (name, size) = (entry.name_raw().to_vec(), entry.size());
            let left = limit.saturating_sub(archive.bytes.len() as u64);
            if size > left {
                return Err(over_the_limit(path, archive.bytes.len() as u64 + size, limit));
            }
            archive.take(path, &name, kind, size, |to| {
                // One byte more than announced is a lie; the checksum is compared at the end.
                let read = (&mut entry)
                    .take(size + 1)
                    .read_to_end(to)
                    .map_err(|error| damaged(format!("`{}`: {error}", names::readable(&name))))?;
                match read as u64 == size {
                    true => Ok(()),
                    false => Err(damaged(format!(
                        "`{}` has {read} bytes instead of {size}",
                        names::readable(&name)
                    ))),
                }
            })?;
        }
        Ok(archive)
    }

    fn walk(path: &Path, reader: impl Read, limit: u64) -> Result<Self, DatasetError> {
        let mut archive = Self::new(path);
        let mut tar = tar::Archive::new(Bounded { reader, limit, read: 0, ended: false });
        let walked = tar.entries().map_err(|error| io_error(path, 0, error)).and_then(|entries| {
            let mut long_name = None;
            let mut last = 0;
            for entry in entries.raw(true) {
                let mut entry = entry.map_err(|error| io_error(path, last, error))?;
                last = entry.raw_header_position();
                archive.take_tar(path, &mut entry, &mut long_name)?;
            }
            Ok(())
        });
        let mut rest = tar.into_inner();
        if rest.read > rest.limit {
            return Err(over_the_limit(path, rest.read, rest.limit));
        }
        walked?;
        let truncated = |detail: String| DatasetError::Truncated { archive: path.to_owned(), detail };
        if rest.ended {
            return Err(truncated(format!("it stops after {} bytes without an end mark", rest.read)));
        }
        // The checksum of a compressed archive stands at its very end.
        io::copy(&mut rest, &mut io::sink()).map_err(|error| truncated(error.to_string()))?;
        Ok(archive)
    }

    /// Takes what is useful from one entry of a tar archive.
    fn take_tar(
        &mut self,
        path: &Path,
        entry: &mut tar::Entry<'_, impl Read>,
        long_name: &mut Option<Vec<u8>>,
    ) -> Result<(), DatasetError> {
        let kind = entry.header().entry_type();
        let position = entry.raw_header_position();
        let size = entry.size();
        match kind {
            EntryType::GNULongName | EntryType::XHeader => {
                if size > MAX_NAME {
                    return Err(refuse(path, "(extended header)", &format!("claims {size} bytes")));
                }
                let mut data = Vec::new();
                read_entry(path, entry, &mut data)?;
                if kind == EntryType::GNULongName {
                    data.truncate(data.iter().position(|&byte| byte == 0).unwrap_or(data.len()));
                    *long_name = Some(data);
                } else if let Some(name) = pax_path(&data).map_err(|error| io_error(path, position, error))? {
                    *long_name = Some(name);
                }
                return Ok(());
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => return Ok(()),
            _ => {}
        }
        let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let kind = match kind {
            EntryType::Directory => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            other => Kind::Other(other.as_byte() as char),
        };
        self.take(path, &name, kind, size, |to| read_entry(path, entry, to))
    }

    /// Takes what is useful from one entry, whose content `read` appends.
    fn take(
        &mut self,
        path: &Path,
        name: &[u8],
        kind: Kind,
        size: u64,
        read: impl FnOnce(&mut Vec<u8>) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let controls = name.utf8_chunks().any(|chunk| chunk.valid().contains(char::is_control));
        let name = names::readable(name);
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let Some(&file) = parts.last() else { return Ok(()) };
        if controls {
            return Err(refuse(path, &name, "has control characters in its name"));
        }
        if parts.contains(&"..") {
            return Err(refuse(path, &name, "has `..` in its name"));
        }
        // Folders have entries of their own in some archives only.
        (1..parts.len()).for_each(|depth| self.layout.folder(&parts[..depth]));
        let is_binary = cifar_binary::is_part(file);
        match kind {
            Kind::Folder => self.layout.folder(&parts),
            Kind::File if is_picture(file) || is_binary => {
                let most = if is_binary { cifar_binary::MAX_FILE } else { MAX_PICTURE };
                if size > most {
                    return Err(refuse(path, &name, &format!("has {size} bytes, and the limit is {most}")));
                }
                let start = self.bytes.len();
                read(&mut self.bytes)?;
                let range = start..self.bytes.len();
                if is_binary {
                    self.binaries.push((name.clone(), range));
                } else {
                    self.layout.file(&parts, range);
                }
            }
            Kind::File => {
                if file == "data_batch_1" {
                    self.hint = " (this is CIFAR-10's Python version; fetch the binary version)".to_owned();
                }
                if is_csv(file) && size <= MAX_TABLE {
                    let mut bytes = Vec::new();
                    read(&mut bytes)?;
                    self.layout.table(&parts, bytes);
                }
                self.layout.file(&parts, 0..0);
            }
            Kind::Other(kind) if is_picture(file) || is_binary => {
                return Err(refuse(path, &name, &format!("is not a plain file (type {kind:?})")));
            }
            Kind::Other(_) => {}
        }
        Ok(())
    }

    /// The pictures, or CIFAR-10's files when there are some.
    pub(super) fn contents(&self) -> Contents<'_> {
        if self.binaries.is_empty() {
            Contents::Pictures(self.layout.map(|range| &self.bytes[range.clone()]))
        } else {
            let slice = |(name, range): &(String, Range<usize>)| (name.clone(), &self.bytes[range.clone()]);
            Contents::Cifar(self.binaries.iter().map(slice).collect())
        }
    }

    /// What was found instead of pictures.
    pub(super) fn hint(&self) -> &str {
        &self.hint
    }
}

/// Files that are often given where a data set is expected.
fn foreign(path: &Path, head: &[u8]) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "csv" => {
            "a CSV file; give the folder that it lies in with its images, labelled by the columns `file` \
             and `label`"
        }
        "onnx" | "gci" | "tflite" | "pt" | "pth" | "h5" | "hdf5" | "keras" | "safetensors" => {
            "a model, not images"
        }
        "npy" | "npz" | "parquet" | "pkl" | "mat" => "an array; write its images to class folders",
        _ if head.get(4..8) == Some(b"TFL3") || head.starts_with(b"\x89HDF") => "a model, not images",
        _ => return None,
    })
}

/// What an entry is.
enum Kind {
    Folder,
    File,
    /// A link, a device or a pipe, as its letter.
    Other(char),
}

fn over_the_limit(path: &Path, found: u64, limit: u64) -> DatasetError {
    let (found, limit) = (found >> 20, limit >> 20);
    refuse(path, "(all)", &format!("brings the content over {found} MiB, and the limit is {limit} MiB"))
}

fn is_tar(head: &[u8]) -> bool {
    // Old archives have no magic: their header checksum tells.
    let Some(block) = head.first_chunk::<512>() else { return false };
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 =
        block[..148].iter().chain(&block[156..]).map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
    block.iter().all(|&byte| byte == 0) || header.cksum().is_ok_and(|expected| expected == sum)
}

/// The `path` of a pax extended header. A `size` there means a file beyond 8 GiB, which nothing
/// here needs.
fn pax_path(data: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut path = None;
    for extension in PaxExtensions::new(data) {
        let extension = extension?;
        match extension.key_bytes() {
            b"path" => path = Some(extension.value_bytes().to_vec()),
            b"size" => return Err(io::Error::other("a file beyond 8 GiB")),
            _ => {}
        }
    }
    Ok(path)
}

/// Appends the data of an entry; less than it announces is a truncated archive.
fn read_entry(
    path: &Path,
    entry: &mut tar::Entry<'_, impl Read>,
    to: &mut Vec<u8>,
) -> Result<(), DatasetError> {
    let (position, expected) = (entry.raw_header_position(), entry.size());
    let read = entry.read_to_end(to).map_err(|error| io_error(path, position, error))? as u64;
    if read < expected {
        let name = entry.header().path_bytes();
        let name = String::from_utf8_lossy(&name).replace(char::is_control, "\u{fffd}");
        return Err(DatasetError::Truncated {
            archive: path.to_owned(),
            detail: format!("`{name}` has {read} of {expected} bytes"),
        });
    }
    Ok(())
}

fn refuse(path: &Path, entry: &str, reason: &str) -> DatasetError {
    DatasetError::Unsafe { archive: path.to_owned(), entry: entry.to_owned(), reason: reason.to_owned() }
}

/// The archive was opened already, so an error while reading is almost always in its content.
fn io_error(path: &Path, position: u64, error: io::Error) -> DatasetError {
    match error.raw_os_error() {
        Some(_) => DatasetError::Io { path: path.to_owned(), source: error },
        None => DatasetError::Truncated {
            archive: path.to_owned(),
            detail: format!("near byte {position} of the tar stream: {error}"),
        },
    }
}

/// Counts what is read, stops at a limit, and notices the end.
struct Bounded<R> {
    reader: R,
    limit: u64,
    read: u64,
    ended: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read += count as u64;
        self.ended |= count == 0 && !buffer.is_empty();
        match self.read > self.limit {
            true => Err(io::Error::other("more content than the limit")),
            false => Ok(count),
        }
    }
}
