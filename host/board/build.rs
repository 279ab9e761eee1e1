//! Puts the firmware's sources into the library, so that an installed command can build firmware without a
//! checkout: from the checkout that this crate is part of, or from the archive that its package holds.

#[path = "src/archive.rs"]
mod archive;

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("firmware.tar.gz");
    let packed = manifest.join("firmware.tar.gz");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/archive.rs");
    let checkout = manifest.join("../..");
    if !checkout.join("firmware/Cargo.toml").is_file() {
        // Named only where it is: a file that is missing counts as changed in every build.
        println!("cargo::rerun-if-changed=firmware.tar.gz");
        fs::copy(&packed, &out).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
        return;
    }
    for path in archive::SOURCES {
        println!("cargo::rerun-if-changed={}", checkout.join(path).display());
    }
    let bytes = archive::pack(&checkout).unwrap_or_else(|error| panic!("{}: {error}", checkout.display()));
    fs::write(&out, bytes).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
