//! Writes the list of kernels that the program holds. Finds the board whose feature is on: makes its file a
//! module, and gives the linker its memory map.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory");
    println!("cargo::rerun-if-env-changed=FIRMWARE_KERNELS");
    println!("cargo::rustc-check-cfg=cfg(board)");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    write(&out.join("kernels.rs"), &kernels(env::var("FIRMWARE_KERNELS").ok().as_deref()));
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let memory = manifest.join("memory");
    let boards = boards(&memory);
    let [board] = &boards[..] else {
        // A library build (cargo check without a board) links nothing.
        assert!(boards.is_empty(), "one board at a time, not {boards:?}: pass one of them with --features");
        return;
    };
    let file = manifest.join("src/board").join(format!("{board}.rs"));
    assert!(file.is_file(), "{} is missing: the file of board {board}", file.display());
    let module = format!(
        "#[path = {file:?}]\nmod chosen;\n/// The board that this program is built for.\npub use \
         chosen::Board as Chosen;\n"
    );
    write(&out.join("board.rs"), &module);
    println!("cargo::rustc-cfg=board");
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
    // The runtime's own link.x includes memory.x on Arm; the HAL of Espressif's parts has another of that
    // name.
    let (name, scripts) = match (riscv, espressif) {
        (_, true) => ("board.x", &["-Tlinkall.x", "-Tboard.x"][..]),
        (true, false) => ("memory.x", &["-Tmemory.x", "-Tlink.x", "--nmagic"][..]),
        (false, false) => ("memory.x", &["-Tlink.x", "--nmagic"][..]),
    };
    write(&out.join(name), &script);
    println!("cargo::rustc-link-search={}", out.display());
    let logs = if env::var_os("CARGO_FEATURE_INFERENCE").is_none() { &["-Tdefmt.x"][..] } else { &[] };
    for argument in scripts.iter().chain(logs) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// The list of kernels as source. A name that the engine does not have does not compile.
fn kernels(names: Option<&str>) -> String {
    let list = match names {
        None => "kernels::NATIVE".to_string(),
        Some(names) => {
            let names = names.split_whitespace();
            let constants = names.map(|name| format!("&kernels::{}", name.to_uppercase().replace('-', "_")));
            format!("&[{}]", constants.collect::<Vec<_>>().join(", "))
        }
    };
    format!("pub static KERNELS: &[&Kernel] = {list};\n")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
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
