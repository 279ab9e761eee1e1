//! Images to predictions on an emulated board, through the `goldcrest` command alone.

use std::path::Path;

use goldcrest_tests::{goldcrest_json, text};
use serde_json::Value;

/// The keys that scripts read from `summary.json`.
const KEYS: [&str; 15] = [
    "dataset",
    "train_images",
    "epochs",
    "float_accuracy",
    "int8_accuracy",
    "verified_images",
    "verified_values",
    "mismatches",
    "emulated_board",
    "emulated_images",
    "emulated_mismatches",
    "instructions_per_inference",
    "arena_bytes",
    "firmware_flash_bytes",
    "seconds",
];

fn demo(data: &str, out: &Path) -> Value {
    let summary = goldcrest_json(&["demo", "--data", data, "--out", text(out)], 0);
    let written = std::fs::read_to_string(out.join("summary.json")).expect("the demo writes its summary");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), summary);
    for key in KEYS {
        assert!(!summary[key].is_null(), "summary.json lacks {key}: {summary:#}");
    }
    assert_eq!(summary["mismatches"], 0, "{summary:#}");
    assert_eq!(summary["emulated_mismatches"], 0, "{summary:#}");
    assert_eq!(summary["emulated_board"], "mps2-an386");
    let (float, int8) = (number(&summary["float_accuracy"]), number(&summary["int8_accuracy"]));
    assert!((float - int8).abs() <= 0.01, "int8 {int8} against float {float}");
    for stage in ["data", "train", "eval", "quantize", "verify", "pack", "emulate"] {
        assert!(summary["seconds"][stage].is_number(), "no time of stage {stage}: {summary:#}");
    }
    summary
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn procedural_signs_reach_the_emulated_board() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = demo("glyphs", &folder.path().join("demo"));
    assert!(number(&summary["float_accuracy"]) >= 0.95, "{summary:#}");
    for file in ["model.onnx", "model.int8.onnx", "model.gci", "metrics.jsonl", "recipe.toml"] {
        assert!(folder.path().join("demo").join(file).is_file(), "the demo leaves {file}");
    }
}

/// Real images, where the environment variable `GOLDCREST_CIFAR10` names CIFAR-10 in any form that `--data`
/// takes.
#[test]
#[ignore = "takes CIFAR-10 from the environment variable GOLDCREST_CIFAR10"]
fn real_images_reach_the_emulated_board() {
    let data = std::env::var("GOLDCREST_CIFAR10").expect("GOLDCREST_CIFAR10 names CIFAR-10");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = demo(&data, &folder.path().join("demo"));
    assert_eq!(summary["train_images"], 50_000);
    assert_eq!(summary["verified_images"], 10_000);
    assert!(number(&summary["emulated_images"]) >= 200.0, "{summary:#}");
    assert!(number(&summary["epochs"]) >= 8.0, "{summary:#}");
    assert!(number(&summary["float_accuracy"]) >= 0.60, "{summary:#}");
}
