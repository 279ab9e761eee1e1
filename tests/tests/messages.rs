//! What people give by mistake, and what they are told then: one test for each kind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use goldcrest_data::random::Random;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::samples::Sample;
use goldcrest_onnx::{Attribute, Node, ValueInfo};
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

/// A network of 32x32 pictures with these values per image at its end, which `build` writes from `z`.
fn foreign(path: &Path, channels: usize, values: usize, build: impl FnOnce(&mut Sample)) {
    let mut sample = Sample::new(&[channels as i64, 32, 32], values as i64);
    sample.conv("image", "x", [6, channels, 3, 3], &[("strides", &[2, 2])]).op("Relu", &["x"], "r");
    sample.op("GlobalAveragePool", &["r"], "p").op("Flatten", &["p"], "f");
    sample.floats("w", &[6, values], -1.0, 1.0).op("MatMul", &["f", "w"], "z");
    build(&mut sample);
    sample.model.write(path).expect("written");
}

fn plain(sample: &mut Sample) {
    sample.op("Identity", &["z"], "logits");
}

#[test]
fn one_output_tells_two_classes_apart() {
    let folder = Folder::new();
    let data = folder.pictures("data", &[("no", [12, 8]), ("yes", [12, 8])]);
    let (float, int8) = (folder.path("one.onnx"), folder.path("one.int8.onnx"));
    foreign(&float, 3, 1, |sample| {
        sample.op("Sigmoid", &["z"], "logits");
    });
    let data = ["--data", text(&data), "--normalization", "unit"];
    let quantized = [&["quantize", text(&float), "--out", text(&int8)][..], &data].concat();
    goldcrest_json(&quantized, 0);
    let compared = [&["eval", text(&int8), "--against", text(&float)][..], &data].concat();
    let compared = goldcrest_json(&compared, 0);
    assert!(compared["agreement"].as_f64().expect("a share") > 0.8, "{compared}");
    assert_eq!(compared["confusion"].as_array().map(Vec::len), Some(2), "{compared}");
}

#[test]
fn data_of_other_classes_or_pictures_of_other_channels_are_refused() {
    let folder = Folder::new();
    let (ten, two, out) = (folder.path("ten.onnx"), folder.path("two.onnx"), folder.path("out.onnx"));
    foreign(&ten, 3, 7, plain);
    let quantize = |model: &Path| {
        goldcrest_fails(&["quantize", text(model), "--data", "glyphs:20,10", "--out", text(&out)], "model")
    };
    let message = quantize(&ten);
    assert!(message.contains("10 classes") && message.contains("model 7"), "{message}");
    foreign(&two, 2, 10, plain);
    let message = quantize(&two);
    assert!(message.contains("1 channel (gray) or 3") && !message.contains("--resize"), "{message}");
    assert!(!out.exists());
}

#[test]
fn what_a_model_is_can_be_asked() {
    let folder = Folder::new();
    let path = folder.path("model.onnx");
    foreign(&path, 3, 5, |sample| {
        sample.node(Node::new("Softmax", &["z"], &["logits"]).with("axis", Attribute::Int(1)));
    });
    let said = goldcrest_json(&["inspect", text(&path)], 0);
    assert_eq!((&said["kind"], &said["output"]["classes"]), (&Value::from("float"), &Value::from(5)));
    assert_eq!(said["operators"]["Conv"], 1);
    assert_eq!(said["parameters"], 6 * 27 + 6 + 6 * 5);
    assert_eq!(said["multiply_accumulates"], 15 * 15 * 6 * 27 + 6 * 5);
    assert!(said["normalization"]["because"].as_str().is_some_and(|because| because.contains("assumed")));
    let boards = said["boards"].as_array().expect("a list");
    assert!(
        boards.len() > 10 && boards.iter().all(|board| board["arena_bytes"].as_u64() > Some(1000)),
        "{said}"
    );

    foreign(&path, 3, 5, |sample| {
        sample.op("LayerNormalization", &["z"], "logits");
    });
    let said = goldcrest_json(&["inspect", text(&path)], 1);
    assert_eq!(said["unsupported"][0]["operator"], "LayerNormalization");
    let text = goldcrest(&["inspect", text(&path)]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(
        text.contains("`logits` (LayerNormalization, input 1x5)") && text.contains("channels first"),
        "{text}"
    );
}

#[test]
fn a_model_that_takes_bytes_is_given_bytes() {
    let folder = Folder::new();
    let data = folder.pictures("data", &[("a", [12, 8]), ("b", [12, 8])]);
    let (float, int8) = (folder.path("bytes.onnx"), folder.path("bytes.int8.onnx"));
    let mut sample = Sample::new(&[32, 32, 3], 2);
    sample.model.graph.inputs[0] = ValueInfo::new("image", 2, &[-1, 32, 32, 3]);
    sample.node(Node::new("Cast", &["image"], &["f"]).with("to", Attribute::Int(1))).scalar("most", 255.0);
    sample.op("Div", &["f", "most"], "d");
    sample.node(Node::new("Transpose", &["d"], &["t"]).with("perm", Attribute::Ints(vec![0, 3, 1, 2])));
    sample.conv("t", "x", [6, 3, 3, 3], &[]).head("x", 6, 2);
    sample.model.write(&float).expect("written");
    let data = ["--data", text(&data)];
    let said = goldcrest_json(
        &[&["quantize", text(&float), "--out", text(&int8), "--nearest"][..], &data].concat(),
        0,
    );
    assert!(said["assumed"]["normalization"].is_null(), "{said}");
    let compared =
        goldcrest_json(&[&["eval", text(&int8), "--against", text(&float)][..], &data].concat(), 0);
    assert!(compared["agreement"].as_f64().expect("a share") > 0.8, "{compared}");
    let wrong = [&["eval", text(&float), "--normalization", "imagenet"][..], &data].concat();
    goldcrest_fails(&wrong, "its input is uint8");
}

#[test]
fn packing_says_where_a_model_does_not_fit() {
    let folder = Folder::new();
    let (float, int8, image) = (folder.path("a.onnx"), folder.path("a.int8.onnx"), folder.path("a.gci"));
    let mut sample = Sample::new(&[3, 32, 32], 10);
    sample.op("Flatten", &["image"], "f").floats("w", &[3072, 80], -0.1, 0.1).op("MatMul", &["f", "w"], "h");
    sample.op("Relu", &["h"], "r").floats("v", &[80, 10], -0.5, 0.5).op("MatMul", &["r", "v"], "logits");
    sample.model.write(&float).expect("written");
    let quantize = ["quantize", text(&float), "--data", "glyphs:12,4", "--out", text(&int8), "--nearest"];
    goldcrest_json(&quantize, 0);
    let packed = goldcrest_json(&["pack", text(&int8), "--board", "lm3s6965evb", "--out", text(&image)], 1);
    assert_eq!(packed["fits"], false);
    assert!(
        packed["problem"].as_str().is_some_and(|problem| problem.contains("flash too large")),
        "{packed}"
    );
    let packed = goldcrest_json(&["pack", text(&int8), "--board", "mps2-an386", "--out", text(&image)], 0);
    assert_eq!(packed["fits"], true);
}

/// The lines of a text that are commands, without what is said about them.
fn commands(text: &str) -> impl Iterator<Item = Vec<String>> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("goldcrest "));
    lines.map(|line| {
        let line = [" #", " >", " |"].iter().fold(line, |line, end| line.split(end).next().unwrap_or(line));
        line.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect()
    })
}

#[test]
fn documented_commands_are_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let others = ["README.md", "models/README.md", "SECURITY.md"].map(|name| root.join(name));
    let mut texts: Vec<(String, String)> = pages
        .chain(others)
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    for subcommand in goldcrest::command().get_subcommands() {
        let helps = [subcommand.get_after_help(), subcommand.get_after_long_help()];
        for help in helps.into_iter().flatten() {
            texts.push((format!("{} --help", subcommand.get_name()), help.to_string()));
        }
    }
    let mut count = 0;
    for (place, text) in &texts {
        for words in commands(text) {
            let parsed = goldcrest::command().try_get_matches_from(&words);
            if let Err(error) = parsed {
                panic!("{place}: {}: {error}", words.join(" "));
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count} commands in {} texts", texts.len());
}
