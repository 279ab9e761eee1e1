//! Finds the instructions that the target core has beyond its base architecture, because stable Rust
//! does not show them as `cfg(target_feature)`: `goldcrest_armv7` (Armv7-M and later),
//! `goldcrest_dsp` (Armv7E-M) and `goldcrest_mve` (Armv8.1-M vector extension).

use std::env;

/// Armv8.1-M cores with vector instructions.
const MVE: &[&str] = &["cortex-m52", "cortex-m55", "cortex-m85"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for feature in ["armv7", "dsp", "mve"] {
        println!("cargo::rustc-check-cfg=cfg(goldcrest_{feature})");
    }
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let cpu = |cpus: &[&str]| cpus.iter().any(|cpu| flags.contains(&format!("target-cpu={cpu}")));
    let thumb8 = target.starts_with("thumbv8m.main");
    let mve = thumb8 && cpu(MVE);
    if target.starts_with("thumbv7") || thumb8 {
        println!("cargo::rustc-cfg=goldcrest_armv7");
    }
    if mve {
        println!("cargo::rustc-cfg=goldcrest_mve");
    }
    // Not on Armv8-M: naked functions are assembled without the features of `-C target-cpu`.
    if target.starts_with("thumbv7em") {
        println!("cargo::rustc-cfg=goldcrest_dsp");
    }
}
