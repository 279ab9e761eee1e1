//! Drives that boot loaders and debug probes show: a file copied there is written into the flash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::uf2::Family;

/// Why nothing is copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// No drive of a boot loader.
    #[error("no drive of a {part} was found: {hint}; or pass --drive FOLDER, or copy {} there \
         yourself", file.display())]
    Missing {
        /// The part.
        part: &'static str,
        /// How to make it appear.
        hint: &'static str,
        /// The file to copy.
        file: PathBuf,
    },
    /// The drive of something else.
    #[error("{} is the drive of {found}, but the file is for {part}: another board is plugged \
         in", drive.display())]
    Other {
        /// The drive.
        drive: PathBuf,
        /// What it says of itself.
        found: String,
        /// What the file is for.
        part: &'static str,
    },
    /// Writing failed.
    #[error("{}: {error}", file.display())]
    Write {
        /// The file on the drive.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl DriveError {
    /// Whether nothing suitable is plugged in.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

/// Drives to choose from: the folder given, else all that are mounted.
fn drives(given: Option<&Path>) -> Vec<PathBuf> {
    if let Some(given) = given {
        return vec![given.to_path_buf()];
    }
    if let Ok(mounts) = fs::read_to_string("/proc/self/mounts") {
        // The second field; a space in it is written as \040.
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        return places.map(|place| PathBuf::from(place.replace("\\040", " "))).collect();
    }
    if cfg!(windows) {
        return ('A'..='Z').map(|letter| PathBuf::from(format!("{letter}:\\"))).collect();
    }
    let volumes = fs::read_dir("/Volumes").into_iter().flatten();
    volumes.filter_map(|volume| Some(volume.ok()?.path())).collect()
}

/// What stands behind a name in a drive's text file, such as `Board-ID: RPI-RP2`.
fn field(drive: &Path, file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(drive.join(file)).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_string())
}

/// The drive whose field `judge` takes, among those that have the field.
fn choose(
    given: Option<&Path>,
    (file, name): (&str, &str),
    part: &'static str,
    judge: impl Fn(&str) -> bool,
) -> Result<Option<PathBuf>, DriveError> {
    let mut other = None;
    for drive in drives(given) {
        match field(&drive, file, name) {
            Some(found) if judge(&found) => return Ok(Some(drive)),
            Some(found) => other = Some(DriveError::Other { drive, found, part }),
            None => {}
        }
    }
    other.map_or(Ok(None), Err)
}

/// The drive of a boot loader that takes UF2 files of a family; `file` is named where there is none.
pub fn uf2(family: &Family, given: Option<&Path>, file: &Path) -> Result<PathBuf, DriveError> {
    let drive = choose(given, ("INFO_UF2.TXT", "Board-ID"), family.name, |found| found == family.board_id)?;
    let missing = || DriveError::Missing { part: family.name, hint: family.hint, file: file.to_path_buf() };
    drive.ok_or_else(missing)
}

/// The numbers of micro:bit v2 boards, with which their unique IDs begin.
const MICROBIT_V2: [&str; 4] = ["9903", "9904", "9905", "9906"];

/// The drive of a micro:bit v2; `file` is named where there is none.
pub fn microbit(given: Option<&Path>, file: &Path) -> Result<PathBuf, DriveError> {
    let part = "micro:bit v2";
    let is_v2 = |found: &str| MICROBIT_V2.iter().any(|number| found.starts_with(number));
    let drive = choose(given, ("DETAILS.TXT", "Unique ID"), part, is_v2)?;
    let hint = "plug the board in, without holding its reset button";
    drive.ok_or_else(|| DriveError::Missing { part, hint, file: file.to_path_buf() })
}

/// Writes a file to a drive and waits until all of it is there.
pub fn copy(drive: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, DriveError> {
    let file = drive.join(name);
    let written = File::create(&file).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(file),
        Err(error) => Err(DriveError::Write { file, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::uf2::FAMILIES;
    use super::*;

    fn drive(file: &str, text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), text).unwrap();
        folder
    }

    #[test]
    fn a_boot_loaders_drive_is_known_by_its_board() {
        // As the boot ROM of an RP2040 says it.
        let text = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n";
        let folder = drive("INFO_UF2.TXT", text);
        let file = Path::new("pico.uf2");
        assert_eq!(uf2(&FAMILIES[0], Some(folder.path()), file).unwrap(), folder.path());
        let other = uf2(&FAMILIES[1], Some(folder.path()), file).unwrap_err();
        assert!(!other.is_missing() && other.to_string().contains("RPI-RP2"), "{other}");
        let empty = tempfile::tempdir().unwrap();
        let missing = uf2(&FAMILIES[1], Some(empty.path()), file).unwrap_err();
        assert!(missing.is_missing());
        let message = missing.to_string();
        assert!(message.contains("BOOTSEL") && message.contains("pico.uf2"), "{message}");
    }

    #[test]
    fn a_microbit_of_the_first_version_is_refused() {
        let details =
            |id: &str| format!("# DAPLink Firmware - see https://mbed.com/daplink\r\nUnique ID: {id}\r\n");
        let v2 = drive("DETAILS.TXT", &details("9906360200052820a8fdb5e413abb276000000006e052820"));
        assert!(microbit(Some(v2.path()), Path::new("m.hex")).is_ok());
        let v1 = drive("DETAILS.TXT", &details("9901000051864e45002e200d000000470000000097969901"));
        let refused = microbit(Some(v1.path()), Path::new("m.hex")).unwrap_err().to_string();
        assert!(refused.contains("9901") && refused.contains("micro:bit v2"), "{refused}");
    }

    #[test]
    fn a_copy_is_whole_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = copy(folder.path(), "pico.uf2", &[3; 2000]).unwrap();
        assert_eq!(fs::read(file).unwrap(), [3; 2000]);
        let error = copy(&folder.path().join("gone"), "pico.uf2", &[3]).unwrap_err().to_string();
        assert!(error.contains("pico.uf2"), "{error}");
    }
}
