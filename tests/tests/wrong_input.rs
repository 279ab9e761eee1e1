//! Wrong input ends with exit code 1 or 2 and one clear message, never with a panic.

use std::fs;
use std::path::Path;

use goldcrest_tests::{goldcrest, goldcrest_fails, text};

fn in_folder(test: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    test(folder.path());
}

#[test]
fn unknown_subcommands_and_flags_are_wrong_usage() {
    for arguments in [&["fly"][..], &["train", "--no-such-flag"], &[]] {
        assert_eq!(goldcrest(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_missing_data_set_is_named() {
    in_folder(|folder| {
        let out = folder.join("run");
        goldcrest_fails(
            &["train", "lenet5", "--data", "no/such/folder", "--out", text(&out)],
            "no/such/folder",
        );
        assert!(!out.exists(), "nothing is written before the data is found");
    });
}

#[test]
fn an_unknown_architecture_lists_the_known_ones() {
    in_folder(|folder| {
        let out = folder.join("run");
        let message =
            goldcrest_fails(&["train", "lenet6", "--data", "glyphs", "--out", text(&out)], "lenet6");
        assert!(message.contains("lenet5"), "{message}");
    });
}

#[test]
fn every_command_that_reads_a_model_names_a_missing_one() {
    in_folder(|folder| {
        let (missing, out) = (folder.join("missing.onnx"), folder.join("out"));
        let (missing, out) = (text(&missing), text(&out));
        for arguments in [
            &["eval", missing, "--data", "glyphs"][..],
            &["quantize", missing, "--data", "glyphs", "--out", out],
            &["verify", missing, "--data", "glyphs"],
            &["pack", missing, "--out", out],
            &["emulate", "--board", "mps2-an386", "--model", missing, "--data", "glyphs"],
        ] {
            goldcrest_fails(arguments, "missing.onnx");
        }
    });
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    in_folder(|folder| {
        let model = folder.join("noise.onnx");
        let out = folder.join("out");
        for bytes in [&b""[..], b"not a protobuf", &[0xff; 4096], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            fs::write(&model, bytes).expect("written");
            for arguments in [
                &["eval", text(&model), "--data", "glyphs"][..],
                &["quantize", text(&model), "--data", "glyphs", "--out", text(&out)],
                &["verify", text(&model), "--data", "glyphs"],
                &["pack", text(&model), "--out", text(&out)],
            ] {
                goldcrest_fails(arguments, "noise.onnx");
                assert!(!out.exists(), "{arguments:?} wrote something");
            }
        }
    });
}

#[test]
fn recipes_with_mistakes_show_the_line() {
    in_folder(|folder| {
        let (recipe, out) = (folder.join("recipe.toml"), folder.join("run"));
        let train = ["train", "lenet5", "--data", "glyphs", "--out", text(&out), "--recipe", text(&recipe)];
        for (written, line, says) in [
            ("epochs = 1\nlearnig-rate = 0.1\n", "line 2", "learning-rate"),
            ("epochs = 1\n\nbatch = \"many\"\n", "line 3", "invalid type"),
            ("[search]\nmomentum = { low = 0.9, high = 0.1 }\n", "line 2", "the lower one"),
        ] {
            fs::write(&recipe, written).expect("written");
            let message = goldcrest_fails(&train, says);
            assert!(message.contains(line) && message.contains("recipe.toml"), "{message}");
        }
        fs::write(&recipe, "[search]\nmomentum = { low = 0.1, high = 0.9 }\n").expect("written");
        goldcrest_fails(&train, "goldcrest sweep");
        fs::write(&recipe, "epochs = 1\n").expect("written");
        let sweep = ["sweep", text(&recipe), "--network", "lenet5", "--data", "glyphs", "--out", text(&out)];
        goldcrest_fails(&sweep, "no [search] table");
        goldcrest_fails(&[&train[..], &["--qat"]].concat(), "lenet5 is an architecture");
        goldcrest_fails(&[&train[..], &["--head", "3"]].concat(), "--head is for ONNX models");
        assert!(!out.exists());
    });
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_before_training() {
    // On a machine with a GPU there is nothing to see here.
    if Path::new("/proc/driver/nvidia").exists() {
        return;
    }
    in_folder(|folder| {
        let out = folder.join("run");
        let train = ["train", "lenet5", "--data", "glyphs", "--out", text(&out), "--device", "cuda"];
        let message = goldcrest_fails(&train, "CUDA driver");
        assert!(message.contains("--device cpu") && !out.exists(), "{message}");
        let output = goldcrest(&["doctor", "--cuda", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let parts = report["parts"].as_array().expect("a list");
        let part = |name: &str| parts.iter().find(|part| part["name"] == name).expect("a part");
        assert_eq!(part("CUDA driver")["found"], false);
        assert!(part("ONNX Runtime training (CUDA)")["hint"].is_string());
        assert_eq!(output.status.code(), Some(2));
    });
}

#[test]
fn an_unknown_board_lists_the_known_ones() {
    in_folder(|folder| {
        let model = folder.join("model.onnx");
        fs::write(&model, "").expect("written");
        let message = goldcrest_fails(
            &["emulate", "--board", "mps9", "--model", text(&model), "--data", "glyphs"],
            "mps9",
        );
        assert!(message.contains("mps2-an386"), "{message}");
    });
}

#[test]
fn a_corrupt_device_image_is_refused() {
    in_folder(|folder| {
        let image = folder.join("model.gci");
        for bytes in [&b""[..], b"GCI", &[0u8; 4096], &[0xa5; 4096]] {
            fs::write(&image, bytes).expect("written");
            goldcrest_fails(
                &[
                    "emulate",
                    "--board",
                    "mps2-an386",
                    "--model",
                    text(&image),
                    "--data",
                    "glyphs",
                    "--count",
                    "1",
                ],
                "model.gci",
            );
        }
    });
}

#[test]
fn missing_parts_are_named_with_what_to_do() {
    // An empty search path and an empty cache: no QEMU, no runtime, no pip.
    in_folder(|folder| {
        let output = std::process::Command::new(goldcrest_tests::binary())
            .args(["doctor", "--json"])
            .env("PATH", folder)
            .env("GOLDCREST_CACHE", folder)
            .env_remove("ORT_DYLIB_PATH")
            .output()
            .expect("the command starts");
        assert_eq!(output.status.code(), Some(2));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let parts = report["parts"].as_array().expect("a list");
        assert!(parts.len() >= 4);
        for part in parts {
            assert_eq!(part["found"], false, "{part}");
            assert!(part["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{part}");
        }
    });
}

#[test]
fn training_without_a_runtime_says_how_to_get_one() {
    in_folder(|folder| {
        let output = std::process::Command::new(goldcrest_tests::binary())
            .args(["train", "lenet5", "--data", "glyphs", "--out", text(&folder.join("run"))])
            .env("GOLDCREST_CACHE", folder.join("cache"))
            .env_remove("ORT_DYLIB_PATH")
            .output()
            .expect("the command starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("goldcrest doctor --fix"), "{stderr}");
    });
}
