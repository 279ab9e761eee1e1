//! What people give by mistake, and what they are told then: one test for each kind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use goldcrest_data::random::Random;
use goldcrest_engine::shape::Shape;
use goldcrest_tests::{binary, goldcrest, goldcrest_fails, goldcrest_json, text};
use goldcrest_train::architecture;
use image::{Rgb, RgbImage};
use serde_json::Value;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("written");
        path
    }

    /// Pictures of noise: `count` of each class in each part.
    fn pictures(&self, name: &str, classes: &[(&str, [usize; 2])]) -> PathBuf {
        let root = self.path(name);
        let mut random = Random::new(7);
        for (class, counts) in classes {
            for (part, count) in ["train", "test"].iter().zip(counts) {
                let folder = root.join(part).join(class);
                fs::create_dir_all(&folder).expect("a folder");
                for number in 0..*count {
                    let noise = RgbImage::from_fn(32, 32, |_, _| Rgb([(); 3].map(|()| random.bits() as u8)));
                    noise.save(folder.join(format!("{number}.png"))).expect("written");
                }
            }
        }
        root
    }
}

/// LeNet-5 with drawn weights and these classes.
fn model(path: &Path, labels: &[String]) {
    let network = architecture::load("lenet5").expect("built in");
    let mut model = network.build(Shape::new(32, 32, 3), labels.len(), 3).expect("a network");
    model.metadata.insert("goldcrest.labels".into(), serde_json::json!(labels).to_string());
    model.write(path).expect("written");
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_of_other_kinds_get_a_sentence_of_their_own() {
    let folder = Folder::new();
    let out = folder.path("out.onnx");
    for (name, bytes, says) in [
        ("m.tflite", &b"\x1c\0\0\0TFL3rest"[..], "a TensorFlow Lite model; convert"),
        ("m.pt", b"PK\x03\x04rest", "torch.onnx.export"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "a Keras model; convert"),
        ("m.zip", b"PK\x03\x04rest", "a zip archive; unpack the .onnx file"),
        ("m.csv", b"file,label\n", "a CSV file, which is not a model"),
    ] {
        let path = folder.put(name, bytes);
        for arguments in [
            &["eval", text(&path), "--data", "glyphs:20,10"][..],
            &["quantize", text(&path), "--data", "glyphs:20,10", "--out", text(&out)],
            &["verify", text(&path), "--data", "glyphs:20,10"],
            &["import", text(&path), "--out", text(&out)],
            &["classify", text(&path), "a.png"],
            &["pack", text(&path), "--out", text(&out)],
            &["train", text(&path), "--data", "glyphs:20,10", "--out", text(&folder.path("run"))],
        ] {
            let message = goldcrest_fails(arguments, says);
            assert!(message.contains(name), "{arguments:?}: {message}");
        }
    }
    for (name, says) in
        [("m.onnx", "a model, not images"), ("m.pt", "a model"), ("list.csv", "a CSV file; give")]
    {
        let path = folder.put(name, b"file,label\na.png,b\n");
        for command in ["data", "train"] {
            let data = ["train", "lenet5", "--out", text(&out), "--data", text(&path)];
            let arguments = if command == "data" { vec!["data", text(&path)] } else { data.to_vec() };
            goldcrest_fails(&arguments, says);
        }
    }
}

#[test]
fn control_characters_of_files_never_reach_the_terminal() {
    let folder = Folder::new();
    let names = ["\u{1b}[31mcat", "dog", "\u{9b}31mowl"].map(str::to_owned);
    let (onnx, picture) = (folder.path("model.onnx"), folder.path("a.png"));
    model(&onnx, &names);
    RgbImage::new(32, 32).save(&picture).expect("written");
    let output = goldcrest(&["classify", text(&onnx), text(&picture)]);
    assert!(output.status.success(), "{}", said(&output));
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(shown.contains("31mcat") && shown.contains("31mowl"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown:?}");

    // In an archive, the name of an entry.
    let mut archive = Vec::new();
    let mut header = [0u8; 512];
    let name = b"train/\x1b[2Jcat/1.png";
    header[..name.len()].copy_from_slice(name);
    header[124..135].copy_from_slice(b"00000000001");
    header[156] = b'0';
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    header[154] = 0;
    archive.extend(header);
    archive.extend([0; 512 * 3]);
    let archive = folder.put("set.tar", &archive);
    let message = goldcrest_fails(&["data", text(&archive)], "control characters");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn a_folder_named_like_a_built_in_data_set_is_told() {
    let folder = Folder::new();
    fs::create_dir(folder.path("glyphs")).expect("a folder");
    let output = Command::new(binary())
        .args(["data", "glyphs:20,10"])
        .current_dir(folder.0.path())
        .output()
        .expect("the command starts");
    assert!(said(&output).contains("write ./glyphs for what lies here"), "{}", said(&output));
    let elsewhere = goldcrest(&["data", "glyphs:20,10"]);
    assert!(!said(&elsewhere).contains("./glyphs"), "{}", said(&elsewhere));
}

#[test]
fn broken_pictures_are_all_listed_and_can_be_left_out() {
    let folder = Folder::new();
    let data = folder.pictures("set", &[("a", [3, 2]), ("b", [3, 2])]);
    for name in ["train/a/0.png", "test/b/1.png"] {
        fs::write(data.join(name), "<html>404</html>").expect("written");
    }
    let onnx = folder.path("model.onnx");
    model(&onnx, &["a".to_owned(), "b".to_owned()]);
    let eval = ["eval", text(&onnx), "--data", text(&data)];
    let report = goldcrest_json(&eval, 1);
    let pictures = report["error"]["pictures"].as_array().expect("a list");
    let named: Vec<&str> = pictures.iter().filter_map(|one| one["picture"].as_str()).collect();
    assert_eq!(named, [text(&data.join("train/a/0.png")), text(&data.join("test/b/1.png"))], "{report}");
    let message = goldcrest_fails(&eval, "2 images cannot be used");
    assert!(named.iter().all(|name| message.contains(name)), "{message}");
    let output = goldcrest(&[&eval[..], &["--skip-broken", "--json"]].concat());
    assert!(said(&output).contains("2 broken pictures are left out"), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["images"], 3, "{report}");
}

/// A `python3` that is all there is on the search path.
fn with_python(folder: &Folder, script: &str, arguments: &[&str]) -> Output {
    let python = folder.put("bin/python3", format!("#!/bin/sh\n{script}\n").as_bytes());
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("executable");
    Command::new(binary())
        .args(arguments)
        .env("PATH", folder.path("bin"))
        .env("GOLDCREST_CACHE", folder.path("cache"))
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .expect("the command starts")
}

#[test]
fn pip_is_heard() {
    let folder = Folder::new();
    let script = "case \"$*\" in *--version) echo 'pip 24.0 from x';; *) echo 'ERROR: Could not find an \
         activated virtualenv (required).' >&2; exit 3;; esac";
    let output = with_python(&folder, script, &["doctor", "--fix", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let parts = report["parts"].as_array().expect("a list");
    let part = parts.iter().find(|part| part["name"] == "ONNX Runtime training").expect("a part");
    let hint = part["hint"].as_str().expect("a hint");
    assert!(hint.contains("Could not find an activated virtualenv"), "{hint}");
    assert!(hint.contains("unset PIP_REQUIRE_VIRTUALENV") && !hint.contains("network"), "{hint}");
    // Without pip its own words are told too.
    let output = with_python(
        &folder,
        "echo '/usr/bin/python3: No module named pip' >&2; exit 1",
        &["doctor", "--json"],
    );
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(report.contains("No module named pip; install Python's pip"), "{report}");
}

#[test]
fn a_cache_that_cannot_be_made_is_named_with_its_variable() {
    let folder = Folder::new();
    let script = "echo 'pip 24.0 from x'";
    with_python(&folder, script, &["doctor", "--json"]);
    // A file where the home is: nobody, not even the superuser, can write below it.
    let home = folder.put("home", b"");
    let output = Command::new(binary())
        .args(["doctor", "--fix", "--json"])
        .env("PATH", folder.path("bin"))
        .env("HOME", &home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("GOLDCREST_CACHE")
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .expect("the command starts");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        report.contains("cannot create the folder") && report.contains("set GOLDCREST_CACHE"),
        "{report}"
    );
}

#[test]
fn errors_of_every_command_are_json_too() {
    let folder = Folder::new();
    let (missing, picture) = (folder.path("missing.onnx"), folder.put("a.png", b""));
    let (missing, out, recipe) = (text(&missing), folder.path("out"), folder.path("recipe.toml"));
    for (arguments, code) in [
        (&["verify", missing, "--data", "glyphs:20,10"][..], 2),
        (&["pack", missing, "--out", text(&out)], 2),
        (&["emulate", "--board", "mps2-an386", "--model", missing, "--data", "glyphs:20,10"], 2),
        (&["bench", missing], 2),
        (&["flash", "--board", "nucleo-f446re", "--model", missing], 2),
        (&["flash", "--board", "no-such-board"], 2),
        (&["infer", "--port", "/dev/ttyGOLD7", missing], 2),
        (&["infer", "--port", "/dev/ttyGOLD7", text(&picture)], 1),
        (&["monitor", "--port", "/dev/ttyGOLD7", "--elf", missing], 2),
        (&["sweep", text(&recipe), "--network", "lenet5", "--data", "glyphs:20,10", "--out", text(&out)], 2),
        (&["demo", "--data", "no/such/folder", "--out", text(&out)], 2),
        (&["man", text(&picture)], 1),
    ] {
        let report = goldcrest_json(arguments, code);
        let message = report["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{arguments:?}: {report}");
    }
}

#[test]
fn many_classes_stay_readable() {
    let folder = Folder::new();
    let names: Vec<String> = (0..30).map(|class| format!("class{class:02}")).collect();
    let classes: Vec<(&str, [usize; 2])> = names.iter().map(|name| (name.as_str(), [1, 2])).collect();
    let data = folder.pictures("set", &classes);
    let (onnx, file) = (folder.path("model.onnx"), folder.path("all.json"));
    model(&onnx, &names);
    let output = goldcrest(&["eval", text(&onnx), "--data", text(&data), "--out", text(&file)]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", said(&output));
    assert!(shown.contains("the worst 20 of 30 classes; --out FILE writes all"), "{shown}");
    assert!(shown.lines().count() < 60 && shown.lines().all(|line| line.len() < 120), "{shown}");
    let all: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    assert_eq!(all["per_class"].as_array().map(Vec::len), Some(30), "{all}");
    let output = goldcrest(&["data", text(&data)]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("the smallest 20 of 30 classes"), "{shown}");
}

#[test]
fn unequal_classes_are_told_before_and_after_training() {
    let folder = Folder::new();
    let data = folder.pictures("set", &[("common", [60, 10]), ("rare", [3, 10])]);
    let run = folder.path("run");
    let train = ["train", "lenet5", "--data", text(&data), "--out", text(&run)];
    let recipe = ["--epochs", "2", "--augment", "none", "--batch", "21", "--learning-rate", "0.05", "--json"];
    let output = goldcrest(&[&train[..], &recipe].concat());
    let stderr = said(&output);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("training images of each class: common 60, rare 3"), "{stderr}");
    assert!(stderr.contains("look at the balanced accuracy"), "{stderr}");
    assert!(stderr.contains("every test image is taken for common"), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["balanced_accuracy"], 0.5, "{report}");
    let best = run.join("model.onnx");
    let output = goldcrest(&["eval", text(&best), "--data", text(&data), "--json"]);
    assert!(said(&output).contains("takes every image for common"), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&report["balanced_accuracy"], &report["only_answer"]),
        (&0.5.into(), &"common".into()),
        "{report}"
    );
}

#[test]
fn help_is_short_and_long_and_shells_complete() {
    let shown = |arguments: &[&str]| String::from_utf8(goldcrest(arguments).stdout).expect("UTF-8");
    let (short, long) = (shown(&["train", "-h"]), shown(&["train", "--help"]));
    assert!(short.contains("--epochs") && !short.contains("--step-factor"), "{short}");
    assert!(short.lines().count() < long.lines().count() / 2, "{short}");
    for heading in ["Recipe: the run:", "Recipe: the learning rate:", "Machine:"] {
        assert!(long.contains(heading), "{heading}: {long}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = shown(&["completions", shell]);
        assert!(script.contains("goldcrest") && script.contains("learning-rate"), "{shell}: {script}");
    }
    let folder = Folder::new();
    let pages = folder.path("man1");
    let report = goldcrest_json(&["man", text(&pages)], 0);
    assert!(report["pages"].as_array().is_some_and(|pages| pages.len() > 15), "{report}");
    let page = fs::read_to_string(pages.join("goldcrest-train.1")).expect("a page");
    assert!(page.contains(".TH goldcrest-train 1") && page.contains("step\\-factor"), "{page}");
}

/// The commands of the archives and lists that people have.
#[test]
fn archives_lists_and_names_are_data_sets() {
    let folder = Folder::new();
    let data = folder.pictures("set/v1", &[("a", [3, 2]), ("b", [3, 2])]);
    let counts = |report: &Value| (report["train"].as_u64(), report["test"].as_u64());
    let report = goldcrest_json(&["data", text(&folder.path("set"))], 0);
    assert_eq!(counts(&report), (Some(6), Some(4)), "{report}");
    // The same files with their classes in a table.
    let (flat, mut table) = (folder.path("flat"), "file,label\n".to_owned());
    for (number, part) in ["train", "test"].iter().enumerate() {
        for class in ["a", "b"] {
            for entry in fs::read_dir(data.join(part).join(class)).expect("a folder").flatten() {
                let name = format!("{class}{number}-{}", entry.file_name().to_string_lossy());
                let to = flat.join(part).join(&name);
                fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
                fs::copy(entry.path(), to).expect("copied");
                table += &format!("{part}/{name},{class}\n");
            }
        }
    }
    goldcrest_fails(&["data", text(&flat)], "misplaced image");
    fs::write(flat.join("labels.csv"), table).expect("written");
    let report = goldcrest_json(&["data", text(&flat)], 0);
    assert_eq!(counts(&report), (Some(6), Some(4)), "{report}");
    assert_eq!(report["classes"][1]["name"], "b");
}
