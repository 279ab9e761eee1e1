//! The program that classifies stored pictures, built and run as docs/boards.md says, against the host: its
//! classes and logits are those of what the model in the slot sees of the pictures.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use goldcrest_board::firmware::Firmware;
use goldcrest_board::payload::Payload;
use goldcrest_board::{log, table};
use goldcrest_data::picture::Picture;
use goldcrest_engine::Engine;
use goldcrest_engine::picture::{Fit, Preprocessing};
use goldcrest_engine::shape::Shape;
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::random::{self, Random};

/// Pictures wider and higher than the model's input, and one that is smaller.
const SHAPES: [Shape; 3] = [Shape::new(40, 90, 3), Shape::new(77, 50, 3), Shape::new(20, 24, 3)];

/// The folder that cargo builds into, found from the running test in `release/deps`.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_path_buf()
}

/// Builds the program with the pictures of a file.
fn build(pictures: &Path) -> Firmware {
    let board = table::find(table::DEFAULT).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["build", "--quiet", "--package", "goldcrest-firmware", "--profile", "firmware"])
        .args(["--target", board.target, "--bin", "stored", "--features"])
        .arg(format!("{},emulated,stored", board.name))
        .arg("--target-dir")
        .arg(target_folder())
        .env("GOLDCREST_PICTURES", pictures)
        .env("DEFMT_LOG", "info")
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .status();
    assert!(status.unwrap().success());
    Firmware::open(&target_folder().join(board.target).join("firmware/stored")).unwrap()
}

/// QEMU, ended when dropped.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first `count` lines that the program logs with a model in its slot.
fn logged(firmware: &Firmware, model: &Path, count: usize) -> Vec<String> {
    let machine = table::find(table::DEFAULT).unwrap().machine.as_ref().unwrap();
    let loader = format!("loader,file={},addr={:#x},force-raw=on", model.display(), firmware.slot_start);
    let child = Command::new(machine.program)
        .args(machine.arguments)
        .args(["-nodefaults", "-display", "none", "-monitor", "none", "-device", &loader])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(&firmware.elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut qemu = Qemu(child.unwrap());
    let mut lines = Vec::new();
    log::decode(&log::table(&firmware.elf).unwrap(), qemu.0.stdout.take().unwrap(), |line| {
        lines.push(line);
        if lines.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    lines
}

#[test]
fn stored_pictures_are_classified_as_on_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let (file, model) = (folder.path().join("pictures.ppm"), folder.path().join("model.gci"));
    let board = table::find(table::DEFAULT).unwrap();
    let options = PackOptions { family: board.family, ..PackOptions::default() };
    let mut ppm = Vec::new();
    let mut pictures = Vec::new();
    for (seed, shape) in (0..).zip(SHAPES) {
        let pixels = Random::new(seed).pixels(shape.len());
        ppm.extend(format!("P6\n{} {}\n255\n", shape.width, shape.height).bytes());
        ppm.extend(&pixels);
        pictures.push(Picture { shape, pixels });
    }
    fs::write(&file, ppm).unwrap();
    let firmware = build(&file);

    let mut seen = Vec::new();
    for fit in Fit::ALL {
        let mut network = random::lenet5(1);
        network.info.preprocessing = Preprocessing { fit, background: [250, 0, 9] };
        let payload = Payload::pack(&network, &options).unwrap();
        let image = payload.image.image();
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).unwrap();
        let expected: Vec<String> = pictures
            .iter()
            .map(|picture| {
                let input = picture.fit(image.input_shape(), &network.info.preprocessing).unwrap();
                engine.load_pixels(&input).unwrap();
                let logits = engine.run();
                let largest = logits.iter().max().unwrap();
                let class = logits.iter().position(|logit| logit == largest).unwrap();
                format!("class {class}, logits {logits:?}")
            })
            .collect();
        fs::write(&model, payload.image.bytes()).unwrap();
        // After the last picture comes the first.
        let lines = logged(&firmware, &model, 1 + 2 * SHAPES.len());
        assert_eq!(lines.len(), 1 + 2 * SHAPES.len(), "{lines:?}");
        assert!(lines[0].contains(&format!("{}: arena", board.name)), "{lines:?}");
        for (number, line) in lines[1..].iter().enumerate() {
            let expected = format!("picture {number}: {}", expected[number % SHAPES.len()]);
            assert!(line.ends_with(&expected), "{fit}: {line:?}, not {expected:?}");
        }
        seen.extend(expected);
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "a picture's parts give logits of their own");

    fs::write(&model, [0xff; 256]).unwrap();
    let lines = logged(&firmware, &model, 10).join("\n");
    assert!(
        lines.contains("no model that runs here: Absent") && lines.contains("goldcrest flash"),
        "{lines}"
    );
}
