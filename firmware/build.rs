//! Gives the linker the memory map of the board whose feature is on.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let memory = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("memory");
    let boards = boards(&memory);
    let [board] = &boards[..] else {
        // A library build (cargo check without a board) links nothing.
        assert!(boards.is_empty(), "one board at a time, not {boards:?}: pass one of them with --features");
        return;
    };
    let read = |name: &str| {
        let path = memory.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let riscv = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch.starts_with("riscv"));
    let espressif = env::var_os("CARGO_FEATURE_ESP32C3").is_some();
    let mut script = read(&format!("{board}.x")) + &read("layout.x");
    if riscv && !espressif {
        script += &read("riscv.x");
    }
    // The runtime's own link.x includes memory.x on Arm; the HAL of Espressif's parts has another of that name.
    let (name, scripts) = match (riscv, espressif) {
        (_, true) => ("board.x", &["-Tlinkall.x", "-Tboard.x"][..]),
        (true, false) => ("memory.x", &["-Tmemory.x", "-Tlink.x", "--nmagic"][..]),
        (false, false) => ("memory.x", &["-Tlink.x", "--nmagic"][..]),
    };
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    fs::write(out.join(name), script).expect("the build folder is writable");
    println!("cargo::rustc-link-search={}", out.display());
    let logs = if env::var_os("CARGO_FEATURE_INFERENCE").is_none() { &["-Tdefmt.x"][..] } else { &[] };
    for argument in scripts.iter().chain(logs) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Features that are boards: those with a memory map.
fn boards(memory: &Path) -> Vec<String> {
    let enabled = |name: &str| {
        let variable = format!("CARGO_FEATURE_{}", name.to_uppercase().replace('-', "_"));
        env::var_os(variable).is_some()
    };
    let mut boards: Vec<String> = fs::read_dir(memory)
        .expect("firmware/memory")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_string()))
        .filter(|name| enabled(name))
        .collect();
    boards.sort();
    boards
}
