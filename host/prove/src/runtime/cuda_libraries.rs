//! NVIDIA's libraries that ONNX Runtime's CUDA provider needs, from their Python packages: downloaded by pip,
//! checked against their hashes, unpacked into one folder, and loaded before the provider asks for them by
//! name.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::wheel::{self, Package};
use super::{RuntimeError, library};

/// The packages, for CUDA 11.8 and cuDNN 8.
const PACKAGES: [Package; 6] = [
    Package {
        name: "nvidia-cuda-runtime-cu11",
        version: "11.8.89",
        sha256: "92d04069a987e1fbc9213f8376d265df0f7bb42617d44f5eda1f496acea7f2d1",
        megabytes: 1,
    },
    Package {
        name: "nvidia-cublas-cu11",
        version: "11.11.3.6",
        sha256: "60252822adea5d0b10cd990a7dc7bedf7435f30ae40083c7a624a85a43225abc",
        megabytes: 418,
    },
    Package {
        name: "nvidia-cuda-nvrtc-cu11",
        version: "11.8.89",
        sha256: "a8d02f3cba345be56b1ffc3e74d8f61f02bb758dd31b0f20e12277a5a244f756",
        megabytes: 24,
    },
    Package {
        name: "nvidia-cudnn-cu11",
        version: "8.9.6.50",
        sha256: "319a8f7ca3d65139f1b69998595c7076ae0e4271a325e5dfde50a3ca31f55584",
        megabytes: 681,
    },
    Package {
        name: "nvidia-cufft-cu11",
        version: "10.9.0.58",
        sha256: "e21037259995243cc370dd63c430d77ae9280bedb68d5b5a18226bfc92e5d748",
        megabytes: 168,
    },
    Package {
        name: "nvidia-curand-cu11",
        version: "10.3.0.86",
        sha256: "cd4cffbf78bb06580206b4814d5dc696d1161c902aae37b2bba00056832379e6",
        megabytes: 59,
    },
];

/// What the provider links to, in an order in which each finds those before it.
const LIBRARIES: [&str; 6] = [
    "libcudart.so.11.0",
    "libcublasLt.so.11",
    "libcublas.so.11",
    "libcufft.so.10",
    "libcurand.so.10",
    "libcudnn.so.8",
];

/// The folder of the libraries.
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("cuda-11.8")
}

/// Whether all libraries are there.
pub fn installed(cache: &Path) -> bool {
    LIBRARIES.iter().all(|name| folder(cache).join(name).is_file())
}

/// Downloads and unpacks what is missing.
pub fn install(
    cache: &Path,
    pip: &[&[&str]],
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, RuntimeError> {
    let folder = folder(cache);
    if installed(cache) {
        return Ok(folder);
    }
    for package in &PACKAGES {
        let bytes = package.fetch(&folder, pip, progress)?;
        unpack(&bytes, package, &folder)?;
    }
    Ok(folder)
}

/// Writes the shared libraries of a wheel into the folder, whatever folder they have in it.
fn unpack(wheel: &[u8], package: &Package, folder: &Path) -> Result<(), RuntimeError> {
    let path = PathBuf::from(package.name);
    let broken = |source| RuntimeError::Wheel { path: path.clone(), source };
    let mut archive = zip::ZipArchive::new(Cursor::new(wheel)).map_err(broken)?;
    let mut found = 0;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(broken)?;
        // Only the last part of the name: no wheel writes outside the folder.
        let name = member.name().map_err(broken)?.rsplit('/').next().unwrap_or_default().to_owned();
        if !name.contains(".so") {
            continue;
        }
        let mut library = Vec::new();
        member.read_to_end(&mut library).map_err(|error| broken(error.into()))?;
        wheel::write_atomically(&folder.join(name), &library)?;
        found += 1;
    }
    match found {
        0 => Err(RuntimeError::Member { path, member: "a shared library" }),
        _ => Ok(()),
    }
}

/// Loads the libraries, so that the provider finds them loaded when it asks for their names.
pub fn preload(cache: &Path) -> Result<(), RuntimeError> {
    for name in LIBRARIES {
        let library = library::dlopen(&folder(cache).join(name))?;
        // The provider uses them until the process ends.
        std::mem::forget(library);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn libraries_are_unpacked_into_one_folder_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["nvidia/fft/lib/libfft.so.10", "nvidia/fft/include/fft.h", "nvidia/fft/__init__.py"] {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(name.as_bytes()).unwrap();
        }
        let wheel = writer.finish().unwrap().into_inner();
        unpack(&wheel, &PACKAGES[0], folder.path()).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["libfft.so.10"]);
        let empty = zip::ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
        let error = unpack(&empty, &PACKAGES[0], folder.path()).unwrap_err();
        assert!(matches!(error, RuntimeError::Member { .. }), "{error}");
    }

    #[test]
    fn missing_libraries_are_an_error_not_an_abort() {
        let cache = tempfile::tempdir().unwrap();
        assert!(!installed(cache.path()));
        let error = preload(cache.path()).unwrap_err();
        assert!(error.to_string().contains("libcudart.so.11.0"), "{error}");
    }
}
