//! Python's pip: it downloads the ONNX Runtime wheel. No Python runs afterwards.

use super::{Check, Part, first_line};

pub(super) const PART: Part = Part { name: "pip", purpose: "downloading ONNX Runtime", check, fix };

fn check() -> Check {
    first_line("python3", &["-m", "pip", "--version"])
        .map(|line| line.split(" from ").next().unwrap_or_default().trim_start_matches("pip ").to_owned())
        .map_err(|problem| format!("{problem}; install Python's pip, e.g. `apt-get install python3-pip`"))
}

fn fix() -> Result<(), String> {
    super::qemu::system_install(&["python3-pip"])
}
