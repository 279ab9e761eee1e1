//! Tar archives, plain or gzip-compressed, of image folders or CIFAR-10's binary files.
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
    layout::{Layout, is_picture},
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
            [b'P', b'K', ..] => Err(not_an_archive("a zip file")),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(not_an_archive("an xz-compressed file")),
            [b'B', b'Z', b'h', ..] => Err(not_an_archive("a bzip2-compressed file")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(not_an_archive("a zstd-compressed file")),
            _ if image::guess_format(head).is_ok() => Err(not_an_archive("a single image")),
            _ => Err(not_an_archive("the content is not an archive")),
        }
    }

    fn walk(path: &Path, reader: impl Read, limit: u64) -> Result<Self, DatasetError> {
        let mut archive = Self {
            bytes: Vec::new(),
            layout: Layout::new(path.display().to_string()),
            binaries: Vec::new(),
            hint: String::new(),
        };
        let mut tar = tar::Archive::new(Bounded { reader, limit, read: 0, ended: false });
        let walked = tar.entries().map_err(|error| io_error(path, 0, error)).and_then(|entries| {
            let mut long_name = None;
            let mut last = 0;
            for entry in entries.raw(true) {
                let mut entry = entry.map_err(|error| io_error(path, last, error))?;
                last = entry.raw_header_position();
                archive.take(path, &mut entry, &mut long_name)?;
            }
            Ok(())
        });
        let mut rest = tar.into_inner();
        if rest.read > rest.limit {
            let (found, limit) = (rest.read >> 20, rest.limit >> 20);
            return Err(DatasetError::Unsafe {
                archive: path.to_owned(),
                entry: "(all)".to_owned(),
                reason: format!("brings the content over {found} MiB, and the limit is {limit} MiB"),
            });
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

    /// Takes what is useful from one entry.
    fn take(
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
        let controls = name.utf8_chunks().any(|chunk| chunk.valid().contains(char::is_control));
        let name = names::readable(&name);
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let Some(&file) = parts.last() else { return Ok(()) };
        if controls {
            return Err(refuse(path, &name, "has control characters in its name"));
        }
        if parts.contains(&"..") {
            return Err(refuse(path, &name, "has `..` in its name"));
        }
        let is_binary = cifar_binary::is_part(file);
        match kind {
            EntryType::Directory => {
                if let [.., part, class] = parts[..]
                    && let Some(part) = super::layout::Part::from_name(part)
                    && !super::layout::is_hidden(class)
                {
                    self.layout.class(part, class);
                }
                Ok(())
            }
            EntryType::Regular | EntryType::Continuous if is_picture(file) || is_binary => {
                let most = if is_binary { cifar_binary::MAX_FILE } else { MAX_PICTURE };
                if size > most {
                    return Err(refuse(path, &name, &format!("has {size} bytes, and the limit is {most}")));
                }
                let start = self.bytes.len();
                read_entry(path, entry, &mut self.bytes)?;
                let range = start..self.bytes.len();
                if is_binary {
                    self.binaries.push((name.clone(), range));
                    Ok(())
                } else {
                    self.layout.file(&parts, range)
                }
            }
            EntryType::Regular | EntryType::Continuous => {
                if file == "data_batch_1" {
                    self.hint = " (this is CIFAR-10's Python version; fetch the binary version)".to_owned();
                }
                self.layout.file(&parts, 0..0)
            }
            _ if is_picture(file) || is_binary => {
                Err(refuse(path, &name, &format!("is no plain file (type {:?})", kind.as_byte() as char)))
            }
            _ => Ok(()),
        }
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
