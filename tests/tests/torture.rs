//! The emulated firmware behind a line that drops, changes, doubles, invents, splits and delays bytes: never
//! a wrong answer, no hang, and the link is alive at the end. And a new model over such a line.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use goldcrest_board::client::Patience;
use goldcrest_board::emulator::{Emulator, Options};
use goldcrest_board::{Board, firmware, table};
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{Engine, ImageBuf};
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::{self, Builder, Random};

/// Faults among 100,000 bytes.
type Rate = i64;

/// One direction of a noisy line, until an end hangs up.
fn carry(mut from: UnixStream, mut to: UnixStream, rate: Rate, seed: u64) {
    let mut random = Random::new(seed);
    let mut buffer = [0; 256];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut out = Vec::with_capacity(count + 8);
        for &byte in &buffer[..count] {
            if random.within(0, 99_999) >= rate {
                out.push(byte);
                continue;
            }
            match random.within(0, 5) {
                0 => {}
                1 => out.push(byte ^ (1 << random.within(0, 7))),
                2 => out.extend([byte, byte]),
                3 => out.extend([random.bits() as u8, byte]),
                4 => out.push(0),
                _ => {
                    // What came so far goes alone, the rest later.
                    if to.write_all(&out).is_err() {
                        return;
                    }
                    out = vec![byte];
                    thread::sleep(Duration::from_micros(random.within(0, 3000) as u64));
                }
            }
        }
        if to.write_all(&out).is_err() {
            return;
        }
    }
    // The other end learns that this one hung up.
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// A line with a rate of faults; lines of other numbers have them elsewhere.
fn noisy<const RATE: Rate, const LINE: u64>(board: UnixStream) -> io::Result<UnixStream> {
    let (host, middle) = UnixStream::pair()?;
    let (from_board, from_host) = (board.try_clone()?, middle.try_clone()?);
    thread::spawn(move || carry(from_board, middle, RATE, RATE as u64 ^ LINE << 32));
    thread::spawn(move || carry(from_host, board, RATE, !RATE as u64 ^ LINE << 32));
    Ok(host)
}

const BOARD: &str = "mps2-an386";

fn start(board: &'static Board, image: &[u8], through: fn(UnixStream) -> io::Result<UnixStream>) -> Emulator {
    let patience = Patience { attempts: 60, ..Patience::default() };
    let options = Options { patience, through: Some(through), ..Options::default() };
    let firmware = firmware::build(board).unwrap_or_else(|error| panic!("{error}"));
    Emulator::boot(board, firmware, image, options).unwrap_or_else(|error| panic!("{error}"))
}

/// A network that is quick to feed: 768 bytes of picture.
fn small(seed: u64) -> ImageBuf {
    let mut net = Builder::new(seed, Shape::new(16, 16, 3), false);
    let input = net.input();
    let output = net.fully_connected(input, 10);
    let options = PackOptions { golden: vec![Random::new(seed).pixels(768)], ..PackOptions::default() };
    pack(&net.finish(output), &options).unwrap().image
}

/// Asks for everything the link knows, over and over; how many requests got their answer.
fn torture(rate: Rate, through: fn(UnixStream) -> io::Result<UnixStream>, requests: u64) -> u64 {
    let model = small(1);
    let image = model.image();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let start_time = Instant::now();
    let mut emulator = start(table::find(BOARD).unwrap(), model.bytes(), through);
    let client = emulator.client();
    let mut answered = 0;
    for seed in 0..requests {
        let pixels = Random::new(seed).pixels(768);
        engine.load_pixels(&pixels).unwrap();
        let mut layers = Vec::new();
        let expected = engine.run_traced(&mut |layer, output| layers.push((layer, output.to_vec()))).to_vec();
        answered += u64::from(match seed % 10 {
            0 => client.info().is_ok_and(|info| {
                assert_eq!(info.model.unwrap().crc, image.crc(), "a wrong model");
                true
            }),
            1 => client.self_test().is_ok_and(|outcome| {
                assert_eq!(outcome, (1, 0), "a wrong self-test");
                true
            }),
            2 => client.trace(&pixels).is_ok_and(|(answer, traced)| {
                assert_eq!((&answer.logits, &traced), (&expected, &layers), "a wrong trace");
                true
            }),
            3 => client.profile(&pixels).is_ok_and(|(answer, ticks)| {
                assert_eq!((&answer.logits, ticks.len()), (&expected, layers.len()), "a wrong profile");
                true
            }),
            _ => client.infer(&pixels).is_ok_and(|answer| {
                assert_eq!(answer.logits, expected, "a wrong answer");
                true
            }),
        });
    }
    eprintln!(
        "{:.1} % of bytes hit: {answered} of {requests} requests answered in {:.1} s",
        rate as f64 / 1000.0,
        start_time.elapsed().as_secs_f64()
    );
    let pixels = Random::new(99).pixels(768);
    engine.load_pixels(&pixels).unwrap();
    assert_eq!(client.infer(&pixels).expect("the link is alive").logits, engine.run());
    answered
}

/// Nineteen in twenty are answered at least; on a machine that does nothing else, all but one in two hundred.
fn answers_nearly_all<const RATE: Rate, const LINE: u64>(requests: u64) {
    let answered = torture(RATE, noisy::<RATE, LINE>, requests);
    assert!(answered >= requests - requests / 20, "{answered} of {requests} requests were answered");
}

// 2,000 requests in all; one test for each rate, since they run side by side.

#[test]
fn a_byte_in_1000_is_hit() {
    answers_nearly_all::<100, 0>(800);
}

#[test]
fn a_byte_in_200_is_hit() {
    answers_nearly_all::<500, 0>(500);
}

#[test]
fn a_byte_in_100_is_hit() {
    answers_nearly_all::<1000, 0>(400);
}

#[test]
fn a_byte_in_50_is_hit() {
    answers_nearly_all::<2000, 0>(200);
}

#[test]
fn a_byte_in_20_is_hit() {
    // Mostly time-outs: two lines at once.
    thread::scope(|scope| {
        scope.spawn(|| answers_nearly_all::<5000, 1>(50));
        answers_nearly_all::<5000, 0>(50);
    });
}

#[test]
fn a_new_model_arrives_over_a_noisy_line() {
    let (old, new) = (small(1), pack_lenet5());
    let mut emulator = start(table::find(BOARD).unwrap(), old.bytes(), noisy::<500, 0>);
    let client = emulator.client();
    let mut wrong = new.bytes().to_vec();
    wrong[5000] ^= 1;
    let message = client.update(&wrong, None).unwrap_err().to_string();
    assert!(message.contains("the old one still does"), "{message}");
    assert_eq!(client.infer(&[7; 768]).unwrap().logits.len(), 10);
    let image = new.image();
    assert_eq!(client.update(new.bytes(), None).unwrap().crc, image.crc());
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let pixels = Random::new(5).pixels(3072);
    engine.load_pixels(&pixels).unwrap();
    assert_eq!(client.infer(&pixels).unwrap().logits, engine.run());
    assert_eq!(client.self_test().unwrap(), (1, 0));
}

fn pack_lenet5() -> ImageBuf {
    let options = PackOptions { golden: vec![Random::new(2).pixels(3072)], ..PackOptions::default() };
    pack(&random::lenet5(4), &options).unwrap().image
}
