//! ONNX Runtime with the training API.

use goldcrest_prove::runtime;

use super::{Check, Part};

pub(super) const PART: Part =
    Part { name: "ONNX Runtime training", purpose: "training and calibration", check, fix };

fn check() -> Check {
    match runtime::load(&runtime::Choice::default()) {
        Ok(info) => Ok(info.version),
        Err(error) => Err(format!("{error}")),
    }
}

fn fix() -> Result<(), String> {
    runtime::install(&mut |line| say!("{line}")).map(drop).map_err(|error| error.to_string())
}
