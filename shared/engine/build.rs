//! Finds the instructions that the target core has beyond its base architecture, because stable Rust
//! does not show them as `cfg(target_feature)`: `goldcrest_armv7` (Armv7-M and later),
//! `goldcrest_armv8` (Armv8-M Mainline), `goldcrest_dsp` (Armv7E-M, Armv8-M with DSP) and
//! `goldcrest_mve` (Armv8.1-M vector extension, which brings DSP).

use std::env;

/// Armv8-M cores with DSP instructions and no vectors.
const DSP: &[&str] = &["cortex-m33", "cortex-m35p"];
/// Armv8.1-M cores with vector instructions.
const MVE: &[&str] = &["cortex-m52", "cortex-m55", "cortex-m85"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    for feature in ["armv7", "armv8", "dsp", "mve"] {
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
    if thumb8 {
        println!("cargo::rustc-cfg=goldcrest_armv8");
    }
    if mve {
        println!("cargo::rustc-cfg=goldcrest_mve");
    }
    if target.starts_with("thumbv7em") || thumb8 && cpu(DSP) || mve {
        println!("cargo::rustc-cfg=goldcrest_dsp");
    }
}
