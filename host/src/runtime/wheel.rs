//! The Python wheel that holds ONNX Runtime's training build: downloaded by pip, checked against
//! its hash, unpacked and prepared in the cache folder.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{RuntimeError, python_module};

/// A wheel, pinned.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// Name of the Python package.
    pub package: &'static str,
    /// Version of the package and of the ONNX Runtime in it.
    pub version: &'static str,
    /// Hash of the wheel, lower-case hexadecimal.
    pub sha256: &'static str,
    /// The Python module in the wheel.
    pub module: &'static str,
    /// Hash of the library made from the module.
    pub library_sha256: &'static str,
}

/// ONNX Runtime with the training API for CPUs: the last release of the training packages.
pub const CPU_TRAINING: Wheel = Wheel {
    package: "onnxruntime-training-cpu",
    version: "1.19.2",
    sha256: "9b3cde497eb76af75ecae2eb2a4e3a8b2477da0b833315a3d5e2c63f0dc8d5d6",
    module: "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
    library_sha256: "0c3e6acc4e0a82bda2d5b53abf85a2ead5a881ca7df1cc6512526ef4a29104a8",
};

/// The commands under which pip may answer.
pub const PIP: &[&[&str]] = &[&["python3", "-m", "pip"], &["pip3"], &["python", "-m", "pip"], &["pip"]];

/// The wheel is built for x86-64 Linux.
pub fn supported_host() -> Result<(), RuntimeError> {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        Ok(())
    } else {
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        Err(RuntimeError::UnsupportedHost { arch, os })
    }
}

impl Wheel {
    /// Where the prepared library lies in a cache folder.
    pub fn library_path(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.package, self.version)).join("libonnxruntime-training.so")
    }

    /// Makes the library in `cache`, downloading the wheel with the first of the `pip` commands
    /// that answers. Does nothing when the library is there and whole.
    pub fn install(
        &self,
        cache: &Path,
        pip: &[&[&str]],
        progress: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, RuntimeError> {
        let path = self.library_path(cache);
        if std::fs::read(&path).is_ok_and(|bytes| sha256(&bytes) == self.library_sha256) {
            return Ok(path);
        }
        let folder = path.parent().unwrap_or(cache);
        create_folder(folder)?;
        let download = tempfile::Builder::new().prefix("download-").tempdir_in(folder).map_err(|source| {
            RuntimeError::File { path: folder.to_owned(), action: "cannot create a folder in it", source }
        })?;
        progress(&format!("downloading {} {} (9 MB) with pip", self.package, self.version));
        self.download(download.path(), pip)?;
        let wheel = only_wheel(download.path())?;
        progress(&format!("preparing {}", path.display()));
        self.prepare(&wheel, &path)?;
        Ok(path)
    }

    fn download(&self, folder: &Path, pip: &[&[&str]]) -> Result<(), RuntimeError> {
        for command in pip {
            let (program, leading) = (command[0], &command[1..]);
            let answers = Command::new(program)
                .args(leading)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success());
            if !answers {
                continue;
            }
            // The version and platform are the wheel's, not this Python's: any pip will do.
            let mut call = Command::new(program);
            call.args(leading)
                .args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"])
                .args([
                    "--platform",
                    "manylinux_2_28_x86_64",
                    "--disable-pip-version-check",
                    "--quiet",
                    "--dest",
                ])
                .arg(folder)
                .arg(format!("{}=={}", self.package, self.version));
            let failed =
                |output: String| RuntimeError::Pip { command: command.join(" ") + " download", output };
            let output = call.output().map_err(|error| failed(error.to_string()))?;
            return if output.status.success() {
                Ok(())
            } else {
                Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
            };
        }
        let tried = pip.iter().map(|command| command.join(" ")).collect::<Vec<_>>().join(", ");
        Err(RuntimeError::NoPip { tried })
    }

    /// Makes the library at `path` from a wheel's file, atomically.
    fn prepare(&self, wheel: &Path, path: &Path) -> Result<(), RuntimeError> {
        let bytes = std::fs::read(wheel).map_err(|source| RuntimeError::File {
            path: wheel.to_owned(),
            action: "cannot read",
            source,
        })?;
        check_hash(wheel, &bytes, self.sha256)?;
        let mut module = self.module(&bytes, wheel)?;
        python_module::weaken(&mut module)
            .map_err(|problem| RuntimeError::NotALibrary { path: wheel.join(self.module), problem })?;
        check_hash(path, &module, self.library_sha256)?;
        write_atomically(path, &module)
    }

    fn module(&self, wheel: &[u8], path: &Path) -> Result<Vec<u8>, RuntimeError> {
        let broken = |source| RuntimeError::Wheel { path: path.to_owned(), source };
        let mut archive = zip::ZipArchive::new(Cursor::new(wheel)).map_err(broken)?;
        let mut member = match archive.by_name(self.module) {
            Ok(member) => member,
            Err(zip::result::ZipError::FileNotFound) => {
                return Err(RuntimeError::Member { path: path.to_owned(), member: self.module });
            }
            Err(error) => return Err(broken(error)),
        };
        let mut module = Vec::new();
        member.read_to_end(&mut module).map_err(|error| broken(error.into()))?;
        Ok(module)
    }
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses bytes that are not the pinned ones.
pub fn check_hash(path: &Path, bytes: &[u8], expected: &str) -> Result<(), RuntimeError> {
    let found = sha256(bytes);
    if found == expected {
        Ok(())
    } else {
        Err(RuntimeError::Hash { path: path.to_owned(), found, expected: expected.into() })
    }
}

fn create_folder(folder: &Path) -> Result<(), RuntimeError> {
    std::fs::create_dir_all(folder).map_err(|source| RuntimeError::File {
        path: folder.to_owned(),
        action: "cannot create the folder",
        source,
    })
}

fn only_wheel(folder: &Path) -> Result<PathBuf, RuntimeError> {
    let listed = std::fs::read_dir(folder).map_err(|source| RuntimeError::File {
        path: folder.to_owned(),
        action: "cannot list",
        source,
    })?;
    let mut wheels: Vec<_> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    match (wheels.pop(), wheels.len()) {
        (Some(wheel), 0) => Ok(wheel),
        (last, rest) => Err(RuntimeError::NoWheel {
            folder: folder.to_owned(),
            found: rest + usize::from(last.is_some()),
        }),
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::File { path: path.to_owned(), action: "cannot write", source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap().into_inner()
    }

    /// Prepares from these bytes as if their hash were the pinned one.
    fn prepare(bytes: &[u8], pinned: Option<&'static str>) -> RuntimeError {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, library) = (folder.path().join("a.whl"), folder.path().join("a.so"));
        std::fs::write(&wheel, bytes).unwrap();
        let sha256 = pinned.unwrap_or_else(|| sha256(bytes).leak());
        let error = Wheel { sha256, module: "a.so", ..CPU_TRAINING }.prepare(&wheel, &library).unwrap_err();
        assert!(!library.exists(), "no library after {error}");
        error
    }

    #[test]
    fn wrong_wheels_are_refused() {
        let good = zipped("a.so", &[7; 1000]);
        let wrong = prepare(&good, Some(CPU_TRAINING.sha256));
        assert!(matches!(wrong, RuntimeError::Hash { .. }), "{wrong}");
        assert!(wrong.to_string().contains(CPU_TRAINING.sha256), "{wrong}");
        let truncated = prepare(&good[..good.len() / 2], None);
        assert!(matches!(truncated, RuntimeError::Wheel { .. }), "{truncated}");
        let empty = prepare(&[], None);
        assert!(matches!(empty, RuntimeError::Wheel { .. }), "{empty}");
        let other = prepare(&zipped("b.so", &[7; 1000]), None);
        assert!(matches!(other, RuntimeError::Member { .. }), "{other}");
        let no_library = prepare(&good, None);
        assert!(matches!(no_library, RuntimeError::NotALibrary { .. }), "{no_library}");
    }

    #[test]
    fn without_pip_the_error_says_what_to_install() {
        let cache = tempfile::tempdir().unwrap();
        let pip: &[&[&str]] = &[&["no-such-python", "-m", "pip"], &["no-such-pip"]];
        let error = CPU_TRAINING.install(cache.path(), pip, &mut |_| ()).unwrap_err();
        assert!(matches!(&error, RuntimeError::NoPip { tried } if tried.contains("no-such-pip")), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn a_failing_pip_is_quoted() {
        use std::os::unix::fs::PermissionsExt;
        let cache = tempfile::tempdir().unwrap();
        let script = cache.path().join("pip");
        let text = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'no route to host' >&2\nexit 1\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error =
            CPU_TRAINING.install(cache.path(), &[&[script.to_str().unwrap()]], &mut |_| ()).unwrap_err();
        assert!(
            matches!(&error, RuntimeError::Pip { output, .. } if output == "no route to host"),
            "{error}"
        );
    }

    #[test]
    fn an_unwritable_cache_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = CPU_TRAINING.install(&file, PIP, &mut |_| ()).unwrap_err();
        assert!(matches!(error, RuntimeError::File { .. }), "{error}");
    }
}
