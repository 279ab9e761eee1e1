//! `goldcrest infer` and `goldcrest monitor` against the firmware in QEMU, over a pseudo terminal and
//! sockets.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use goldcrest_board::client::{Client, Patience};
use goldcrest_board::firmware::{self, Firmware, Recipe};
use goldcrest_board::keys::PublicKey;
use goldcrest_board::payload::Payload;
use goldcrest_board::table;
use goldcrest_data::picture::Picture;
use goldcrest_engine::picture::{Fit, Preprocessing};
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{Engine, ImageBuf};
use goldcrest_onnx::int8;
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::random::{self, Random};
use goldcrest_tests::{binary, goldcrest, goldcrest_fails, goldcrest_json, text};

const BOARD: &str = "mps2-an386";

/// QEMU with the firmware and a model.
struct Board {
    qemu: Child,
    /// Where the logs come out.
    output: BufReader<ChildStdout>,
    /// The pseudo terminal, where QEMU made one.
    terminal: Option<String>,
    folder: tempfile::TempDir,
    firmware: Firmware,
    model: PathBuf,
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn lenet5(seed: u64) -> Vec<u8> {
    let family = table::find(BOARD).unwrap().family;
    let options = PackOptions { family, golden: vec![Random::new(3).pixels(3072)], ..PackOptions::default() };
    Payload::pack(&random::lenet5(seed), &options).unwrap().image.bytes().to_vec()
}

impl Board {
    /// `serial` is QEMU's name of what the serial line is connected to; `{}` in it is the board's own folder.
    fn start(serial: &str) -> Self {
        Self::with(serial, &Recipe::default())
    }

    /// The same with another firmware.
    fn with(serial: &str, recipe: &Recipe) -> Self {
        let firmware = firmware::build_as(table::find(BOARD).unwrap(), recipe);
        let firmware = firmware.unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.gci");
        std::fs::write(&model, lenet5(1)).unwrap();
        let place = |text: &str| text.replace("{}", folder.path().to_str().unwrap());
        let mut qemu = Command::new("qemu-system-arm")
            .args(["-machine", BOARD, "-nodefaults", "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &place(serial), "-kernel"])
            .arg(&firmware.elf)
            .args([
                "-device",
                &format!("loader,file={},addr={},force-raw=on", text(&model), firmware.slot_start),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("QEMU is installed");
        let mut output = BufReader::new(qemu.stdout.take().unwrap());
        let terminal = (serial == "pty").then(|| {
            // "char device redirected to /dev/pts/3 (label serial0)"
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line.split_whitespace().find(|word| word.starts_with("/dev/")).expect(&line).to_string()
        });
        // QEMU forgets the line if bytes come before the firmware switches its UART on, which it does before
        // it logs for the first time.
        assert!(!output.fill_buf().unwrap().is_empty(), "the firmware logs nothing");
        Self { qemu, output, terminal, folder, firmware, model }
    }

    /// Pictures of other sizes than the model's input: a photo-like PNG, a gray one, and a small one.
    fn pictures(&self) -> Vec<PathBuf> {
        let picture = |name: &str, width: u32, height: u32, color: image::ExtendedColorType| {
            let path = self.folder.path().join(name);
            let channels = u32::from(color.channel_count());
            let pixels: Vec<u8> = (0..width * height * channels)
                .map(|index| {
                    ((index / channels % width * 3)
                        ^ (index / channels / width * 5)
                        ^ (index % channels * 80)) as u8
                })
                .collect();
            image::save_buffer(&path, &pixels, width, height, color).unwrap();
            path
        };
        vec![
            picture("wide.png", 97, 48, image::ExtendedColorType::Rgb8),
            picture("gray.png", 33, 101, image::ExtendedColorType::L8),
            picture("small.png", 7, 9, image::ExtendedColorType::Rgb8),
        ]
    }

    /// 200 pictures of noise, of odd sizes and colour forms.
    fn noise(&self) -> Vec<PathBuf> {
        use image::ExtendedColorType::{L8, L16, Rgb8, Rgb16, Rgba8};
        let mut random = Random::new(17);
        let forms = [(L8, 1), (L16, 2), (Rgb8, 3), (Rgb16, 6), (Rgba8, 4)];
        let picture = |number: usize| {
            let (width, height) = (1 + random.bits() as u32 % 90, 1 + random.bits() as u32 % 90);
            let (form, bytes) = forms[number % forms.len()];
            let pixels = random.pixels((width * height) as usize * bytes);
            let path = self.folder.path().join(format!("noise-{number}.png"));
            image::save_buffer(&path, &pixels, width, height, form).unwrap();
            path
        };
        (0..200).map(picture).collect()
    }
}

/// The logits of a device image for a picture, by the engine on the host.
fn expected(model: &Path, picture: &Path) -> Vec<i64> {
    let bytes = std::fs::read(model).unwrap();
    let image = ImageBuf::new_checked(&bytes).unwrap();
    let image = image.image();
    let rule = Preprocessing::default();
    let picture = Picture::open(picture, rule.background).unwrap();
    let input = picture.fit(Shape::new(32, 32, 3), &rule).unwrap();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    engine.load_pixels(&input).unwrap();
    engine.run().iter().map(|&logit| logit.into()).collect()
}

/// Classifies pictures over a port and holds every logit against the host's.
fn classify(board: &Board, port: &str, pictures: &[PathBuf]) {
    let arguments: Vec<&str> = pictures.iter().map(|path| text(path)).collect();
    let model = text(&board.model);
    let report = goldcrest_json(
        &[&["infer", "--port", port, "--model", model, "--check"], &arguments[..]].concat(),
        0,
    );
    assert_eq!((&report["board"], &report["mismatches"]), (&BOARD.into(), &0.into()), "{report}");
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), pictures.len());
    for (image, picture) in images.iter().zip(pictures) {
        let logits = expected(&board.model, picture);
        assert_eq!(image["logits"], serde_json::json!(logits), "{}", picture.display());
        let class = logits.iter().position(|logit| logit == logits.iter().max().unwrap()).unwrap();
        assert_eq!(image["class"], class);
        assert!(image["milliseconds"].as_f64().unwrap() > 0.0, "{image}");
    }
}

#[test]
fn pictures_go_to_a_board_over_a_pseudo_terminal_and_its_logs_come_back() {
    let mut board = Board::start("pty");
    let port = board.terminal.clone().unwrap();
    classify(&board, &port, &board.pictures());

    // Another model of the same shape is told apart by its checksum, and by its logits.
    let other = board.folder.path().join("other.gci");
    std::fs::write(&other, lenet5(2)).unwrap();
    let picture = &board.pictures()[0];
    let arguments = ["infer", "--port", &port, "--check", "--model", text(&other), text(picture)];
    let message = goldcrest_fails(&arguments, "--insist");
    assert!(message.contains("device image") && message.contains("other.gci"), "{message}");
    let report = goldcrest_json(&[&arguments[..], &["--insist"]].concat(), 1);
    assert!(report["mismatches"].as_u64().unwrap() > 0);

    // The log goes to whoever asks for it, from the start.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let elf = text(&board.firmware.elf);
    let monitor = Command::new(binary())
        .args([
            "monitor",
            "--port",
            &format!("tcp:{address}"),
            "--elf",
            elf,
            "--seconds",
            "60",
            "--lines",
            "3",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    board.qemu.kill().unwrap();
    let mut stream = listener.accept().unwrap().0;
    std::io::copy(&mut board.output, &mut stream).unwrap();
    drop(stream);
    let monitor = monitor.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&monitor.stdout);
    assert_eq!((monitor.status.code(), log.lines().count()), (Some(0), 3), "{log}");
    assert!(log.contains("10000 instructions take") && log.contains("mps2-an386: arena"), "{log}");
}

#[test]
fn a_new_model_goes_over_the_line_and_runs() {
    let board = Board::start("unix:{}/serial,server=on,wait=off");
    let port = format!("unix:{}", text(&board.folder.path().join("serial")));
    let picture = &board.pictures()[0];
    let new = board.folder.path().join("new.gci");
    std::fs::write(&new, lenet5(2)).unwrap();
    let check = |model: &Path| {
        ["infer", "--port", &port, "--check", "--insist", "--model", text(model), text(picture)]
            .map(String::from)
    };
    let run = |arguments: &[String], code| {
        goldcrest_json(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };
    run(&check(&board.model), 0);
    let update = ["flash", "--board", BOARD, "--model", text(&new), "--model-only", "--port", &port];
    let report = goldcrest_json(&update, 0);
    assert_eq!((&report["method"], &report["written"]), (&"link".into(), &true.into()), "{report}");
    run(&check(&new), 0);
    run(&check(&board.model), 1);

    // A device image without golden vectors cannot test itself, and the model stays.
    let family = table::find(BOARD).unwrap().family;
    let options = PackOptions { family, ..PackOptions::default() };
    let bare = board.folder.path().join("bare.gci");
    std::fs::write(&bare, Payload::pack(&random::lenet5(3), &options).unwrap().image.bytes()).unwrap();
    goldcrest_fails(
        &["flash", "--board", BOARD, "--model", text(&bare), "--model-only", "--port", &port],
        "golden",
    );
    let other = ["flash", "--board", "mps2-an385", "--model", text(&new), "--model-only", "--port", &port];
    goldcrest_fails(&other, "pass --board mps2-an386");
    run(&check(&new), 0);
}

#[test]
fn a_board_with_a_key_takes_later_models_that_are_signed_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (ours, theirs) = (path("ours.pem"), path("theirs.pem"));
    let made = [&ours, &theirs].map(|file| goldcrest_json(&["keys", "new", text(file)], 0));
    let shown = goldcrest_json(&["keys", "show", text(&ours)], 0);
    assert_eq!(shown, made[0]);
    assert_ne!(shown["fingerprint"], made[1]["fingerprint"]);
    goldcrest_fails(&["keys", "new", text(&ours)], "is there already");
    let fingerprint = shown["fingerprint"].as_str().unwrap();

    let update_key = PublicKey::from_hex(shown["public_key"].as_str().unwrap());
    let board = Board::with("unix:{}/serial,server=on,wait=off", &Recipe { update_key, ..Recipe::default() });
    let port = format!("unix:{}", text(&board.folder.path().join("serial")));
    let picture = &board.pictures()[0];
    let updates = || goldcrest_json(&["infer", "--port", &port, text(picture)], 0)["updates"].clone();
    let (policy, own) = ("signed", fingerprint);
    let expected =
        |version| serde_json::json!({ "policy": policy, "fingerprint": own, "model_version": version });
    assert_eq!(updates(), expected(0));

    // Packed by the command, for one board, with its golden vectors.
    let pack = |seed: u64, board: &str, more: &[&str]| {
        let (onnx, image) = (path("model.onnx"), path(&format!("{seed}.gci")));
        int8::write(&random::lenet5(seed)).write(&onnx).unwrap();
        let arguments = ["pack", text(&onnx), "--board", board, "--out", text(&image)];
        goldcrest_json(&[&arguments[..], more].concat(), 0);
        image
    };
    let sign =
        |seed: u64, version: &str| pack(seed, BOARD, &["--sign", text(&ours), "--model-version", version]);
    let flash = |image: &Path| {
        let image = text(image).to_owned();
        ["flash", "--board", BOARD, "--model", &image, "--model-only", "--port", &port].map(str::to_owned)
    };
    let done = |image: &Path| {
        goldcrest_json(&flash(image).iter().map(String::as_str).collect::<Vec<_>>(), 0)["written"] == true
    };
    let fails = |image: &Path, says: &str| {
        goldcrest_fails(&flash(image).iter().map(String::as_str).collect::<Vec<_>>(), says)
    };
    let plain = fails(&pack(2, BOARD, &[]), "goldcrest pack --sign");
    assert!(plain.contains(fingerprint), "{plain}");
    fails(&pack(2, BOARD, &["--sign", text(&theirs), "--model-version", "2"]), fingerprint);
    let second = sign(2, "2");
    assert!(done(&second));
    assert_eq!(updates(), expected(2));
    assert!(!done(&second), "a model that runs already is not written again");
    fails(&sign(3, "2"), "version 2");
    fails(&sign(3, "1"), "--replaces 2");
    fails(&pack(3, "nucleo-f446re", &["--sign", text(&ours), "--model-version", "3"]), "another board");
    assert_eq!(updates(), expected(2));
    // A step back that is signed as one; and the board runs what was packed.
    let back = pack(3, BOARD, &["--sign", text(&ours), "--model-version", "1", "--replaces", "2"]);
    assert!(done(&back));
    assert_eq!(updates(), expected(1));
    let check = ["infer", "--port", &port, "--check", "--model", text(&back), text(picture)];
    assert_eq!(goldcrest_json(&check, 0)["mismatches"], 0);
    // To look at a signature takes less stack than the boards with a second slot have: 12 KiB.
    let line = UnixStream::connect(board.folder.path().join("serial")).unwrap();
    let stack = Client::connect(line, Patience::default()).unwrap().info().unwrap().stack_bytes;
    println!("{stack} bytes of stack");
    assert!((1..11 * 1024).contains(&stack), "{stack} bytes of stack");
}

#[test]
fn sockets_are_ports_too() {
    let board = Board::start("unix:{}/serial,server=on,wait=off");
    let port = format!("unix:{}", text(&board.folder.path().join("serial")));
    classify(&board, &port, &board.noise());
    let pictures = board.pictures();
    let paths: Vec<&str> = pictures.iter().map(|path| text(path)).collect();
    let resized = [&["infer", "--port", &port, "--board-resizes"], &paths[..]].concat();
    let report = goldcrest_json(&resized, 0);
    assert_eq!(report["inputs_differing"], serde_json::json!([]), "{report}");
    for (image, picture) in report["images"].as_array().unwrap().iter().zip(&pictures) {
        assert_eq!(image["logits"], serde_json::json!(expected(&board.model, picture)), "{report}");
    }
    // A model file of the same network that sees the middle makes other inputs than the board.
    let middle = board.folder.path().join("middle.gci");
    let mut network = random::lenet5(1);
    network.info.preprocessing.fit = Fit::Middle;
    let packed = Payload::pack(&network, &PackOptions::default()).unwrap();
    std::fs::write(&middle, packed.image.bytes()).unwrap();
    let report = goldcrest_json(&[&resized[..], &["--model", text(&middle), "--insist"]].concat(), 1);
    assert_eq!(report["inputs_differing"], serde_json::json!(paths), "{report}");
    let against = [&resized[..], &["--fit", "middle"]].concat();
    let message = goldcrest_fails(&against, "fit whole");
    assert!(message.contains(&port) && message.contains("--fit middle"), "{message}");
    drop(board);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let board = Board::start(&format!("tcp:{free},server=on,wait=off"));
    let port = format!("tcp:{free}");
    classify(&board, &port, &board.pictures());
    let table = goldcrest(&["infer", "--port", &port, text(&board.pictures()[2])]);
    let table = String::from_utf8_lossy(&table.stdout);
    assert!(table.contains("small.png") && table.contains(" ms"), "{table}");
}

#[test]
fn a_port_without_a_board_and_pictures_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("dot.png");
    image::save_buffer(&picture, &[1, 2, 3], 1, 1, image::ExtendedColorType::Rgb8).unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "no picture").unwrap();

    let message = goldcrest_fails(&["infer", "--port", "/dev/ttyGOLD7", text(&picture)], "/dev/ttyGOLD7");
    assert_eq!(message.lines().count(), 1, "{message}");
    goldcrest_fails(&["infer", "--port", "/dev/ttyGOLD7", text(&notes)], "notes.txt");
    let output = goldcrest(&["infer", "--port", "unix:/nowhere", text(&picture)]);
    assert_eq!(output.status.code(), Some(2));
    goldcrest_fails(&["monitor", "--port", "/dev/ttyGOLD7", "--elf", text(&notes)], "notes.txt");

    // Something listens, but it is not a board.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    let hangs_up = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 64]);
    });
    let output = goldcrest(&["infer", "--port", &port, text(&picture)]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&port) && message.contains("closed"), "{message}");
    hangs_up.join().unwrap();
}

#[test]
fn devices_are_listed_or_their_absence_is() {
    let report = goldcrest_json(&["devices"], 0);
    assert!(report["ports"].is_array() && report["probes"].is_array(), "{report}");
    // Without probe-rs on the search path the way to get it is named.
    let output = Command::new(binary()).args(["devices", "--json"]).env("PATH", "/nowhere").output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["probes_hint"].as_str().unwrap().contains("cargo install probe-rs-tools"), "{report}");
}
