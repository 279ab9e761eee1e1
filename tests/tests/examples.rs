//! The engine in other people's firmware: the programs of `examples/firmware`, built as they stand and run
//! in QEMU. What they say of 20 pictures is what the engine says on the host, which is what ONNX Runtime
//! says.

use std::path::{Path, PathBuf};
use std::process::Command;

use goldcrest_board::emulator::{Emulator, Options};
use goldcrest_board::{firmware, qemu, table};
use goldcrest_data::Split;
use goldcrest_engine::kernels::Family;
use goldcrest_engine::{Engine, ImageBuf};
use goldcrest_onnx::{Model, int8};
use goldcrest_prove::verify::{Int8File, Scope};
use goldcrest_quantize::pack::{Optimize, PackOptions, pack};
use goldcrest_quantize::random::Random;

/// Pictures that every program classifies.
const PICTURES: u64 = 20;
/// The board that the programs are made for.
const BOARD: &str = "mps2-an386";
/// Bytes of code that a program may have, without its device image and its vector table: LeNet-5 with the
/// fastest kernels; with an image for little flash; the same with the engine's feature `small`.
const CODE: [u64; 3] = [18_500, 14_500, 11_500];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/firmware")
}

fn lenet5() -> Vec<u8> {
    std::fs::read(folder().join("lenet5.gci")).unwrap()
}

/// Builds a program as a reader would: its ELF file.
fn build(program: &str, features: &str) -> PathBuf {
    // Another folder for other features: both stay as they are for the next time.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/examples").join(features);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder()).args(["build", "--release", "--locked", "--bin", program]);
    command.args(["--features", features]).env("CARGO_TARGET_DIR", &target).env("CARGO_TERM_COLOR", "never");
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    target.join("thumbv7em-none-eabihf/release").join(program)
}

/// Bytes of a program without its device image and its vector table.
fn code(elf: &Path, image: &[u8]) -> u64 {
    const VECTORS: u64 = 1024;
    firmware::program_bytes(elf).unwrap() - image.len() as u64 - VECTORS
}

/// What a program says in the emulator, at `2^shift` ns per instruction.
fn run(elf: &Path, shift: u32) -> Vec<String> {
    let board = table::find(BOARD).unwrap();
    qemu::check(board).unwrap_or_else(|error| panic!("{error}"));
    let machine = board.machine.as_ref().unwrap();
    let output = Command::new(machine.program)
        .args(machine.arguments)
        .args(["-nodefaults", "-nographic", "-semihosting-config", "enable=on,target=native"])
        .args(["-icount", &format!("shift={shift}")])
        .arg("-kernel")
        .arg(elf)
        .output()
        .unwrap();
    // A program writes to the emulator's own output or to its error stream, as QEMU's version has it.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{}: {}\n{said}", elf.display(), output.status);
    said.lines().map(str::to_string).collect()
}

/// What a program must say of the pictures with a model.
fn expected(name: &str, image: &[u8]) -> Vec<String> {
    let image = ImageBuf::new_checked(image).unwrap();
    let image = image.image();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let mut answer = |number| {
        engine.load_pixels(&Random::new(number).pixels(image.input_shape().len())).unwrap();
        let logits: Vec<_> = engine.run().iter().map(i8::to_string).collect();
        format!("{name} {} logits {}", engine.best().unwrap().1, logits.join(" "))
    };
    (0..PICTURES).map(&mut answer).collect()
}

/// The numbers behind a name.
fn numbers(said: &[String], name: &str) -> Vec<u64> {
    said.iter().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).collect()
}

fn answers(said: &[String]) -> Vec<String> {
    said.iter().filter(|line| line.contains(" logits ")).cloned().collect()
}

#[test]
fn the_examples_image_is_the_packers_and_says_what_onnx_runtime_says() {
    let path = folder().join("lenet5.int8.onnx");
    let model = int8::read(&Model::read(&path).unwrap()).unwrap();
    let shape = model.graph.tensor(model.graph.input).shape;
    let golden = [1, 2].map(|seed| Random::new(seed).pixels(shape.len())).to_vec();
    let packing = PackOptions { family: Family::Dsp, golden, ..PackOptions::default() };
    let small = PackOptions { golden: Vec::new(), optimize: Optimize::Flash, ..packing.clone() };
    for (file, packing, options) in
        [("lenet5.gci", &packing, ""), ("lenet5-small.gci", &small, "--optimize flash --golden 0")]
    {
        assert!(
            pack(&model, packing).unwrap().image.bytes() == std::fs::read(folder().join(file)).unwrap(),
            "{file} is another image; in examples/firmware: \
             goldcrest pack lenet5.int8.onnx --board {BOARD} {options} --out {file}"
        );
    }
    let pixels = (0..PICTURES).flat_map(|number| Random::new(number).pixels(shape.len())).collect();
    let pictures = Split::new(shape, pixels, vec![0; PICTURES as usize]);
    let scope = Scope { onnxruntime: PICTURES as usize, board: None, packing, image: Some(lenet5()) };
    let comparison =
        Int8File::decode(std::fs::read(path).unwrap()).unwrap().verify(&pictures, &scope, &|_| {}).unwrap();
    assert!(comparison.values() > 0);
    assert_eq!(comparison.mismatches(), 0);
}

#[test]
fn bare_metal_is_as_fast_as_the_emulator_says() {
    let elf = build("bare_metal", "");
    let said = run(&elf, qemu::ICOUNT_SHIFT);
    assert_eq!(answers(&said), expected("lenet5", &lenet5()));
    let code = code(&elf, &lenet5());
    let [opening, making, running] =
        ["opening", "making", "running"].map(|name| numbers(&said, &format!("{name} instructions")));
    let board = table::find(BOARD).unwrap();
    let mut emulator = Emulator::start(board, &lenet5(), Options::default()).unwrap();
    let emulated = emulator.infer(&Random::new(0).pixels(3072)).unwrap().instructions;
    eprintln!(
        "{code} bytes of code; {opening:?} instructions to open, {making:?} for an engine, {} to run; the \
         firmware takes {emulated}",
        running[0]
    );
    // What was opened once is not checked again.
    assert!(making[0] < 100 && opening[0] > 1000 * making[0], "{making:?} of {opening:?}");
    assert!(code <= CODE[0], "{code} bytes of code");
    assert_eq!(running.len(), PICTURES as usize);
    assert!(running[0].abs_diff(emulated) * 200 <= emulated, "{} instructions, not {emulated}", running[0]);
}

#[test]
fn an_image_for_little_flash_takes_little_code() {
    let image = std::fs::read(folder().join("lenet5-small.gci")).unwrap();
    let expected = expected("lenet5", &image);
    assert_eq!(expected, self::expected("lenet5", &lenet5()));
    for (features, limit) in ["", "small"].into_iter().zip(&CODE[1..]) {
        let elf = build("smallest", features);
        assert_eq!(answers(&run(&elf, qemu::ICOUNT_SHIFT)), expected);
        let code = code(&elf, &image);
        eprintln!("features {features:?}: {code} bytes of code");
        assert!(code <= *limit, "{code} bytes of code");
    }
}

#[test]
fn two_models_take_turns_in_one_arena() {
    let signs = std::fs::read(folder().join("../../shared/engine/signs.gci")).unwrap();
    let (first, second) = (expected("lenet5", &lenet5()), expected("signs", &signs));
    let expected: Vec<_> = first.into_iter().zip(second).flat_map(|(a, b)| [a, b]).collect();
    assert_eq!(answers(&run(&build("two_models", ""), qemu::ICOUNT_SHIFT)), expected);
}

#[test]
fn other_tasks_run_between_layers() {
    // 32 ns per instruction: a core of 31 MHz.
    let said = run(&build("embassy", ""), 5);
    assert_eq!(answers(&said), expected("lenet5", &lenet5()));
    let [late, runs, longest] = ["late", "runs", "longest"].map(|name| numbers(&said, name)[0]);
    eprintln!("every millisecond, {runs} times: at most {late} us late; longest layer {longest} us");
    // And what the executor takes to change tasks.
    assert!(late <= longest + 100, "{late} us late; the longest layer takes {longest}");
    // 20 inferences of 28 ms, none of its milliseconds lost.
    assert!(runs >= 20 * 28, "{runs} runs");
}
