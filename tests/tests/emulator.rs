//! The firmware in QEMU, talked to over its serial line, against the engine on the host.

use goldcrest_board::emulator::{Emulator, EmulatorError, Options};
use goldcrest_board::fit::{Fit, Size};
use goldcrest_board::payload::Payload;
use goldcrest_board::qemu::{self, QemuError};
use goldcrest_board::{BOARDS, Board, firmware, table};
use goldcrest_engine::Engine;
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::random::{self, Random};

fn lenet5(board: &Board) -> Payload {
    let mut bits = Random::new(3);
    let golden = vec![bits.pixels(3072), bits.pixels(3072)];
    let options = PackOptions { family: board.family, golden, ..PackOptions::default() };
    Payload::pack(&random::lenet5(1), &options).unwrap()
}

/// The emulated boards that this machine's QEMU knows; the others are named with the reason.
fn emulated() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| board.machine.is_some()).filter(|board| match qemu::check(board) {
        Err(error @ QemuError::TooOld { .. }) => {
            eprintln!("{:12} skipped: {error}", board.name);
            false
        }
        found => found.map(|()| true).unwrap_or_else(|error| panic!("{error}")),
    })
}

fn start(board: &'static Board, image: &[u8]) -> Emulator {
    Emulator::start(board, image, Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Compares every layer of some images on a board and the logits of more, and returns the instructions of
/// one inference.
fn compare(board: &'static Board, payload: &Payload, traced: u64, images: u64) -> u64 {
    let mut emulator = start(board, payload.image.bytes());
    let image = payload.image.image();
    let model = emulator.info().model.unwrap();
    assert_eq!(emulator.info().board, board.name);
    assert_eq!((model.crc, model.arena_bytes as usize), (image.crc(), image.arena_bytes()));
    // The firmware counts up to its initial values; where it has none, their place is still aligned.
    let (told, programmed) = (u64::from(emulator.info().firmware_bytes), emulator.firmware().flash_bytes);
    assert!((programmed..programmed + 32).contains(&told), "{}: {told}, not {programmed}", board.name);
    // What logs to a real board's probe takes a little more.
    let (told, arena) = (board.arena_bytes, emulator.info().arena_capacity);
    assert!((told..told + 4096).contains(&arena), "{}: an arena of {arena}, not {told} bytes", board.name);
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let mut counts = Vec::new();
    for seed in 0..images {
        let pixels = Random::new(seed).pixels(image.input_shape().len());
        engine.load_pixels(&pixels).unwrap();
        let mut layers = vec![Vec::new(); payload.layers.len()];
        let logits = engine.run_traced(&mut |layer, output| layers[layer] = output.to_vec()).to_vec();
        let answer = emulator.infer(&pixels).unwrap();
        assert_eq!(answer.logits, logits, "{}", board.name);
        if seed >= traced {
            continue;
        }
        assert_eq!(emulator.trace(&pixels).unwrap(), layers, "{}", board.name);
        // Equal work is an equal number of instructions.
        assert_eq!(emulator.infer(&pixels).unwrap(), answer, "{}", board.name);
        counts.push(answer.instructions);
    }
    check_stopwatch(&emulator);
    let profile = emulator.profile(&Random::new(0).pixels(3072)).unwrap();
    let (sum, whole) = (profile.iter().sum::<u64>(), counts[0]);
    // Looking at the time between two layers takes instructions too.
    assert!(
        sum.abs_diff(whole) < 256 * profile.len() as u64,
        "{}: layers {sum}, inference {whole}",
        board.name
    );
    assert_eq!(emulator.self_test().unwrap(), (2, 0), "{}", board.name);
    let info = emulator.fresh_info().unwrap();
    assert!(info.stack_bytes < info.stack_capacity, "{}: {} bytes of stack", board.name, info.stack_bytes);
    eprintln!(
        "{:12} {:11} {whole:9} instructions, stack {:4}, firmware {}",
        board.name, board.core, info.stack_bytes, info.firmware_bytes
    );
    whole
}

/// The board logs how long a loop of 10,000 instructions took: exactly that many.
fn check_stopwatch(emulator: &Emulator) {
    let log = emulator.log();
    let line = log.iter().find_map(|line| line.split("10000 instructions take ").nth(1)).expect("logged");
    let ticks: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(emulator.instructions(ticks), 10_000, "{line}");
}

#[test]
fn every_layer_on_every_board_is_the_hosts() {
    for board in emulated() {
        compare(board, &lenet5(board), 2, 50);
    }
}

#[test]
fn an_image_for_other_cores_is_refused() {
    let payload = lenet5(table::find("mps2-an386").unwrap());
    let board = table::find("mps2-an385").unwrap();
    let error = Emulator::start(board, payload.image.bytes(), Options::default()).err().unwrap();
    assert!(error.to_string().contains("is for other cores"), "{error}");
}

#[test]
fn every_layer_of_many_images_is_the_hosts() {
    let board = table::find("mps2-an386").unwrap();
    compare(board, &lenet5(board), 20, 20);
}

#[test]
fn a_residual_network_runs_where_it_fits() {
    let mut ran = 0;
    for board in emulated() {
        let golden = vec![Random::new(3).pixels(3072), Random::new(4).pixels(3072)];
        let options = PackOptions { family: board.family, golden, ..PackOptions::default() };
        let payload = Payload::pack(&random::resnet8(1), &options).unwrap();
        match Size::of(&payload).fit(board) {
            Fit::Fits => ran += usize::from(compare(board, &payload, 1, 2) > 0),
            fit => eprintln!("{:12} skipped: {fit}", board.name),
        }
    }
    assert!(ran >= 5, "on {ran} boards");
}

#[test]
fn a_damaged_model_is_refused_before_any_inference() {
    let board = table::find("mps2-an386").unwrap();
    let mut image = lenet5(board).image.bytes().to_vec();
    image[5000] ^= 1;
    let refused = Emulator::start(board, &image, Options::default()).map(|_| ());
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("damaged"), "{message}");
}

#[test]
fn an_image_larger_than_its_slot_is_refused_by_the_host() {
    let board = table::find("lm3s6965evb").unwrap();
    let firmware = firmware::build(board).unwrap();
    let refused = Emulator::boot(board, firmware, &vec![0; 200_000], Options::default()).map(|_| ());
    assert!(matches!(refused, Err(EmulatorError::ImageTooLarge { slot: 163_840, .. })), "{refused:?}");
}

#[test]
fn pixels_of_another_size_are_named() {
    let board = table::find("mps2-an386").unwrap();
    let mut emulator = start(board, lenet5(board).image.bytes());
    for size in [3071, 3073, 10_000] {
        let message = emulator.infer(&vec![0; size]).unwrap_err().to_string();
        assert!(message.contains(&size.to_string()) && message.contains("3072"), "{message}");
    }
    // The board is well after that.
    assert_eq!(emulator.infer(&[9; 3072]).unwrap().logits.len(), 10);
}
