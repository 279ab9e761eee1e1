//! Loading a library that exports ONNX Runtime's C API, and asking it for its functions.

use std::ffi::CStr;
use std::path::Path;

use super::RuntimeError;
use super::elf::SharedObject;

/// The functions of a loaded library.
pub struct Api {
    pub functions: ort::sys::OrtApi,
    pub version: String,
    pub has_training: bool,
}

/// Opens a library that exports `OrtGetApiBase`.
pub fn open(path: &Path) -> Result<Api, RuntimeError> {
    if cfg!(target_os = "linux") {
        // The loader's own message for a wrong file says less than this check.
        let bytes = std::fs::read(path).map_err(|source| RuntimeError::File {
            path: path.to_owned(),
            action: "cannot read",
            source,
        })?;
        SharedObject::parse(&bytes)
            .map_err(|problem| RuntimeError::NotALibrary { path: path.to_owned(), problem })?;
    }
    let library = dlopen(path)?;
    // SAFETY: the symbol's type is the one of onnxruntime_c_api.h.
    let get_base = unsafe {
        library.get::<unsafe extern "system" fn() -> *const ort::sys::OrtApiBase>(c"OrtGetApiBase")
    }
    .map_err(|_| RuntimeError::NoApi { path: path.to_owned() })?;
    // SAFETY: the function takes nothing and returns a static table or null.
    let base = unsafe { get_base() };
    // SAFETY: `base` is the library's own table.
    let api = unsafe { api(base, path) };
    // Sessions and threads of the runtime live until the process ends: it is never unloaded.
    std::mem::forget(library);
    api
}

/// Loads a library into the process.
pub fn dlopen(path: &Path) -> Result<libloading::Library, RuntimeError> {
    // SAFETY: the file is an ONNX Runtime that the user named or the pinned one; its initialisers
    // only register operators. libloading asks for RTLD_LAZY | RTLD_LOCAL, so that functions that
    // nobody calls need not exist and no symbol of the library replaces one of ours.
    unsafe { libloading::Library::new(path) }
        .map_err(|source| RuntimeError::Load { path: path.to_owned(), source })
}

/// Asks ONNX Runtime's base table for the functions that `ort` was compiled for.
///
/// # Safety
/// `base` is null or points to the `OrtApiBase` of a library that stays loaded.
pub unsafe fn api(base: *const ort::sys::OrtApiBase, path: &Path) -> Result<Api, RuntimeError> {
    // SAFETY: the caller's promise.
    let Some(base) = (unsafe { base.as_ref() }) else {
        return Err(RuntimeError::NoApi { path: path.to_owned() });
    };
    // SAFETY: the base table's functions take plain values; the version string is static.
    let (version, functions) = unsafe {
        let version = CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned();
        // Null for a version it does not know, after a line on standard error.
        (version, (base.GetApi)(ort::sys::ORT_API_VERSION).as_ref())
    };
    let Some(functions) = functions else {
        let wanted = ort::sys::ORT_API_VERSION;
        return Err(RuntimeError::TooOld { path: path.to_owned(), version, wanted });
    };
    // SAFETY: the table is of the version asked for; null says that training is not built in.
    let has_training = unsafe { !(functions.GetTrainingApi)(ort::sys::ORT_API_VERSION).is_null() };
    Ok(Api { functions: functions.clone(), version, has_training })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, bytes).unwrap();
        open(&path).err().expect("an error").to_string()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn refuses_what_is_no_library_of_this_system() {
        assert!(refusal(b"").contains("not a shared library"));
        assert!(
            refusal(b"#!/bin/sh\necho no library here, only a script of some length ......")
                .contains("no ELF file")
        );
        let mut own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        own.truncate(4096);
        own[18] = 0xb7;
        own[19] = 0;
        assert!(refusal(&own).contains("aarch64"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn refuses_a_library_without_the_api() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = maps
            .lines()
            .find_map(|line| line.split_whitespace().nth(5).filter(|p| p.contains("/libc.so")))
            .unwrap();
        let error = open(Path::new(libc)).err().expect("an error");
        assert!(matches!(error, RuntimeError::NoApi { .. }), "{error}");
    }
}
