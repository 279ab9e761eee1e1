//! Updates on a simulated flash: every way to refuse one, and power that fails at any moment.

use core::cell::Cell;
use core::convert::Infallible;
use std::rc::Rc;
use std::vec::Vec;

use embedded_storage::nor_flash::{
    ErrorType as FlashErrorType, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use goldcrest_engine::packer::{checksum, header_field};
use goldcrest_engine::{AlignedBytes, ImageBuf};
use goldcrest_link::frame::Sink;
use goldcrest_link::message::{self, ModelFault, Refusal, Request, Response, Updates};
use goldcrest_link::{CRC, Decoder};
use goldcrest_quantize::pack::{PackOptions, pack};
use goldcrest_quantize::random::{self, Random};

use super::*;
use crate::app::tests::Pipe;
use crate::app::{App, Site, Stack, Stopped};
use crate::clock::Stopwatch;
use crate::led::NoLed;

const SLOT: usize = 20 * 4096;
const BOARD: &str = "bench";

/// A slot whose power is shared with the other's.
struct Flash {
    memory: AlignedBytes,
    power: Rc<Power>,
}

/// Fails after some operations.
struct Power {
    left: Cell<usize>,
    random: Cell<u64>,
}

impl Power {
    /// Whether the next operation is done, not begun, or torn.
    fn spend(&self) -> Result<bool, Failed> {
        match self.left.get() {
            0 => Err(Failed),
            left => {
                self.left.set(left - 1);
                Ok(left > 1)
            }
        }
    }

    fn coin(&self) -> bool {
        let mut random = Random::new(self.random.get());
        self.random.set(random.bits());
        random.within(0, 1) == 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed;

impl NorFlashError for Failed {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl FlashErrorType for Flash {
    type Error = Failed;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failed> {
        bytes.copy_from_slice(&self.memory[offset as usize..][..bytes.len()]);
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = GRANULE;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failed> {
        for page in (from as usize..to as usize).step_by(Self::ERASE_SIZE) {
            let whole = self.power.spend()?;
            for byte in &mut self.memory[page..page + Self::ERASE_SIZE] {
                // A cut erase leaves anything between the old and the erased.
                if whole || self.power.coin() {
                    *byte = 0xff;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failed> {
        for (index, word) in bytes.chunks(GRANULE).enumerate() {
            let whole = self.power.spend()?;
            for (place, &byte) in self.memory[offset as usize + index * GRANULE..].iter_mut().zip(word) {
                assert_eq!(*place, 0xff, "a word is written once after it was erased");
                if whole || self.power.coin() {
                    *place = byte;
                }
            }
        }
        Ok(())
    }
}

impl Slot for &mut Flash {
    fn memory(&self) -> &[u8] {
        &self.memory
    }
}

struct Still;

impl Stopwatch for Still {
    fn frequency(&self) -> u32 {
        1
    }
    fn start(&mut self) {}
    fn ticks(&self) -> u64 {
        0
    }
}

impl Stack for Still {
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

struct Out(Vec<u8>);

impl Sink for Out {
    type Error = Infallible;
    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// A board with two slots that can be switched off.
struct Board {
    slots: [Flash; 2],
    power: Rc<Power>,
    key: Option<[u8; 32]>,
    arena: Vec<u32>,
}

impl Board {
    fn new(factory: &[u8]) -> Self {
        let power = Rc::new(Power { left: Cell::new(usize::MAX), random: Cell::new(1) });
        let slot = |image: &[u8]| {
            let mut memory = AlignedBytes::from(&[0xff; SLOT][..]);
            memory[..image.len()].copy_from_slice(image);
            Flash { memory, power: power.clone() }
        };
        let slots = [slot(factory), slot(&[])];
        Self { slots, power, key: None, arena: vec![0; 2000] }
    }

    /// Switches the board on, sends requests as they come one after another, and returns the payloads of its
    /// answers. Goes on in the same way when a new model becomes the current one.
    fn talk(&mut self, requests: &[Request]) -> Vec<Vec<u8>> {
        let frames = requests.iter().enumerate();
        self.hear(frames.flat_map(|(index, request)| frame(index as u32 + 1, request)).collect())
    }

    /// The same with bytes of any kind.
    fn hear(&mut self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut pipe = Pipe { input: bytes.into(), output: Vec::new() };
        loop {
            let [first, second] = &mut self.slots;
            let current = current([&first.memory, &second.memory]);
            let (used, spare) = if current == 0 { (first, second) } else { (second, first) };
            let mut frame = [0; 1024];
            let site = Site {
                board: BOARD,
                slot: &used.memory,
                spare: Some(spare),
                key: self.key,
                arena: &mut self.arena,
                frame: &mut frame,
                ahead_bytes: 0,
                stack: Still,
                firmware_bytes: 0,
                last_words: "",
            };
            if App::new(site, &mut pipe, NoLed, Still).serve() == Ok(Stopped::LineEnded) {
                break;
            }
        }
        let mut decoder = Decoder::new(vec![0; 4096]);
        pipe.output.iter().filter_map(|&byte| Some(decoder.push(byte)?.unwrap().to_vec())).collect()
    }

    fn update(&mut self, image: &[u8], crc: u32) -> Vec<Vec<u8>> {
        let total = image.len() as u32;
        let write = |(index, bytes)| Request::Write { update: 5, total, offset: index as u32 * 512, bytes };
        let mut requests: Vec<Request> = image.chunks(512).enumerate().map(write).collect();
        requests.push(Request::Activate { update: 5, crc });
        self.talk(&requests)
    }

    /// The answer to the first request of some.
    fn first(&mut self, requests: &[Request]) -> Result<(), Refusal> {
        match message::decode(&self.talk(requests)[0]).unwrap().1 {
            Response::Refused(refusal) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// The refusal of an update.
    fn refusal(&mut self, image: &[u8], crc: u32) -> Refusal {
        let answers = self.update(image, crc);
        match message::decode(answers.last().unwrap()).unwrap().1 {
            Response::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// The CRC of the model that runs after a start, having passed its own golden vectors.
    fn model(&mut self) -> u32 {
        self.state().0
    }

    /// The same, and what it takes to be updated.
    fn state(&mut self) -> (u32, Updates) {
        let answers = self.talk(&[Request::Info, Request::SelfTest]);
        let Response::Info(info) = message::decode(&answers[0]).unwrap().1 else { panic!() };
        let test = message::decode::<Response>(&answers[1]).unwrap().1;
        assert_eq!(test, Response::SelfTest { vectors: 1, failed: 0 });
        (info.model.unwrap().crc, info.updates)
    }
}

/// A request on the wire.
fn frame(sequence: u32, request: &Request) -> Vec<u8> {
    let mut wire = Out(Vec::new());
    message::send(&mut wire, sequence, request).unwrap();
    wire.0
}

fn packed(seed: u64) -> Vec<u8> {
    let golden = vec![Random::new(seed).pixels(3072)];
    pack(&random::lenet5(seed), &PackOptions { golden, ..PackOptions::default() })
        .unwrap()
        .image
        .bytes()
        .to_vec()
}

/// A device image with a changed byte and a right checksum.
fn changed(image: &[u8], place: usize, value: u8) -> Vec<u8> {
    let mut image = image.to_vec();
    image[place] = value;
    let crc = checksum(&image);
    image[header_field::CHECKSUM..][..4].copy_from_slice(&crc.to_le_bytes());
    image
}

fn name(image: &[u8]) -> u32 {
    ImageBuf::new_checked(image).unwrap().image().crc()
}

#[test]
fn power_may_fail_at_any_moment_of_an_update() {
    let models = [packed(1), packed(2), packed(3)];
    let mut random = Random::new(7);
    let mut seen = [0, 0];
    // From the programmer's image to a second one, and from that to a third.
    for step in 0..2 {
        let (old, new) = (&models[step], &models[step + 1]);
        let mut board = Board::new(&models[0]);
        if step == 1 {
            board.update(old, CRC.checksum(old));
        }
        let start: Vec<AlignedBytes> = board.slots.iter().map(|slot| slot.memory.clone()).collect();
        assert_eq!(board.model(), name(old));
        board.power.left.set(1_000_000);
        board.update(new, CRC.checksum(new));
        let operations = 1_000_000 - board.power.left.get();
        assert_eq!(board.model(), name(new));
        // None, every operation of the end, where the record is written, and random ones before it.
        for cut in 0..110 {
            let cut =
                if cut < 10 { operations + 2 - cut } else { random.within(1, operations as i64) as usize };
            for (slot, memory) in board.slots.iter_mut().zip(&start) {
                slot.memory.clone_from(memory);
            }
            board.power.left.set(cut);
            let answers = board.update(new, CRC.checksum(new));
            let activated = answers
                .iter()
                .any(|answer| matches!(message::decode(answer), Ok((_, Response::Activated(_)))));
            board.power.left.set(usize::MAX);
            let runs = board.model();
            assert!(runs == name(new) || runs == name(old) && !activated, "cut {cut} of {operations}");
            seen[usize::from(runs == name(new))] += 1;
            // And the update can be done again.
            board.update(new, CRC.checksum(new));
            assert_eq!(board.model(), name(new), "after cut {cut} of {operations}");
        }
    }
    assert!(seen[0] >= 200 && seen[1] >= 4, "{seen:?}");
}

#[test]
fn what_must_not_run_is_refused_by_its_name() {
    let (old, new) = (packed(1), packed(2));
    let mut board = Board::new(&old);
    let crc = CRC.checksum(&new);
    for bit in [0, 31] {
        assert_eq!(board.refusal(&new, crc ^ 1 << bit), Refusal::WrongImage);
    }
    let damaged = |mut image: Vec<u8>| {
        image[3000] ^= 1;
        image
    };
    let bad = damaged(new.clone());
    let refusal = board.refusal(&bad, CRC.checksum(&bad));
    assert_eq!(refusal, Refusal::NewModel(ModelFault::Damaged));
    let future = changed(&new, header_field::VERSION, 99);
    let refusal = board.refusal(&future, CRC.checksum(&future));
    assert_eq!(refusal, Refusal::NewModel(ModelFault::Version));
    let refusal = board.refusal(&[0x55; 4096], CRC.checksum(&[0x55; 4096]));
    assert_eq!(refusal, Refusal::NewModel(ModelFault::Absent));
    let needed = 8004;
    let large = changed(&changed(&new, header_field::ARENA_BYTES, 0x44), header_field::ARENA_BYTES + 1, 0x1f);
    let refusal = board.refusal(&large, CRC.checksum(&large));
    assert_eq!(refusal, Refusal::NewModel(ModelFault::Arena { needed }));
    let owned = ImageBuf::new_checked(&new).unwrap();
    let (_, logits) = owned.image().golden().next().unwrap();
    let place = logits.as_ptr().addr() - owned.bytes().as_ptr().addr();
    let wrong = changed(&new, place, new[place] ^ 1);
    let refusal = board.refusal(&wrong, CRC.checksum(&wrong));
    assert_eq!(refusal, Refusal::NewSelfTest { vectors: 1, failed: 1 });
    let untested = pack(&random::lenet5(2), &PackOptions::default()).unwrap();
    let untested = untested.image.bytes();
    let refusal = board.refusal(untested, CRC.checksum(untested));
    assert_eq!(refusal, Refusal::NewSelfTest { vectors: 0, failed: 0 });
    let huge = vec![0; SLOT];
    let answers =
        board.talk(&[Request::Write { update: 1, total: huge.len() as u32, offset: 0, bytes: &[0; 16] }]);
    let refused = Response::Refused(Refusal::TooLarge { slot: (SLOT - 32) as u32 });
    assert_eq!(message::decode(&answers[0]), Ok((1, refused)));
    // A part of an update is none.
    let write = Request::Write { update: 5, total: new.len() as u32, offset: 0, bytes: &new[..512] };
    let activate = Request::Activate { update: 5, crc };
    let answers = board.talk(&[write, activate]);
    let refused = Refusal::Incomplete { received: 512, expected: new.len() as u32 };
    assert_eq!(message::decode(&answers[1]), Ok((2, Response::Refused(refused))));
    // After all that the old model runs, and a good one is taken; asking twice changes nothing.
    assert_eq!(board.model(), name(&old));
    board.update(&new, crc);
    assert_eq!(board.model(), name(&new));
    let again = board.talk(&[Request::Activate { update: 5, crc }]);
    assert!(
        matches!(message::decode(&again[0]), Ok((1, Response::Activated(model))) if model.crc == name(&new))
    );
}

#[test]
fn the_count_of_updates_may_wrap_around() {
    let images = [packed(1), packed(2)];
    let slot = |which: usize, count| {
        let mut memory = AlignedBytes::from(&[0xff; SLOT][..]);
        memory[..images[which].len()].copy_from_slice(&images[which]);
        let record = Record { count, image: name(&images[which]), version: 0 }.to_bytes();
        memory[SLOT - Record::BYTES..].copy_from_slice(&record);
        memory
    };
    let middle = i32::MAX as u32;
    for (first, second, runs) in [
        (0, 1, 1),
        (1, 0, 0),
        (u32::MAX, 0, 1),
        (0, u32::MAX, 0),
        (middle, middle + 1, 1),
        (middle + 1, middle, 0),
    ] {
        assert_eq!(current([&slot(0, first), &slot(1, second)]), runs, "{first} and {second}");
    }
    // The update after the last count is the next one.
    let mut board = Board::new(&images[0]);
    board.slots[0].memory = slot(0, u32::MAX);
    for image in [&images[1], &images[0]] {
        board.update(image, CRC.checksum(image));
        assert_eq!(board.model(), name(image));
    }
}

#[test]
fn a_firmware_without_a_key_asks_for_no_manifest() {
    let (old, new) = (packed(1), packed(2));
    let mut board = Board::new(&old);
    assert_eq!(board.state(), (name(&old), Updates::Unsigned));
    let spare = board.slots[1].memory.clone();
    assert_eq!(board.first(&[Request::Begin { update: 5, manifest: &[7; 3] }]), Ok(()));
    assert_eq!(board.slots[1].memory[..], spare[..]);
    board.update(&new, CRC.checksum(&new));
    assert_eq!(board.state(), (name(&new), Updates::Unsigned));
}

#[cfg(feature = "signature")]
mod signed;
