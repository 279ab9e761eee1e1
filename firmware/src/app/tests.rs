//! The application on the host, driven through a line in memory.

use core::convert::Infallible;
use std::collections::VecDeque;
use std::vec::Vec;

use embedded_io::ErrorType;
use goldcrest_engine::picture::{Fit, Preprocessing, Resize, Scratch};
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{AlignedBytes, Engine, Image, ImageBuf, kernels};
use goldcrest_link::message::{ModelFault, Report};
use goldcrest_link::{CRC, VERSION, Values};
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::{self, Random};
use proptest::prelude::*;

use super::*;

/// Received bytes come from `input`; the line ends when there are no more.
#[derive(Default)]
pub struct Pipe {
    pub input: VecDeque<u8>,
    pub output: Vec<u8>,
}

impl ErrorType for Pipe {
    type Error = Infallible;
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let count = buffer.len().min(self.input.len());
        for (place, byte) in buffer.iter_mut().zip(self.input.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Counts its own readings as ticks.
#[derive(Default)]
struct Counter(core::cell::Cell<u64>);

impl Stopwatch for Counter {
    fn frequency(&self) -> u32 {
        1_000_000
    }
    fn start(&mut self) {
        self.0.set(0);
    }
    fn ticks(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
}

/// Whether it is lit, and how often it was.
#[derive(Default)]
struct Lamp {
    lit: bool,
    flashes: usize,
}

impl embedded_hal::digital::ErrorType for Lamp {
    type Error = Infallible;
}

impl OutputPin for Lamp {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.lit = false;
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.flashes += usize::from(!self.lit);
        self.lit = true;
        Ok(())
    }
}

struct Gauge {
    overflowed: bool,
}

impl Stack for Gauge {
    fn capacity(&self) -> u32 {
        4096
    }
    fn used(&self) -> u32 {
        700
    }
    fn overflowed(&self) -> bool {
        self.overflowed
    }
}

/// A board on the host and what one needs to know what it should answer.
struct Bench {
    app: App<'static, Pipe, Lamp, Counter, Gauge, update::NoSlot>,
    image: Option<Image<'static>>,
}

fn leak<T: Clone>(value: &[T]) -> &'static mut [T] {
    Vec::leak(value.to_vec())
}

fn lenet5() -> Vec<u8> {
    let golden = vec![Random::new(1).pixels(3072)];
    pack(&random::lenet5(1), &PackOptions { golden, ..PackOptions::default() })
        .unwrap()
        .image
        .bytes()
        .to_vec()
}

impl Bench {
    fn new(slot: &[u8], arena_words: usize) -> Self {
        Self::with_stack(slot, arena_words, Gauge { overflowed: false })
    }

    fn with_stack(slot: &[u8], arena_words: usize, stack: Gauge) -> Self {
        let slot: &'static [u8] = AlignedBytes::from(slot).leak();
        let site = Site {
            board: "bench",
            slot,
            spare: None,
            key: None,
            ahead_bytes: 0,
            arena: leak(&vec![0; arena_words]),
            frame: leak(&[0; 1024]),
            stack,
            firmware_bytes: 1000,
            last_words: "hard fault",
        };
        let app = App::new(site, Pipe::default(), Lamp::default(), Counter::default());
        Self { app, image: Image::new_checked(slot, kernels::ALL).ok() }
    }

    /// Bytes to the board; its frames back, checked but not decoded.
    fn exchange(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.app.line.input.extend(bytes);
        self.app.serve().unwrap();
        let mut decoder = Decoder::new(vec![0; 4096]);
        let wire = core::mem::take(&mut self.app.line.output);
        wire.iter().filter_map(|&byte| Some(decoder.push(byte)?.unwrap().to_vec())).collect()
    }

    fn ask(&mut self, sequence: u32, request: &Request) -> Vec<Vec<u8>> {
        let frames = self.exchange(&wire(sequence, request));
        for frame in &frames {
            assert_eq!(message::decode::<Response>(frame).unwrap().0, sequence);
        }
        frames
    }

    fn refusal(&mut self, request: &Request) -> Refusal {
        let frames = self.ask(9, request);
        match message::decode::<Response>(&frames[0]).unwrap() {
            (9, Response::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn load(&mut self, transfer: u32, pixels: &[u8]) {
        for (index, piece) in pixels.chunks(512).enumerate() {
            let request = Request::Load { transfer, offset: index as u32 * 512, pixels: piece };
            let frames = self.ask(index as u32 + 1, &request);
            let received = (index as u32 * 512) + piece.len() as u32;
            let expected = Response::Loaded { transfer, received, ahead: 0 };
            assert_eq!(message::decode::<Response>(&frames[0]).unwrap().1, expected);
        }
    }

    /// Logits and layers as the engine of the host computes them.
    fn truth(&self, pixels: &[u8]) -> (Vec<i8>, Vec<Vec<i8>>) {
        let image = self.image.unwrap();
        let mut arena = vec![0; image.arena_words()];
        let mut engine = Engine::new(&image, &mut arena).unwrap();
        engine.load_pixels(pixels).unwrap();
        let mut layers = Vec::new();
        let logits = engine.run_traced(&mut |_, output| layers.push(output.to_vec())).to_vec();
        (logits, layers)
    }
}

#[test]
fn what_the_firmware_said_before_it_started_anew_is_told() {
    let frames = Bench::new(&lenet5(), 16_384).ask(1, &Request::LastWords);
    assert_eq!(message::decode(&frames[0]), Ok((1, Response::LastWords { message: "hard fault" })));
}

#[test]
fn the_light_flashes_once_per_request() {
    let mut bench = Bench::new(&lenet5(), 16_384);
    bench.ask(1, &Request::Info);
    bench.ask(2, &Request::SelfTest);
    assert_eq!((bench.app.led.flashes, bench.app.led.lit), (2, false));
}

fn wire(sequence: u32, request: &Request) -> Vec<u8> {
    struct Out(Vec<u8>);
    impl Sink for Out {
        type Error = Infallible;
        fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let mut out = Out(Vec::new());
    message::send(&mut out, sequence, request).unwrap();
    out.0
}

fn pixels(seed: u64) -> Vec<u8> {
    Random::new(seed).pixels(3072)
}

fn run(transfer: u32, pixels: &[u8], report: Report) -> Request<'static> {
    Request::Run { transfer, crc: CRC.checksum(pixels), report }
}

#[test]
fn hello_and_info_describe_the_board() {
    let mut bench = Bench::new(&lenet5(), 4000);
    let frames = bench.ask(1, &Request::Hello { version: 77 });
    let hello = Response::Hello { version: VERSION, frame_bytes: 1024, ahead_bytes: 0 };
    assert_eq!(message::decode(&frames[0]), Ok((1, hello)));
    let frames = bench.ask(2, &Request::Info);
    let Ok((2, Response::Info(info))) = message::decode(&frames[0]) else { panic!() };
    let model = info.model.unwrap();
    let image = bench.image.unwrap();
    assert_eq!((info.board, info.arena_capacity, info.stack_bytes), ("bench", 16000, 700));
    assert_eq!((model.crc, model.input, model.classes), (image.crc(), [32, 32, 3], 10));
    assert_eq!((model.arena_bytes as usize, model.golden), (image.arena_bytes(), 1));
    assert_eq!(model.image_bytes as usize, image.bytes().len());
}

#[test]
fn an_image_in_pieces_gives_the_engines_logits_and_layers() {
    let mut bench = Bench::new(&lenet5(), 4000);
    let pixels = pixels(5);
    let (logits, layers) = bench.truth(&pixels);
    bench.load(3, &pixels);
    let frames = bench.ask(10, &run(3, &pixels, Report::Answer));
    let class = logits.iter().position(|logit| logit == logits.iter().max().unwrap()).unwrap() as u16;
    // The counter ticks once per reading, and the overhead of one reading is taken off.
    let answer = Response::Answer { transfer: 3, class, ticks: 0, parts: 0, logits: Values::new(&logits) };
    assert_eq!(message::decode(&frames[0]), Ok((10, answer)));

    bench.load(4, &pixels);
    let frames = bench.ask(11, &run(4, &pixels, Report::Trace));
    let mut traced: Vec<Vec<i8>> = Vec::new();
    for frame in &frames[..frames.len() - 1] {
        let Ok((11, Response::Layer { offset, length, values, .. })) = message::decode(frame) else {
            panic!()
        };
        if offset == 0 {
            traced.push(Vec::new());
        }
        let output = traced.last_mut().unwrap();
        assert_eq!(output.len(), offset as usize);
        output.extend(values.iter());
        assert!(output.len() <= length as usize);
    }
    assert_eq!(traced, layers);

    bench.load(5, &pixels);
    let frames = bench.ask(12, &run(5, &pixels, Report::Profile));
    assert_eq!(frames.len(), layers.len() + 1);
    let ticks = Response::LayerTicks { layer: 0, ticks: 0 };
    assert_eq!(message::decode(&frames[0]), Ok((12, ticks)));
}

#[test]
fn repeated_requests_change_nothing() {
    let mut bench = Bench::new(&lenet5(), 4000);
    let pixels = pixels(6);
    let first = Request::Load { transfer: 1, offset: 0, pixels: &pixels[..592] };
    let second = Request::Load { transfer: 1, offset: 592, pixels: &pixels[592..1184] };
    bench.ask(1, &first);
    bench.ask(2, &second);
    // Late doubles of both, the first one in the middle of the image.
    for double in [&first, &second] {
        let frames = bench.ask(2, double);
        assert_eq!(
            message::decode(&frames[0]),
            Ok((2, Response::Loaded { transfer: 1, received: 1184, ahead: 0 }))
        );
    }
    // The last pieces come in the wrong order.
    for offset in [1296, 1184, 2160] {
        let end = 3072.min(offset + 912);
        bench.ask(3, &Request::Load { transfer: 1, offset: offset as u32, pixels: &pixels[offset..end] });
    }
    let request = run(1, &pixels, Report::Answer);
    let answer = bench.ask(4, &request);
    assert_eq!(bench.ask(4, &request), answer);
    // A double of a piece does not spoil the answer either.
    bench.ask(4, &first);
    assert_eq!(bench.ask(4, &request), answer);
    // Nor is it the answer for other pixels of the same name.
    let other = Request::Run { transfer: 1, crc: CRC.checksum(&pixels) ^ 1 << 31, report: Report::Answer };
    assert_eq!(bench.refusal(&other), Refusal::Incomplete { received: 0, expected: 3072 });
    bench.load(1, &pixels);
    assert_eq!(bench.ask(4, &request), answer);
    // But the run wrote over the pixels, so a report cannot come from them.
    assert_eq!(
        bench.refusal(&run(1, &pixels, Report::Trace)),
        Refusal::Incomplete { received: 0, expected: 3072 }
    );
    bench.load(1, &pixels);
    assert_eq!(bench.ask(4, &request), answer);
}

/// A picture of another size than the input, and what the host makes of it.
fn picture(bench: &Bench, shape: Shape) -> (Vec<u8>, Vec<u8>) {
    let (rule, to) = (bench.image.unwrap().preprocessing(), bench.image.unwrap().input_shape());
    let (mut sums, mut row) = (vec![0; Resize::sums(to)], vec![0; Preprocessing::row(shape, to)]);
    let (pixels, mut input) = (Random::new(4).pixels(shape.len()), vec![0; to.len()]);
    let scratch = Scratch { sums: &mut sums, row: &mut row };
    rule.prepare(shape, &pixels, to, scratch, &mut input).unwrap();
    (pixels, input)
}

fn piece(transfer: u32, shape: Shape, offset: usize, pixels: &[u8]) -> Request<'_> {
    Request::Picture {
        transfer,
        height: shape.height as u16,
        width: shape.width as u16,
        channels: shape.channels as u8,
        offset: offset as u32,
        pixels,
    }
}

#[test]
fn a_picture_of_any_size_becomes_the_hosts_input() {
    for (fit, channels) in Fit::ALL.into_iter().flat_map(|fit| [(fit, 1), (fit, 3)]) {
        let mut network = random::lenet5(1);
        network.info.preprocessing = Preprocessing { fit, background: [3, 200, 77] };
        let packed = pack(&network, &PackOptions::default()).unwrap();
        let mut bench = Bench::new(packed.image.bytes(), 4000);
        let shape = Shape::new(41, 57, channels);
        let (pixels, input) = picture(&bench, shape);
        let (logits, _) = bench.truth(&input);
        let prepared = |received: usize, input| {
            let received = received as u32;
            Response::Prepared { transfer: 6, received, input }
        };
        let (mut received, mut lengths) = (0, [1, 2, 300, 16, 171, 59, 900].into_iter().cycle());
        while received < pixels.len() {
            let before = received;
            let end = pixels.len().min(received + lengths.next().unwrap());
            received = end;
            let made = (end == pixels.len()).then(|| CRC.checksum(&input));
            // Its bytes, then a late double, and one behind a gap.
            let near = before.saturating_sub(100);
            for (from, to) in [(before, end), (near, end), (0, before.min(500)), (end + 16, end + 32)] {
                if to <= pixels.len() {
                    let frames = bench.ask(9, &piece(6, shape, from, &pixels[from..to]));
                    assert_eq!(message::decode(&frames[0]), Ok((9, prepared(end, made))), "{from} to {to}");
                }
            }
        }
        let class = goldcrest_engine::answer::largest(&logits) as u16;
        let answer =
            Response::Answer { transfer: 6, class, ticks: 0, parts: 0, logits: Values::new(&logits) };
        let request = run(6, &pixels, Report::Answer);
        // A double of a piece, or of the request, finds the answer as it was.
        for _ in 0..2 {
            let frames = bench.ask(10, &request);
            assert_eq!(message::decode(&frames[0]), Ok((10, answer.clone())));
            let frames = bench.ask(11, &piece(6, shape, 0, &pixels[..100]));
            let whole = prepared(pixels.len(), Some(CRC.checksum(&input)));
            assert_eq!(message::decode(&frames[0]), Ok((11, whole)));
        }
        // The run wrote over the input.
        let refused = bench.refusal(&run(6, &pixels, Report::Trace));
        assert!(matches!(refused, Refusal::Incomplete { received: 0, .. }), "{refused:?}");
    }
}

#[test]
fn a_picture_that_is_not_whole_or_not_the_hosts_does_not_run() {
    let mut bench = Bench::new(&lenet5(), 4000);
    let shape = Shape::new(10, 20, 3);
    let (pixels, _) = picture(&bench, shape);
    let nothing = Response::Prepared { transfer: 1, received: 0, input: None };
    // What does not begin at its beginning begins nothing, and leaves what is there.
    bench.load(8, &[7; 3072]);
    let frames = bench.ask(1, &piece(1, shape, 16, &pixels[16..32]));
    assert_eq!(message::decode(&frames[0]), Ok((1, nothing)));
    assert_eq!(bench.ask(2, &run(8, &[7; 3072], Report::Answer)).len(), 1);
    bench.ask(3, &piece(2, shape, 0, &pixels[..100]));
    let incomplete = Refusal::Incomplete { received: 100, expected: 600 };
    assert_eq!(bench.refusal(&run(2, &pixels, Report::Answer)), incomplete);
    // The same name with another shape is another picture.
    let turned = Shape::new(20, 10, 3);
    let frames = bench.ask(4, &piece(2, turned, 100, &pixels[100..200]));
    let nothing = Response::Prepared { transfer: 2, received: 0, input: None };
    assert_eq!(message::decode(&frames[0]), Ok((4, nothing)));
    bench.ask(5, &piece(2, shape, 100, &pixels[100..]));
    let other = Request::Run { transfer: 2, crc: CRC.checksum(&pixels) ^ 1 << 31, report: Report::Answer };
    assert_eq!(bench.refusal(&other), Refusal::WrongPixels);
    let refused = bench.refusal(&run(2, &pixels, Report::Answer));
    assert!(matches!(refused, Refusal::Incomplete { received: 0, .. }), "{refused:?}");
}

#[test]
fn a_picture_that_cannot_become_the_input_is_refused() {
    let image = lenet5();
    let owned = ImageBuf::new_checked(&image).unwrap();
    let arena = owned.image().arena_bytes();
    let mut bench = Bench::new(&image, arena / 4);
    for shape in [Shape::new(0, 9, 3), Shape::new(9, 0, 3), Shape::new(9, 9, 2), Shape::new(65535, 65535, 3)]
    {
        assert_eq!(bench.refusal(&piece(1, shape, 0, &[])), Refusal::Picture, "{shape}");
    }
    let small = Shape::new(2, 2, 1);
    assert_eq!(bench.refusal(&piece(1, small, 0, &[0; 5])), Refusal::TooLong { expected: 4 });
    assert_eq!(bench.refusal(&piece(1, small, 4, &[0; 1])), Refusal::TooLong { expected: 4 });
    // An arena as small as the model allows has room beside the input for rows up to some width, which the
    // refusal tells; on a larger one they may be wider.
    let wide = Shape::new(1, 2000, 3);
    let Refusal::PictureRoom { needed, room } = bench.refusal(&piece(1, wide, 0, &[0; 16])) else {
        panic!("{wide} fits {arena} bytes")
    };
    assert_eq!(needed as usize, 8 * 32 * 3 + 2000 * 3);
    let widest = (room as usize - 8 * 32 * 3) / 3;
    let (fits, not) = (Shape::new(1, widest, 3), Shape::new(1, widest + 1, 3));
    assert!(matches!(bench.refusal(&piece(2, not, 0, &[0; 16])), Refusal::PictureRoom { .. }));
    let (pixels, input) = picture(&bench, fits);
    for (index, bytes) in pixels.chunks(600).enumerate() {
        bench.ask(1, &piece(3, fits, index * 600, bytes));
    }
    let frames = bench.ask(2, &piece(3, fits, 0, &[]));
    let whole =
        Response::Prepared { transfer: 3, received: pixels.len() as u32, input: Some(CRC.checksum(&input)) };
    assert_eq!(message::decode(&frames[0]), Ok((2, whole)));
    let mut larger = Bench::new(&image, arena / 4 + 2000);
    assert_eq!(larger.ask(1, &piece(1, wide, 0, &pixels[..16])).len(), 1);
    let refused = Bench::new(&[0xff; 8192], 4000).refusal(&piece(1, small, 0, &[0; 4]));
    assert_eq!(refused, Refusal::NoModel(ModelFault::Absent));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let mut bench = Bench::new(&lenet5(), 4000);
    let pixels = pixels(7);
    let incomplete = |received| Refusal::Incomplete { received, expected: 3072 };
    assert_eq!(bench.refusal(&run(0, &pixels, Report::Answer)), incomplete(0));
    // Beyond the window: not taken, and the answer says so.
    let frames = bench.ask(1, &Request::Load { transfer: 2, offset: 1024, pixels: &pixels[..16] });
    let nothing = Response::Loaded { transfer: 2, received: 0, ahead: 0 };
    assert_eq!(message::decode(&frames[0]), Ok((1, nothing)));
    // Not on a granule: a piece of an image of another size.
    for (offset, length) in [(8, 16), (0, 20)] {
        let crooked = Request::Load { transfer: 2, offset, pixels: &pixels[..length] };
        assert_eq!(bench.refusal(&crooked), incomplete(0));
    }
    let long = Request::Load { transfer: 2, offset: 3000, pixels: &pixels[..100] };
    assert_eq!(bench.refusal(&long), Refusal::TooLong { expected: 3072 });
    let far = Request::Load { transfer: 2, offset: u32::MAX, pixels: &pixels[..100] };
    assert_eq!(bench.refusal(&far), Refusal::TooLong { expected: 3072 });
    bench.ask(1, &Request::Load { transfer: 2, offset: 0, pixels: &pixels[..96] });
    assert_eq!(bench.refusal(&run(2, &pixels, Report::Answer)), incomplete(96));
    assert_eq!(bench.refusal(&run(3, &pixels, Report::Answer)), incomplete(0));
    // One bit of the CRC is enough, the highest too.
    for bit in [0, 31] {
        bench.load(8, &pixels);
        let other =
            Request::Run { transfer: 8, crc: CRC.checksum(&pixels) ^ 1 << bit, report: Report::Answer };
        assert_eq!(bench.refusal(&other), Refusal::WrongPixels);
        assert_eq!(bench.refusal(&run(8, &pixels, Report::Answer)), incomplete(0));
    }
}

#[test]
fn a_missing_damaged_or_too_large_model_is_named() {
    let image = lenet5();
    let mut damaged = image.clone();
    damaged[2000] ^= 1;
    let mut future = image.clone();
    future[goldcrest_engine::packer::header_field::VERSION] = 9;
    let needed = ImageBuf::new_checked(&image).unwrap().image().arena_bytes() as u32;
    for (slot, words, fault) in [
        (vec![0xff; 8192], 4000, ModelFault::Absent),
        (damaged, 4000, ModelFault::Damaged),
        (image[..3000].to_vec(), 4000, ModelFault::Damaged),
        (future, 4000, ModelFault::Version),
        (image, 100, ModelFault::Arena { needed }),
    ] {
        let mut bench = Bench::new(&slot, words);
        assert_eq!(bench.refusal(&run(1, &[], Report::Answer)), Refusal::NoModel(fault));
        assert_eq!(bench.refusal(&Request::SelfTest), Refusal::NoModel(fault));
        let load = Request::Load { transfer: 1, offset: 0, pixels: &[1; 16] };
        assert_eq!(bench.refusal(&load), Refusal::NoModel(fault));
        let frames = bench.ask(1, &Request::Info);
        let Ok((1, Response::Info(info))) = message::decode(&frames[0]) else { panic!() };
        assert_eq!(info.model, Err(fault));
    }
}

#[test]
fn the_self_test_finds_a_wrong_golden_vector() {
    let image = lenet5();
    let mut bench = Bench::new(&image, 4000);
    let good = bench.ask(1, &Request::SelfTest);
    assert_eq!(message::decode(&good[0]), Ok((1, Response::SelfTest { vectors: 1, failed: 0 })));

    // Another expected logit, with the image's checksum made right again.
    let (_, logits) = bench.image.unwrap().golden().next().unwrap();
    let place = logits.as_ptr().addr() - bench.image.unwrap().bytes().as_ptr().addr();
    let mut wrong = image;
    wrong[place] ^= 1;
    let crc = goldcrest_engine::packer::checksum(&wrong);
    let at = goldcrest_engine::packer::header_field::CHECKSUM;
    wrong[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    let mut bench = Bench::new(&wrong, 4000);
    let bad = bench.ask(1, &Request::SelfTest);
    assert_eq!(message::decode(&bad[0]), Ok((1, Response::SelfTest { vectors: 1, failed: 1 })));
}

#[test]
fn results_of_an_overflowed_stack_are_not_given() {
    let mut bench = Bench::with_stack(&lenet5(), 4000, Gauge { overflowed: true });
    let pixels = pixels(8);
    bench.load(1, &pixels);
    assert_eq!(bench.refusal(&run(1, &pixels, Report::Answer)), Refusal::StackOverflow);
    assert_eq!(bench.refusal(&Request::SelfTest), Refusal::StackOverflow);
}

#[test]
fn damaged_and_foreign_frames_are_answered_as_such() {
    let mut bench = Bench::new(&lenet5(), 4000);
    let mut damaged = wire(5, &Request::Info);
    damaged[1] ^= 4;
    let frames = bench.exchange(&damaged);
    assert_eq!(message::decode(&frames[0]), Ok((0, Response::Refused(Refusal::Damaged))));
    // Longer than the board's buffer of 1024 bytes.
    let long = vec![7; 1100];
    let frames = bench.exchange(&wire(5, &Request::Load { transfer: 1, offset: 0, pixels: &long }));
    assert_eq!(message::decode(&frames[0]), Ok((0, Response::Refused(Refusal::Damaged))));
}

/// What noise does to a frame.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Flip(prop::sample::Index, u8),
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Cut(prop::sample::Index),
    Repeat,
    Noise(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Damage::None),
        1 => (index(), 1u8..).prop_map(|(place, flip)| Damage::Flip(place, flip)),
        1 => index().prop_map(Damage::Drop),
        1 => index().prop_map(Damage::Double),
        1 => index().prop_map(Damage::Cut),
        1 => Just(Damage::Repeat),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Damage::Noise),
    ]
}

impl Damage {
    fn apply(&self, mut frame: Vec<u8>) -> Vec<u8> {
        match self {
            Damage::None => {}
            Damage::Flip(place, flip) => *place.get_mut(&mut frame) ^= flip,
            Damage::Drop(place) => drop(frame.remove(place.index(frame.len()))),
            Damage::Double(place) => {
                let place = place.index(frame.len());
                frame.insert(place, frame[place]);
            }
            Damage::Cut(place) => frame.truncate(place.index(frame.len())),
            Damage::Repeat => frame.extend(frame.clone()),
            Damage::Noise(noise) => frame.extend(noise),
        }
        frame
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens to the frames: an answer that comes is right, and an undamaged image after
    /// it gets its answer.
    #[test]
    fn an_answer_is_right_or_absent(damages in prop::collection::vec(damage(), 8), seed in any::<u64>()) {
        let mut bench = Bench::new(&lenet5(), 4000);
        let pixels = pixels(seed);
        let (logits, _) = bench.truth(&pixels);
        let mut requests: Vec<Vec<u8>> = (0..7).map(|index| {
            let (from, to) = (index * 448, 3072.min(index * 448 + 448));
            let pixels = &pixels[from..to];
            wire(index as u32 + 1, &Request::Load { transfer: 1, offset: from as u32, pixels })
        }).collect();
        requests.push(wire(8, &run(1, &pixels, Report::Answer)));
        let mut answered = false;
        for (request, damage) in requests.into_iter().zip(&damages) {
            for frame in bench.exchange(&damage.apply(request)) {
                if let (8, Response::Answer { logits: given, .. }) = message::decode(&frame).unwrap() {
                    prop_assert_eq!(given, Values::new(&logits));
                    answered = true;
                }
            }
        }
        prop_assert!(answered || damages.iter().any(|damage| !matches!(damage, Damage::None)));
        bench.exchange(&[0]);
        bench.load(2, &pixels);
        let frames = bench.ask(50, &run(2, &pixels, Report::Answer));
        let Ok((50, Response::Answer { logits: given, .. })) = message::decode(&frames[0]) else { panic!() };
        prop_assert_eq!(given, Values::new(&logits));
    }
}
