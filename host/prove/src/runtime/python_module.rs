//! Loading ONNX Runtime's Python module without Python.
//!
//! The training wheel's extension module holds the whole C API, but its version script hides
//! `OrtGetApiBase`, and it refers to some 160 functions of the Python interpreter. So:
//!
//! 1. a copy is made in which the undefined `Py*` symbols are WEAK instead of GLOBAL: the loader
//!    then leaves them null instead of refusing the file. They are called only by the Python side;
//! 2. the API's base table `OrtApiBase { GetApi, GetVersionString }` is found in the copy's own
//!    bytes: it is the one place where a relocated pointer leads to `lea rax, [rip + d]; ret` with
//!    the version string at `d`, which is all that `GetVersionString` does.

use std::path::Path;

use super::RuntimeError;
use super::elf::SharedObject;
use super::library::{self, Api};
use super::wheel::{self, Wheel};

/// The prefix of the one function that a Python module exports.
const ENTRY: &str = "PyInit_";

/// Makes undefined Python symbols weak, in place; returns how many there were.
pub fn weaken(module: &mut [u8]) -> Result<usize, String> {
    let offsets = SharedObject::parse(module)?
        .undefined_globals(|name| name.starts_with(b"Py") || name.starts_with(b"_Py"))?;
    for &offset in &offsets {
        // The binding is the high nibble of st_info: 1 is GLOBAL, 2 is WEAK.
        module[offset] = 0x20 | module[offset] & 0x0f;
    }
    Ok(offsets.len())
}

/// Candidates for the address of `OrtApiBase`, relative to the load address.
fn api_bases(object: &SharedObject, version: &str) -> Result<Vec<u64>, String> {
    let relocations = object.relative_relocations()?;
    let slots: std::collections::HashSet<u64> =
        relocations.iter().map(|relocation| relocation.slot).collect();
    let mut wanted = version.as_bytes().to_vec();
    wanted.push(0);
    let returns_version = |target: u64| {
        let code = object.bytes_at(target)?;
        let code = code.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa]).map_or((0, code), |rest| (4, rest));
        let (skipped, &[0x48, 0x8d, 0x05, a, b, c, d, 0xc3, ..]) = code else { return None };
        let next = target + skipped + 7;
        object.bytes_at(next.wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into()))
    };
    Ok(relocations
        .iter()
        .filter(|relocation| returns_version(relocation.target).is_some_and(|text| text.starts_with(&wanted)))
        .filter_map(|relocation| relocation.slot.checked_sub(8))
        .filter(|base| slots.contains(base))
        .collect())
}

/// Opens the prepared module of a wheel.
pub fn open(path: &Path, wheel: &Wheel) -> Result<Api, RuntimeError> {
    let bytes = std::fs::read(path).map_err(|source| RuntimeError::File {
        path: path.to_owned(),
        action: "cannot read",
        source,
    })?;
    // A damaged library would crash the process instead of failing to load.
    wheel::check_hash(path, &bytes, wheel.library_sha256)?;
    let problem = |problem| RuntimeError::NotALibrary { path: path.to_owned(), problem };
    let object = SharedObject::parse(&bytes).map_err(problem)?;
    let bases = api_bases(&object, wheel.package.version).map_err(problem)?;
    let &[base] = bases.as_slice() else {
        return Err(RuntimeError::EntryPoint { path: path.to_owned(), found: bases.len() });
    };
    let (entry, address) = object
        .exported(ENTRY)
        .map_err(problem)?
        .ok_or_else(|| problem(format!("no {ENTRY} function: not a Python module")))?;

    let library = library::dlopen(path)?;
    // SAFETY: only the symbol's address is used.
    let loaded = unsafe { library.get::<*const u8>(entry.as_slice()) }
        .map_err(|source| RuntimeError::Load { path: path.to_owned(), source })?;
    // SAFETY: `entry` and `base` are addresses of the same loaded object, whose bytes are the
    // pinned ones, so the table there is the `OrtApiBase`.
    let api = unsafe {
        let table =
            loaded.try_as_raw_ptr().map(|entry| entry.byte_sub(address as usize).byte_add(base as usize));
        library::api(table.unwrap_or(std::ptr::null_mut()).cast_const().cast(), path)
    };
    // Sessions and threads of the runtime live until the process ends: it is never unloaded.
    std::mem::forget(library);
    api
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_damaged_and_foreign_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module.so");
        std::fs::write(&path, b"not the pinned library").unwrap();
        let error = open(&path, &wheel::CPU_TRAINING).err().expect("an error");
        assert!(matches!(error, RuntimeError::Hash { .. }), "{error}");

        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let own_hash: &'static str = wheel::sha256(&own).leak();
        std::fs::write(&path, &own).unwrap();
        let error =
            open(&path, &Wheel { library_sha256: own_hash, ..wheel::CPU_TRAINING }).err().expect("an error");
        assert!(matches!(error, RuntimeError::EntryPoint { found: 0, .. }), "{error}");
    }

    #[test]
    fn truncated_modules_are_errors() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in [0, 3, 63, 64, 100, 4096, own.len() / 2, own.len() - 1] {
            assert!(weaken(&mut own[..length].to_vec()).is_err(), "{length}");
        }
    }
}
