//! Host and firmware over a line that loses, changes, doubles and invents bytes, and a board that
//! is reset in the middle: never a wrong answer, and the link is alive at the end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use goldcrest_board::client::{Client, Patience, Transport};
use goldcrest_engine::picture::{Preprocessing, Resize, Scratch};
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{AlignedBytes, Engine, Image, kernels};
use goldcrest_firmware::app::update::NoSlot;
use goldcrest_firmware::app::{App, Site, Stack, Stopped};
use goldcrest_firmware::clock::Stopwatch;
use goldcrest_firmware::led::NoLed;
use goldcrest_link::CRC;
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::{self, Random};

/// One direction of the line.
type Wire = Rc<RefCell<VecDeque<u8>>>;

/// The board's end.
struct Port {
    input: Wire,
    output: Wire,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut input = self.input.borrow_mut();
        let count = buffer.len().min(input.len());
        for (place, byte) in buffer.iter_mut().zip(input.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.output.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct NoClock;

impl Stopwatch for NoClock {
    fn frequency(&self) -> u32 {
        1
    }
    fn start(&mut self) {}
    fn ticks(&self) -> u64 {
        0
    }
}

struct NoGauge;

impl Stack for NoGauge {
    fn capacity(&self) -> u32 {
        0
    }
    fn used(&self) -> u32 {
        0
    }
    fn overflowed(&self) -> bool {
        false
    }
}

/// A board behind a noisy line. Time stands still: what is not there now has timed out.
struct Bench {
    slot: &'static [u8],
    app: App<'static, Port, NoLed, NoClock, NoGauge, NoSlot>,
    to_board: Wire,
    from_board: Wire,
    received: VecDeque<u8>,
    /// Bytes that the host sent.
    sent: usize,
    noise: Noise,
}

/// Faults per 10,000 bytes, and resets per 10,000 transmissions.
struct Noise {
    random: Random,
    rate: i64,
    resets: i64,
}

impl Noise {
    fn strikes(&mut self, rate: i64) -> bool {
        self.random.within(0, 9999) < rate
    }

    fn damage(&mut self, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if !self.strikes(self.rate) {
                out.push(byte);
                continue;
            }
            match self.random.within(0, 4) {
                0 => {}
                1 => out.push(byte ^ (1 << self.random.within(0, 7))),
                2 => out.extend([byte, byte]),
                3 => out.extend([self.random.bits() as u8, byte]),
                _ => out.push(0),
            }
        }
        out
    }
}

fn board(
    slot: &'static [u8],
    to_board: &Wire,
    from_board: &Wire,
) -> App<'static, Port, NoLed, NoClock, NoGauge, NoSlot> {
    let site = Site {
        board: "bench",
        slot,
        spare: None,
        key: None,
        ahead_bytes: 4096,
        arena: Vec::leak(vec![0x5555_5555; 2000]),
        frame: Vec::leak(vec![0; 4096]),
        stack: NoGauge,
        firmware_bytes: 0,
        last_words: "",
    };
    App::new(site, Port { input: to_board.clone(), output: from_board.clone() }, NoLed, NoClock)
}

impl Bench {
    fn new(slot: &'static [u8], noise: Noise) -> Self {
        let (to_board, from_board) = (Wire::default(), Wire::default());
        let app = board(slot, &to_board, &from_board);
        Self { slot, app, to_board, from_board, received: VecDeque::new(), sent: 0, noise }
    }
}

impl Transport for &mut Bench {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.noise.strikes(self.noise.resets) {
            self.app = board(self.slot, &self.to_board, &self.from_board);
        }
        self.sent += bytes.len();
        let damaged = self.noise.damage(bytes.iter().copied());
        self.to_board.borrow_mut().extend(damaged);
        let Ok(stopped) = self.app.serve();
        assert_eq!(stopped, Stopped::LineEnded);
        let answer: Vec<u8> = self.from_board.borrow_mut().drain(..).collect();
        let damaged = self.noise.damage(answer.into_iter());
        self.received.extend(damaged);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<usize> {
        // As from a real line: a few bytes at a time.
        let count = buffer.len().min(self.received.len()).min(37);
        if count == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for (place, byte) in buffer.iter_mut().zip(self.received.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

/// What a thousand requests came to.
#[derive(Debug, Default)]
struct Tally {
    answers: usize,
    errors: usize,
    /// Of pictures of other sizes.
    pictures: usize,
}

/// A slot with a packed LeNet-5.
fn packed(options: &PackOptions) -> &'static [u8] {
    AlignedBytes::from(pack(&random::lenet5(2), options).unwrap().image.bytes()).leak()
}

fn torture(rate: i64, resets: i64, requests: u64, patience: Patience) -> Tally {
    let golden = vec![Random::new(1).pixels(3072)];
    let options = PackOptions { golden, ..PackOptions::default() };
    let slot = packed(&options);
    let image = Image::new_checked(slot, kernels::ALL).unwrap();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let noise = Noise { random: Random::new(rate as u64), rate, resets };
    let mut bench = Bench::new(slot, noise);
    let mut tally = Tally::default();
    {
        let mut client = Client::connect(&mut bench, patience)
            .unwrap_or_else(|error| panic!("no hello came through: {error}"));
        for seed in 0..requests {
            let pixels = Random::new(seed).pixels(3072);
            engine.load_pixels(&pixels).unwrap();
            let mut layers = Vec::new();
            let expected =
                engine.run_traced(&mut |layer, output| layers.push((layer, output.to_vec()))).to_vec();
            match client.infer(&pixels) {
                Ok(answer) => {
                    assert_eq!(answer.logits, expected, "a wrong answer");
                    tally.answers += 1;
                }
                Err(_) => tally.errors += 1,
            }
            if seed % 50 == 0 {
                match client.trace(&pixels) {
                    Ok((answer, traced)) => {
                        assert_eq!((answer.logits, traced), (expected, layers), "a wrong trace");
                    }
                    Err(error) => assert!(rate > 0, "{error}"),
                }
                // A picture of another size, of which the board makes the input.
                let shape = Shape::new(20 + seed as usize % 30, 70, 1 + 2 * (seed as usize / 50 % 2));
                let picture = Random::new(seed).pixels(shape.len());
                let to = image.input_shape();
                let (mut sums, mut row) = (vec![0; Resize::sums(to)], vec![0; Preprocessing::row(shape, to)]);
                let (mut input, scratch) = (vec![0; to.len()], Scratch { sums: &mut sums, row: &mut row });
                image.preprocessing().prepare(shape, &picture, to, scratch, &mut input).unwrap();
                engine.load_pixels(&input).unwrap();
                match client.infer_picture(shape, &picture) {
                    Ok((answer, crc)) => {
                        assert_eq!(crc, CRC.checksum(&input), "another input");
                        assert_eq!(answer.logits, engine.run(), "a wrong answer");
                        tally.pictures += 1;
                    }
                    Err(error) => assert!(rate > 0, "{error}"),
                }
                if let Ok(outcome) = client.self_test() {
                    assert_eq!(outcome, (1, 0));
                }
            }
        }
    }
    bench.noise.rate = 0;
    bench.noise.resets = 0;
    let mut client = Client::connect(&mut bench, patience).expect("the link is alive at the end");
    let pixels = Random::new(77).pixels(3072);
    engine.load_pixels(&pixels).unwrap();
    assert_eq!(client.infer(&pixels).expect("and answers").logits, engine.run());
    tally
}

fn patience(attempts: u32) -> Patience {
    let second = Duration::from_secs(1);
    Patience { boot: 60 * second, answer: second, inference: second, attempts, ..Patience::default() }
}

#[test]
fn a_clean_line_needs_one_attempt() {
    let tally = torture(0, 0, 60, patience(1));
    assert_eq!((tally.answers, tally.errors, tally.pictures), (60, 0, 2));
}

#[test]
fn a_stream_of_images_costs_two_hundredths_of_their_bytes() {
    let slot = packed(&PackOptions::default());
    let image = Image::new_checked(slot, kernels::ALL).unwrap();
    let mut arena = vec![0; image.arena_words()];
    let mut engine = Engine::new(&image, &mut arena).unwrap();
    let images: Vec<Vec<u8>> = (0..20).map(|seed| Random::new(seed).pixels(3072)).collect();
    let noise = |rate| Noise { random: Random::new(5), rate, resets: 0 };
    for rate in [0, 5] {
        let mut bench = Bench::new(slot, noise(rate));
        let mut answers = Vec::new();
        let mut client = Client::connect(&mut bench, patience(60)).unwrap();
        client.infer_stream(images.iter().map(Vec::as_slice), |answer| answers.push(answer.logits)).unwrap();
        for (pixels, logits) in images.iter().zip(&answers) {
            engine.load_pixels(pixels).unwrap();
            assert_eq!(logits, engine.run());
        }
        assert_eq!(answers.len(), images.len());
        if rate == 0 {
            assert!(bench.sent * 100 < images.len() * 3072 * 102, "{} bytes", bench.sent);
        }
    }
}

#[test]
fn noise_and_resets_give_right_answers_or_errors() {
    for (rate, requests, least) in [(10, 700, 700), (50, 500, 500), (100, 400, 400), (500, 400, 400)] {
        let tally = torture(rate, 20, requests, patience(60));
        eprintln!("{:.1} % of bytes damaged: {tally:?}", rate as f64 / 100.0);
        assert!(tally.answers >= least, "{rate} in 10,000: {tally:?}");
        assert_eq!((tally.answers + tally.errors) as u64, requests);
        assert!(tally.pictures as u64 * 50 >= requests, "{tally:?}");
    }
}
