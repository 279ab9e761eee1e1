//! From picture to name: what lies before the pixels and after the logits gives the right answer, or is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use goldcrest_board::emulator::{self, Emulator};
use goldcrest_board::table;
use goldcrest_data::picture::Picture;
use goldcrest_data::random::Random;
use goldcrest_onnx::{Model, int8};
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_tests::{goldcrest, goldcrest_fails, goldcrest_json, text};
use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::Value;

/// Test pictures of each class of [`edge`].
const TESTS: usize = 40;

/// Photos of 160x120 whose only clue, a dark block, lies at the left or the right edge: the middle shows
/// nothing.
fn edge(root: &Path, classes: [&str; 2]) {
    let mut random = Random::new(3);
    let mut below = |limit: u32| (random.bits() % u64::from(limit)) as u32;
    for (part, count) in [("train", 120), ("test", TESTS)] {
        for (side, class) in classes.iter().enumerate() {
            let folder = root.join(part).join(class);
            fs::create_dir_all(&folder).expect("a folder");
            for number in 0..count {
                let gray = 150 + below(40) as u8;
                let (left, top) = (below(5) + 140 * side as u32, 10 + below(80));
                let block = Rgb([below(60) as u8, below(60) as u8, below(60) as u8]);
                let picture = RgbImage::from_fn(160, 120, |x, y| {
                    let is_block = (left..left + 15).contains(&x) && (top..top + 21).contains(&y);
                    if is_block { block } else { Rgb([gray; 3]) }
                });
                picture.save(folder.join(format!("{number:04}.png"))).expect("written");
            }
        }
    }
}

/// A run on [`edge`] with its data: trained once for all tests.
struct Trained {
    folder: tempfile::TempDir,
    /// What `train` said.
    stderr: String,
}

impl Trained {
    fn get() -> &'static Self {
        static TRAINED: OnceLock<Trained> = OnceLock::new();
        TRAINED.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let data = folder.path().join("edge");
            edge(&data, ["left", "right"]);
            let run = folder.path().join("run");
            let output = goldcrest(&[
                "train",
                "lenet5",
                "--data",
                text(&data),
                "--resize",
                "32x32",
                "--out",
                text(&run),
                "--epochs",
                "12",
                "--augment",
                "none",
                "--momentum",
                "0.9",
                "--batch",
                "16",
            ]);
            let stderr = said(&output);
            assert!(output.status.success(), "{stderr}");
            Self { folder, stderr }
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The trained model as another tool would write it: no metadata.
    fn foreign(&self, to: &Path) {
        let mut model = Model::read(&self.path("run/model.onnx")).expect("the run's model");
        model.metadata.clear();
        model.write(to).expect("written");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `goldcrest --json`, which must succeed: its object and what it said.
fn told(arguments: &[&str]) -> (Value, String) {
    let output = goldcrest(&[arguments, &["--json"]].concat());
    let stderr = said(&output);
    assert!(output.status.success(), "goldcrest {arguments:?}\n{stderr}");
    (serde_json::from_slice(&output.stdout).expect("JSON"), stderr)
}

#[test]
fn a_clue_at_the_edge_is_seen_by_every_command() {
    let trained = Trained::get();
    assert!(trained.stderr.contains("240 training and 80 test images of 2 classes (left, right), 32x32 RGB"));
    assert!(trained.stderr.contains("120x160 before, fit whole"), "{}", trained.stderr);
    let recipe = fs::read_to_string(trained.path("run/recipe.toml")).expect("a recipe");
    for line in ["resize = \"32x32\"", "fit = \"whole\"", "background = \"#ffffff\""] {
        assert!(recipe.contains(line), "{recipe}");
    }
    let (data, float) = (trained.path("edge"), trained.path("run/model.onnx"));
    let int8 = trained.path("edge.int8.onnx");
    // Nobody says --resize again.
    let (quantized, _) = told(&["quantize", text(&float), "--data", text(&data), "--out", text(&int8)]);
    assert_eq!(quantized["assumed"], serde_json::json!({}));
    for model in [&float, &int8] {
        let (report, _) = told(&["eval", text(model), "--data", text(&data)]);
        assert_eq!((&report["accuracy"], &report["images"]), (&1.0.into(), &(2 * TESTS).into()), "{report}");
    }
    let report = goldcrest_json(
        &["emulate", "--board", "mps2-an386", "--model", text(&int8), "--data", text(&data)],
        0,
    );
    assert_eq!((&report["accuracy"], &report["mismatches"]), (&1.0.into(), &0.into()), "{report}");
    // Nor does a board that is sent the pictures as they are.
    let board = table::find("mps2-an386").expect("the board");
    let model = int8::read(&Model::read(&int8).expect("int8")).expect("a model");
    let options = PackOptions { family: board.family, ..PackOptions::default() };
    let image = pack(&model, &options).expect("packed").image;
    let mut emulator = Emulator::start(board, image.bytes(), emulator::Options::default())
        .unwrap_or_else(|error| panic!("{error}"));
    for (index, class) in ["left", "right"].into_iter().enumerate() {
        for number in 0..TESTS {
            let path = data.join("test").join(class).join(format!("{number:04}.png"));
            let picture = Picture::open(&path, [255; 3]).expect("a picture");
            let answer = emulator.client().infer_picture(picture.shape, &picture.pixels);
            let (answer, _) = answer.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(answer.class, index, "{}", path.display());
        }
    }
    for class in ["left", "right"] {
        let picture = data.join("test").join(class).join("0007.png");
        for model in [&float, &int8] {
            let report = goldcrest_json(&["classify", text(model), text(&picture)], 0);
            assert_eq!(report["images"][0]["top"][0]["name"], class, "{report}");
        }
    }
    // What contradicts the model is an error with both sides.
    for (flag, value, own) in [("--fit", "middle", "fit whole"), ("--resize", "64x64", "resize 32x32")] {
        for command in ["eval", "verify"] {
            let arguments = [command, text(&int8), "--data", text(&data), flag, value];
            let message = goldcrest_fails(&arguments, own);
            assert!(message.contains(value) && message.contains("edge.int8.onnx"), "{message}");
        }
    }
    let metadata = Model::read(&int8).expect("int8").metadata;
    let written: Value = serde_json::from_str(&metadata["goldcrest.preprocessing"]).expect("JSON");
    let expected =
        serde_json::json!({ "version": 1, "channels": "rgb", "fit": "whole", "background": [255, 255, 255] });
    assert_eq!(written, expected);
}

#[test]
fn a_model_without_metadata_is_completed_or_its_assumptions_are_told() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let (data, foreign, names) = (trained.path("edge"), path("foreign.onnx"), path("names.txt"));
    trained.foreign(&foreign);
    fs::write(&names, "left\nright\n").expect("written");
    let eval = ["eval", text(&foreign), "--data", text(&data)];
    let (report, stderr) = told(&eval);
    assert!(
        stderr.contains("assumed: mean 0, std 1") && stderr.contains("does not name its classes"),
        "{stderr}"
    );
    assert!(
        report["assumed"]["normalization"].is_object() && report["assumed"]["labels"].is_string(),
        "{report}"
    );

    let stated = ["--mean", "0.5", "--std", "0.5", "--labels", text(&names)];
    let (report, stderr) = told(&[&eval[..], &stated].concat());
    assert!(!stderr.contains("assumed: mean"), "{stderr}");
    assert_eq!((&report["accuracy"], &report["assumed"]), (&1.0.into(), &serde_json::json!({})), "{report}");

    let imported = path("imported.onnx");
    let import =
        ["import", text(&foreign), "--normalization", "half", "--labels", text(&names), "--fit", "whole"];
    goldcrest_json(&[&import[..], &["--out", text(&imported)]].concat(), 0);
    let (report, stderr) = told(&["eval", text(&imported), "--data", text(&data)]);
    assert_eq!(report["accuracy"], 1.0);
    assert!(!stderr.contains("assumed"), "{stderr}");
    let against = ["eval", text(&imported), "--data", text(&data), "--normalization", "imagenet"];
    let message = goldcrest_fails(&against, "0.485");
    assert!(message.contains("mean [0.5, 0.5, 0.5]"), "{message}");
    goldcrest_fails(&[&import[..], &["--out", text(&foreign)]].concat(), "is the model that is read");
}

#[test]
fn classes_are_compared_by_name() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let renamed = path("renamed");
    edge(&renamed, ["links", "rechts"]);
    let (data, float) = (trained.path("edge"), trained.path("run/model.onnx"));
    let (run, out) = (trained.path("run"), path("out.onnx"));
    for arguments in [
        &["eval", text(&float), "--data", text(&renamed)][..],
        &["quantize", text(&float), "--data", text(&renamed), "--out", text(&out)],
        &["train", text(&float), "--data", text(&renamed), "--out", text(&path("more"))],
        &["train", "lenet5", "--data", text(&renamed), "--out", text(&run), "--resume", "--epochs", "13"],
    ] {
        let message = goldcrest_fails(arguments, "links, rechts");
        assert!(message.contains("left, right") && !out.exists(), "{message}");
    }
    let (report, _) = told(&["eval", text(&float), "--data", text(&renamed), "--by-position"]);
    assert_eq!(report["accuracy"], 1.0);

    // The same names in another order belong to the outputs that have them: here every answer is then wrong.
    let (foreign, turned, names) = (path("foreign.onnx"), path("turned.onnx"), path("names.txt"));
    trained.foreign(&foreign);
    fs::write(&names, "right\nleft\n").expect("written");
    let import = ["import", text(&foreign), "--normalization", "half", "--labels", text(&names)];
    goldcrest_json(&[&import[..], &["--out", text(&turned)]].concat(), 0);
    let (report, stderr) = told(&["eval", text(&turned), "--data", text(&data)]);
    assert_eq!(report["accuracy"], 0.0, "{report}");
    assert!(stderr.contains("matched by name"), "{stderr}");
}

#[test]
fn poor_calibration_is_told() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (black, out) = (folder.path().join("black"), folder.path().join("out.onnx"));
    for part in ["train", "test"] {
        for class in ["left", "right"] {
            fs::create_dir_all(black.join(part).join(class)).expect("a folder");
            for number in 0..5 {
                let file = black.join(part).join(class).join(format!("{number}.png"));
                RgbImage::new(32, 32).save(file).expect("written");
            }
        }
    }
    let float = trained.path("run/model.onnx");
    let quantize = ["quantize", text(&float), "--data", text(&black), "--images", "7", "--out", text(&out)];
    let (report, stderr) = told(&quantize);
    assert!(
        stderr.contains("10 training and 10 test images") && stderr.contains("7 calibration images"),
        "{stderr}"
    );
    assert!(stderr.contains("7 of 7 calibration images have one value everywhere"), "{stderr}");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(2), "{report}");
    let (_, stderr) = told(&[&quantize[..5], &["1", "--out", text(&out)]].concat());
    assert!(stderr.contains("no calibration image of 1 of 2 classes"), "{stderr}");
}

#[test]
fn a_data_set_is_looked_at_before_training() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("set");
    let put = |name: &str, picture: DynamicImage| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        picture.save(&path).expect("written");
        path
    };
    // A stroke of its own in each picture, black on transparent.
    let stroke = |number: u32| -> DynamicImage {
        RgbaImage::from_fn(16, 16, |x, y| {
            Rgba([0, 0, 0, if x == number || y == number / 2 { 255 } else { 0 }])
        })
        .into()
    };
    let kinds = ["png", "webp", "tiff", "png"];
    for (part, first) in [("train", 0), ("test", 8)] {
        for number in first..first + 4 {
            let kind = kinds[number as usize % 4];
            put(&format!("{part}/a/{number}.{kind}"), stroke(number));
            let gray = stroke(number).to_luma_alpha8();
            let gray = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([gray.get_pixel(x, y).0[1]]));
            put(&format!("{part}/b/{number}.bmp"), gray.into());
        }
    }
    fs::write(root.join("train/a/clip.mp4"), "").expect("written");
    let report = goldcrest_json(&["data", text(&root)], 0);
    assert_eq!((&report["train"], &report["test"]), (&8.into(), &8.into()), "{report}");
    assert_eq!(report["ignored"], serde_json::json!({ ".mp4": 1 }));
    assert_eq!(
        (&report["transparent"], &report["problems"]),
        (&8.into(), &serde_json::json!([])),
        "{report}"
    );
    assert_eq!(report["constant"], serde_json::json!([]), "strokes show on the background: {report}");

    // Each of these spoils a result.
    let spoils = |file: &Path, says: &str| {
        let report = goldcrest_json(&["data", text(&root)], 1);
        assert!(report["problems"].to_string().contains(says), "{says}: {report}");
        fs::remove_file(file).expect("removed");
    };
    let copy = root.join("test/a/copy.png");
    fs::copy(root.join("train/a/0.png"), &copy).expect("copied");
    spoils(&copy, "copies of training pictures");
    let torn = root.join("train/b/torn.png");
    fs::copy(root.join("train/a/0.png"), &torn).expect("copied");
    spoils(&torn, "in more than one class");
    let broken = root.join("train/b/broken.png");
    fs::write(&broken, "<html>404</html>").expect("written");
    spoils(&broken, "broken picture");
    let deep = image::ImageBuffer::from_fn(16, 16, |x, y| image::Luma([(x * 16 + y) as u16]));
    let deep = put("train/b/deep.png", DynamicImage::ImageLuma16(deep));
    spoils(&deep, "16 bits");
    goldcrest_json(&["data", text(&root)], 0);
}

#[test]
fn what_is_missing_ends_with_2_and_errors_are_json_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (model, out) = (folder.path().join("m.onnx"), folder.path().join("out.onnx"));
    for arguments in [
        &["eval", text(&model), "--data", "glyphs:10,10"][..],
        &["quantize", text(&model), "--data", "glyphs:10,10", "--out", text(&out)],
        &["classify", text(&model), "a.png"],
        &["import", text(&model), "--out", text(&out)],
        &["train", "lenet5", "--data", "no/such/folder", "--out", text(&out)],
        &["data", "no/such/folder"],
        &["eval", "--no-such-flag"],
    ] {
        let report = goldcrest_json(arguments, 2);
        assert!(report["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{report}");
    }
}
