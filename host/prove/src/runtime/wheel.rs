//! The Python wheel that holds ONNX Runtime's training build: downloaded by pip, checked against
//! its hash, unpacked and prepared in the cache folder.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{RuntimeError, python_module};

/// A Python package, pinned.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Hash of the wheel, lower-case hexadecimal.
    pub sha256: &'static str,
    /// About how much is downloaded.
    pub megabytes: u32,
}

/// A wheel with an ONNX Runtime, pinned.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// The package; its version is that of the ONNX Runtime in it.
    pub package: Package,
    /// The Python module in the wheel.
    pub module: &'static str,
    /// Hash of the library made from the module.
    pub library_sha256: &'static str,
    /// What else is taken out of the wheel, with its hash, to lie beside the library.
    pub providers: &'static [(&'static str, &'static str)],
}

/// ONNX Runtime with the training API for CPUs: the last release of the training packages.
pub const CPU_TRAINING: Wheel = Wheel {
    package: Package {
        name: "onnxruntime-training-cpu",
        version: "1.19.2",
        sha256: "9b3cde497eb76af75ecae2eb2a4e3a8b2477da0b833315a3d5e2c63f0dc8d5d6",
        megabytes: 9,
    },
    module: "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
    library_sha256: "0c3e6acc4e0a82bda2d5b53abf85a2ead5a881ca7df1cc6512526ef4a29104a8",
    providers: &[],
};

/// The same for NVIDIA's GPUs, with CUDA 11.8.
pub const CUDA_TRAINING: Wheel = Wheel {
    package: Package {
        name: "onnxruntime-training",
        version: "1.19.2",
        sha256: "6bfa1c02e6986947b18c502669beb9f1246bb52239394f7a5a3b99c10967eacf",
        megabytes: 299,
    },
    module: "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
    library_sha256: "fc71701e38e0e033f0bb5f80b4a8584c04275a7fa0ea5ba768ba131c44fd9263",
    providers: &[
        (
            "onnxruntime/capi/libonnxruntime_providers_cuda.so",
            "6db1583612e6c409241d84adc369463dd64f06bc7a4f6d50fee8002352e5bacd",
        ),
        (
            "onnxruntime/capi/libonnxruntime_providers_shared.so",
            "950dbbe7c7a6f73b7f574c0e2308417e1e90e1f73b6472d799e25b47c6fdee82",
        ),
    ],
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

impl Package {
    /// Downloads the wheel with the first of the `pip` commands that answers, into a folder of its own within
    /// `folder`, which is made when missing; the bytes are the pinned ones.
    pub fn fetch(
        &self,
        folder: &Path,
        pip: &[&[&str]],
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<u8>, RuntimeError> {
        create_folder(folder)?;
        let download = tempfile::Builder::new().prefix("download-").tempdir_in(folder).map_err(|source| {
            RuntimeError::File { path: folder.to_owned(), action: "cannot create a folder in it", source }
        })?;
        progress(&format!("downloading {} {} ({} MB) with pip", self.name, self.version, self.megabytes));
        self.download(download.path(), pip)?;
        let wheel = only_wheel(download.path())?;
        let bytes = std::fs::read(&wheel).map_err(|source| RuntimeError::File {
            path: wheel.clone(),
            action: "cannot read",
            source,
        })?;
        check_hash(&wheel, &bytes, self.sha256)?;
        Ok(bytes)
    }

    fn download(&self, folder: &Path, pip: &[&[&str]]) -> Result<(), RuntimeError> {
        // pip runs in the new, empty folder: Python takes modules from the current one, such as a `pip` of
        // its own.
        let folder = &folder.canonicalize().map_err(|source| RuntimeError::File {
            path: folder.to_owned(),
            action: "cannot find",
            source,
        })?;
        for command in pip {
            let (program, leading) = (command[0], &command[1..]);
            let answers = Command::new(program)
                .current_dir(folder)
                .args(leading)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success());
            if !answers {
                continue;
            }
            // The version and platform are the wheel's, not this Python's: any pip will do.
            let mut call = Command::new(program);
            call.current_dir(folder)
                .args(leading)
                .args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"])
                .args(PLATFORMS.iter().flat_map(|platform| ["--platform", platform]))
                .args(["--disable-pip-version-check", "--quiet", "--dest"])
                .arg(folder)
                .arg(format!("{}=={}", self.name, self.version));
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
}

/// What the wheels are built for.
const PLATFORMS: [&str; 3] = ["manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"];

impl Wheel {
    /// Where the prepared library lies in a cache folder.
    pub fn library_path(&self, cache: &Path) -> PathBuf {
        let Package { name, version, .. } = self.package;
        cache.join(format!("{name}-{version}")).join("libonnxruntime-training.so")
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
        // The library comes last: what lies beside it is there when it is.
        if std::fs::read(&path).is_ok_and(|bytes| sha256(&bytes) == self.library_sha256) {
            return Ok(path);
        }
        let folder = path.parent().unwrap_or(cache);
        let wheel = self.package.fetch(folder, pip, progress)?;
        progress(&format!("preparing {}", path.display()));
        self.prepare(&wheel, &path)?;
        Ok(path)
    }

    /// Makes the library at `path`, and what belongs beside it, from a wheel's bytes, each atomically.
    fn prepare(&self, wheel: &[u8], path: &Path) -> Result<(), RuntimeError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        for (member, hash) in self.providers {
            let provider = self.member(wheel, member)?;
            let path = folder.join(Path::new(member).file_name().unwrap_or_default());
            check_hash(&path, &provider, hash)?;
            write_atomically(&path, &provider)?;
        }
        let mut module = self.member(wheel, self.module)?;
        python_module::weaken(&mut module)
            .map_err(|problem| RuntimeError::NotALibrary { path: PathBuf::from(self.module), problem })?;
        check_hash(path, &module, self.library_sha256)?;
        write_atomically(path, &module)
    }

    fn member(&self, wheel: &[u8], name: &'static str) -> Result<Vec<u8>, RuntimeError> {
        let path = PathBuf::from(format!("{}-{}.whl", self.package.name, self.package.version));
        let broken = |source| RuntimeError::Wheel { path: path.clone(), source };
        let mut archive = zip::ZipArchive::new(Cursor::new(wheel)).map_err(broken)?;
        let mut member = match archive.by_name(name) {
            Ok(member) => member,
            Err(zip::result::ZipError::FileNotFound) => {
                return Err(RuntimeError::Member { path, member: name });
            }
            Err(error) => return Err(broken(error)),
        };
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).map_err(|error| broken(error.into()))?;
        Ok(bytes)
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

/// Writes a file so that under its name there is always a whole one.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), RuntimeError> {
    goldcrest_files::write(path, bytes).map_err(|source| RuntimeError::File {
        path: path.to_owned(),
        action: "cannot write",
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap().into_inner()
    }

    /// A pip that "downloads" these bytes, and the package as if their hash were the pinned one.
    #[cfg(unix)]
    fn install(bytes: &[u8], pinned: Option<&'static str>) -> RuntimeError {
        let cache = tempfile::tempdir().unwrap();
        let wheel = cache.path().join("a.whl");
        std::fs::write(&wheel, bytes).unwrap();
        let copy = format!("while [ \"$1\" != --dest ]; do shift; done; cp {} \"$2\"", wheel.display());
        let pip = script(cache.path(), &copy);
        let sha256 = pinned.unwrap_or_else(|| sha256(bytes).leak());
        let package = Package { sha256, ..CPU_TRAINING.package };
        let wheel = Wheel { package, module: "a.so", ..CPU_TRAINING };
        let error = wheel.install(cache.path(), &[&[&pip]], &mut |_| ()).unwrap_err();
        assert!(!wheel.library_path(cache.path()).exists(), "no library after {error}");
        error
    }

    /// A command that knows `--version` and else does what `text` says.
    #[cfg(unix)]
    fn script(folder: &Path, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("pip");
        std::fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    #[cfg(unix)]
    fn wrong_wheels_are_refused() {
        let good = zipped("a.so", &[7; 1000]);
        let wrong = install(&good, Some(CPU_TRAINING.package.sha256));
        assert!(matches!(wrong, RuntimeError::Hash { .. }), "{wrong}");
        assert!(wrong.to_string().contains(CPU_TRAINING.package.sha256), "{wrong}");
        let truncated = install(&good[..good.len() / 2], None);
        assert!(matches!(truncated, RuntimeError::Wheel { .. }), "{truncated}");
        let empty = install(&[], None);
        assert!(matches!(empty, RuntimeError::Wheel { .. }), "{empty}");
        let other = install(&zipped("b.so", &[7; 1000]), None);
        assert!(matches!(other, RuntimeError::Member { .. }), "{other}");
        let no_library = install(&good, None);
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
        let cache = tempfile::tempdir().unwrap();
        let pip = script(cache.path(), "echo 'no route to host' >&2\nexit 1");
        let error = CPU_TRAINING.install(cache.path(), &[&[&pip]], &mut |_| ()).unwrap_err();
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
