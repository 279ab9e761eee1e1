//! What training on an NVIDIA GPU needs: the driver, which is the system's to install, and an ONNX Runtime
//! for it.

use goldcrest_prove::runtime;

use super::{Check, Part};

pub(super) const DRIVER: Part =
    Part { name: "CUDA driver", purpose: "training on a GPU", check: check_driver, fix: fix_driver };

pub(super) const RUNTIME: Part =
    Part { name: "ONNX Runtime training (CUDA)", purpose: "training on a GPU", check, fix };

fn check_driver() -> Check {
    match runtime::probe_cuda() {
        Ok(count) => Ok(format!("{count} GPU(s)")),
        Err(error) => Err(error.to_string()),
    }
}

fn fix_driver() -> Result<(), String> {
    Err("the driver belongs to the system".into())
}

/// Looked for, not loaded: a process loads one ONNX Runtime, and CUDA's libraries take their time.
fn check() -> Check {
    let choice = runtime::Choice { cuda: true, ..runtime::Choice::default() };
    match runtime::find(&choice) {
        Ok(found) => Ok(found.path().display().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn fix() -> Result<(), String> {
    runtime::install_cuda(&mut |line| say!("{line}")).map(drop).map_err(|error| error.to_string())
}
