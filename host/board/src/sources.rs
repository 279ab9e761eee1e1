//! Where the firmware's sources are: in the folder that `GOLDCREST_ROOT` names, in the checkout that this
//! program was compiled from, or in the program itself, from where they are unpacked into the cache folder.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest, Sha256};

/// The firmware's sources, made by the build script.
static ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/firmware.tar.gz"));

/// Why the firmware's sources cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourcesError {
    /// `GOLDCREST_ROOT` is wrong.
    #[error("GOLDCREST_ROOT is {}, where firmware/Cargo.toml is missing; it must name the folder of \
         Goldcrest's Cargo.toml", .0.display())]
    WrongRoot(PathBuf),
    /// Nowhere to unpack them.
    #[error(
        "no cache folder to unpack the firmware's sources into: set GOLDCREST_CACHE to a folder, or HOME"
    )]
    NoCacheFolder,
    /// They cannot be unpacked.
    #[error("{}: cannot unpack the firmware's sources: {error}; GOLDCREST_CACHE moves the \
         folder", path.display())]
    Unpack {
        /// Where to.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// The folder of a workspace with the firmware in it.
///
/// # Errors
/// When `GOLDCREST_ROOT` names no such folder, or the sources cannot be unpacked.
pub fn root() -> Result<PathBuf, SourcesError> {
    if let Some(root) = env::var_os("GOLDCREST_ROOT").map(PathBuf::from) {
        return if is_root(&root) { Ok(root) } else { Err(SourcesError::WrongRoot(root)) };
    }
    match Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|path| is_root(path)) {
        Some(checkout) => Ok(checkout.to_path_buf()),
        None => unpacked(&goldcrest_files::cache_folder().ok_or(SourcesError::NoCacheFolder)?),
    }
}

fn is_root(path: &Path) -> bool {
    path.join("firmware/Cargo.toml").is_file() && path.join("shared/engine/src").is_dir()
}

/// The sources unpacked under their content's name, once.
fn unpacked(cache: &Path) -> Result<PathBuf, SourcesError> {
    let name: String = Sha256::digest(ARCHIVE).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = cache.join(format!("firmware-{name}"));
    if is_root(&folder) {
        return Ok(folder);
    }
    let unpack = || -> io::Result<()> {
        fs::create_dir_all(cache)?;
        // In one move, so that nobody sees half of it.
        let draft = tempfile::Builder::new().prefix(".firmware-").tempdir_in(cache)?;
        tar::Archive::new(flate2::read::GzDecoder::new(ARCHIVE)).unpack(draft.path())?;
        match fs::rename(draft.keep(), &folder) {
            // Another process was faster.
            Err(_) if is_root(&folder) => Ok(()),
            outcome => outcome,
        }
    };
    unpack().map_err(|error| SourcesError::Unpack { path: folder.clone(), error })?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_unpacked_once_and_whole() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpacked(cache.path()).unwrap();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(r#"members = ["firmware""#) && !manifest.contains("\"host/cli\"]"));
        assert!(folder.join("Cargo.lock").is_file() && folder.join("shared/link/src/lib.rs").is_file());
        fs::write(folder.join("mark"), "").unwrap();
        assert_eq!(unpacked(cache.path()).unwrap(), folder);
        assert!(folder.join("mark").is_file());
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_workspace_that_this_program_does_not_come_from_is_not_built() {
        // The current folder belongs to the whole process: a child looks from another one.
        const INSIDE: &str = "GOLDCREST_TEST_ROOT";
        if env::var_os(INSIDE).is_some() {
            println!("root: {}", root().unwrap().display());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [("firmware/Cargo.toml", ""), ("shared/engine/src/lib.rs", "")] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let test = "sources::tests::a_workspace_that_this_program_does_not_come_from_is_not_built";
        let run = |root: Option<&Path>| {
            let mut command = std::process::Command::new(env::current_exe().unwrap());
            command.args(["--exact", test, "--nocapture"]).current_dir(folder.path()).env(INSIDE, "1");
            match root {
                Some(root) => command.env("GOLDCREST_ROOT", root),
                None => command.env_remove("GOLDCREST_ROOT"),
            };
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert!(run(None).contains(&format!("root: {}\n", compiled.display())), "{}", run(None));
        let given = run(Some(folder.path()));
        assert!(given.contains(&format!("root: {}\n", folder.path().display())), "{given}");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = unpacked(file.path()).unwrap_err().to_string();
        assert!(message.contains("GOLDCREST_CACHE"), "{message}");
    }
}
