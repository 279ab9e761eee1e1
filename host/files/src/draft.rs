//! Files that appear under their names when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

/// Begins the names of files that are being written; a killed process leaves them behind.
pub const DRAFT: &str = ".goldcrest-";

/// A draft that nobody has locked for so long belongs to no living process.
const ABANDONED: Duration = Duration::from_secs(60);

/// Replaces a file by `bytes` in one move: under its name there is always a whole file, the old or the new,
/// even after a power cut.
///
/// # Errors
/// What the operating system says; the old file is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::new(path)?;
    draft.write_all(bytes)?;
    draft.commit()
}

/// A file that is being written beside the place it will take.
#[derive(Debug)]
pub struct Draft {
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A new file that takes the path's place.
    Replaced { file: BufWriter<NamedTempFile>, path: PathBuf },
    /// A device or a pipe, such as `/dev/stdout`, which cannot be replaced.
    Through(File),
}

impl Draft {
    /// Begins a file. A link stays one: what it points to is replaced.
    ///
    /// # Errors
    /// When no file can be made in the path's folder.
    pub fn new(path: &Path) -> io::Result<Self> {
        let old = match fs::metadata(path) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if old.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return Ok(Self { target: Target::Through(OpenOptions::new().write(true).open(path)?) });
        }
        if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
            // A rename would not ask.
            OpenOptions::new().write(true).open(path)?;
        }
        let path = if old.is_some() { path.canonicalize()? } else { path.to_owned() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        remove_abandoned(folder);
        let mut builder = tempfile::Builder::new();
        builder.prefix(DRAFT);
        #[cfg(unix)]
        // As any other new file, not private as a temporary one.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder)?;
        // Held until the file is closed, by whatever end of the process. Where there are no locks, drafts
        // stay.
        let _ = file.as_file().try_lock();
        if let Some(old) = old {
            file.as_file().set_permissions(old.permissions())?;
        }
        Ok(Self { target: Target::Replaced { file: BufWriter::new(file), path } })
    }

    /// Puts the file in its place once all of it is on the disk.
    ///
    /// # Errors
    /// What the operating system says; the old file is untouched.
    pub fn commit(self) -> io::Result<()> {
        match self.target {
            Target::Replaced { file, path } => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|error| error.error)?;
                sync_folder(&path);
                Ok(())
            }
            Target::Through(mut file) => file.flush(),
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Replaced { file, .. } => file.write(bytes),
            Target::Through(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Replaced { file, .. } => file.flush(),
            Target::Through(file) => file.flush(),
        }
    }
}

/// The new name reaches the disk too, where the system can do that.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes what killed processes left in a folder. What cannot be looked at stays.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(DRAFT) {
            continue;
        }
        let age = entry.metadata().ok().filter(fs::Metadata::is_file);
        let age = age.and_then(|found| SystemTime::now().duration_since(found.modified().ok()?).ok());
        if age.is_some_and(|age| age >= ABANDONED)
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_the_old_one_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write(&path, b"old").unwrap();
        let mut draft = Draft::new(&path).unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut draft = Draft::new(&path).unwrap();
        draft.write_all(b"new").unwrap();
        draft.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_modes_and_devices_stay_what_they_are() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(write(Path::new("/dev/full"), b"no room").is_err());
        assert_eq!(write(folder.path(), b"").unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * ABANDONED;
        let make = |name: &str| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
            file
        };
        let written = make(".goldcrest-written");
        written.lock().unwrap();
        make(".goldcrest-abandoned");
        make(".other");
        File::create(folder.path().join(".goldcrest-new")).unwrap();
        write(&folder.path().join("file"), b"1").unwrap();
        assert_eq!(names(folder.path()), [".goldcrest-new", ".goldcrest-written", ".other", "file"]);
    }
}
