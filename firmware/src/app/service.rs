//! What the board does for each request.

use core::sync::atomic::{Ordering, compiler_fence};

use embedded_io::Write;
use goldcrest_shared::engine::{Engine, values};
use goldcrest_shared::image::{Image, ImageError};
use goldcrest_shared::link::VERSION;
use goldcrest_shared::link::message::{Info, ModelFault, ModelInfo, Refusal, Report, Request, Response};
use goldcrest_shared::link::values::Values;

use super::transfer::{Go, Piece, Transfer};
use super::{Reply, Stack};
use crate::clock::Stopwatch;
use crate::log::{debug, info, warn};

/// Values per [`Response::Layer`].
const LAYER_PIECE: usize = 1024;

/// The model and all that is needed to run it.
pub struct Service<'m, W, S> {
    board: &'static str,
    firmware_bytes: u32,
    slot_bytes: u32,
    frame_bytes: u32,
    model: Result<Image<'m>, ModelFault>,
    arena: &'m mut [u32],
    transfer: Transfer,
    watch: W,
    /// Ticks that the measurement itself takes.
    overhead: u64,
    stack: S,
}

impl<'m, W: Stopwatch, S: Stack> Service<'m, W, S> {
    pub fn new(
        board: &'static str,
        firmware_bytes: u32,
        slot: &'m [u8],
        arena: &'m mut [u32],
        stack: S,
        mut watch: W,
        frame_bytes: usize,
    ) -> Self {
        let model = find(slot, arena);
        match &model {
            Ok(image) => info!("model {:08x}: {} layers", image.crc(), image.layer_count()),
            Err(fault) => warn!("no model: {}", fault),
        }
        let overhead = time(&mut watch, &mut || {});
        Self {
            board,
            firmware_bytes,
            slot_bytes: slot.len() as u32,
            frame_bytes: frame_bytes as u32,
            model,
            arena,
            transfer: Transfer::new(),
            watch,
            overhead,
            stack,
        }
    }

    /// Answers one request.
    pub fn handle<L: Write>(
        &mut self,
        request: &Request,
        reply: &mut Reply<'_, '_, L>,
    ) -> Result<(), L::Error> {
        debug!("{}", request);
        match *request {
            Request::Hello { .. } => {
                let frame_bytes = self.frame_bytes;
                reply.send(&Response::Hello { version: VERSION, frame_bytes })
            }
            Request::Info => {
                let info = self.info();
                reply.send(&Response::Info(info))
            }
            Request::Load { transfer, offset, pixels } => {
                match self.load(transfer, offset as usize, pixels) {
                    Ok(received) => reply.send(&Response::Loaded { transfer, received: received as u32 }),
                    Err(refusal) => reply.send(&Response::Refused(refusal)),
                }
            }
            Request::Run { transfer, crc, report } => self.run(transfer, crc, report, reply),
            Request::SelfTest => match self.self_test() {
                Ok((vectors, failed)) => reply.send(&Response::SelfTest { vectors, failed }),
                Err(refusal) => reply.send(&Response::Refused(refusal)),
            },
        }
    }

    fn info(&self) -> Info<'static> {
        Info {
            board: self.board,
            firmware: env!("CARGO_PKG_VERSION"),
            ticks_per_second: self.watch.frequency(),
            firmware_bytes: self.firmware_bytes,
            slot_bytes: self.slot_bytes,
            arena_capacity: size_of_val(self.arena) as u32,
            stack_bytes: self.stack.used(),
            stack_capacity: self.stack.capacity(),
            model: self.model.as_ref().map(describe).map_err(|&fault| fault),
        }
    }

    fn load(&mut self, id: u32, offset: usize, pixels: &[u8]) -> Result<usize, Refusal> {
        let image = self.model.map_err(Refusal::NoModel)?;
        let expected = image.input_shape().len();
        if self.transfer.piece(id, offset, pixels, expected)? == Piece::New {
            let mut engine = engine(&image, self.arena)?;
            write_pixels(&image, engine.input_mut(), offset, pixels);
        }
        Ok(self.transfer.received(id, expected))
    }

    fn run<L: Write>(
        &mut self,
        id: u32,
        crc: u32,
        report: Report,
        reply: &mut Reply<'_, '_, L>,
    ) -> Result<(), L::Error> {
        match self.classify(id, crc, report, reply) {
            Ok((ticks, image)) if !self.stack.overflowed() => {
                let all = values(self.arena);
                let logits = all.get(image.output_offset()..).and_then(|rest| rest.get(..image.classes()));
                let logits = logits.unwrap_or_default();
                let class = first_largest(logits);
                let (parts, logits) = (reply.sent, Values::new(logits));
                reply.send(&Response::Answer { transfer: id, class, ticks, parts, logits })
            }
            Ok(_) => reply.send(&Response::Refused(Refusal::StackOverflow)),
            Err(Stop::Refused(refusal)) => reply.send(&Response::Refused(refusal)),
            Err(Stop::Line(error)) => Err(error),
        }
    }

    /// Leaves the logits of image `id` in the arena.
    fn classify<L: Write>(
        &mut self,
        id: u32,
        crc: u32,
        report: Report,
        reply: &mut Reply<'_, '_, L>,
    ) -> Result<(u64, Image<'m>), Stop<L::Error>> {
        let image = self.model.map_err(Refusal::NoModel)?;
        let expected = image.input_shape().len();
        match self.transfer.go(id, crc, expected, report == Report::Answer)? {
            Go::Again { ticks } => return Ok((ticks, image)),
            Go::Run => self.transfer.forget(),
        }
        let mut engine = engine(&image, self.arena)?;
        match report {
            Report::Answer => {
                let ticks = time(&mut self.watch, &mut || {
                    engine.run();
                });
                let ticks = ticks.saturating_sub(self.overhead);
                self.transfer.answered(crc, ticks);
                Ok((ticks, image))
            }
            Report::Trace => {
                let mut sent = Ok(());
                engine.run_traced(&mut |layer, output| {
                    if sent.is_ok() {
                        sent = send_layer(reply, layer, output);
                    }
                });
                sent.map_err(Stop::Line)?;
                Ok((0, image))
            }
            Report::Profile => {
                let (watch, overhead) = (&mut self.watch, self.overhead);
                let mut sent = Ok(());
                watch.start();
                engine.run_traced(&mut |layer, _| {
                    let ticks = watch.ticks().saturating_sub(overhead);
                    if sent.is_ok() {
                        sent = reply.send(&Response::LayerTicks { layer: layer as u16, ticks });
                    }
                    watch.start();
                });
                sent.map_err(Stop::Line)?;
                Ok((0, image))
            }
        }
    }

    fn self_test(&mut self) -> Result<(u16, u16), Refusal> {
        let image = self.model.map_err(Refusal::NoModel)?;
        self.transfer.forget();
        let mut engine = engine(&image, self.arena)?;
        let (mut vectors, mut failed) = (0, 0);
        for (pixels, expected) in image.golden() {
            let same = engine.load_pixels(pixels).is_ok() && engine.run() == expected;
            vectors += 1;
            failed += u16::from(!same);
        }
        if self.stack.overflowed() { Err(Refusal::StackOverflow) } else { Ok((vectors, failed)) }
    }
}

/// Why a run gives no answer.
enum Stop<E> {
    Refused(Refusal),
    Line(E),
}

impl<E> From<Refusal> for Stop<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The image in a slot, if it is whole and fits the arena.
fn find<'m>(slot: &'m [u8], arena: &[u32]) -> Result<Image<'m>, ModelFault> {
    let image = Image::new_checked(slot).map_err(|error| {
        warn!("{}", error);
        match error {
            ImageError::Magic(_) => ModelFault::Absent,
            ImageError::Version(_) => ModelFault::Version,
            ImageError::Truncated { .. } | ImageError::Checksum { .. } => ModelFault::Damaged,
            _ => ModelFault::Invalid,
        }
    })?;
    if size_of_val(arena) < image.arena_bytes() {
        return Err(ModelFault::Arena { needed: image.arena_bytes() as u32 });
    }
    Ok(image)
}

fn engine<'e>(image: &Image<'e>, arena: &'e mut [u32]) -> Result<Engine<'e>, Refusal> {
    let fault =
        |small: goldcrest_shared::engine::ArenaTooSmall| ModelFault::Arena { needed: small.expected as u32 };
    Engine::new(image, arena).map_err(|small| Refusal::NoModel(fault(small)))
}

/// Turns a piece of an image into the network's input, as [`Engine::load_pixels`] does with a whole.
fn write_pixels(image: &Image, input: &mut [i8], offset: usize, pixels: &[u8]) {
    let channels = image.input_shape().channels.max(1);
    for phase in 0..channels {
        let table = image.pixel_table((offset + phase) % channels);
        let values = input.iter_mut().skip(offset + phase).step_by(channels);
        for (value, &pixel) in values.zip(pixels.iter().skip(phase).step_by(channels)) {
            *value = table.map_or(pixel ^ 0x80, |table| table[usize::from(pixel)]) as i8;
        }
    }
}

fn describe(image: &Image) -> ModelInfo {
    let shape = image.input_shape();
    ModelInfo {
        crc: image.crc(),
        image_bytes: image.bytes().len() as u32,
        arena_bytes: image.arena_bytes() as u32,
        input: [shape.height as u16, shape.width as u16, shape.channels as u16],
        classes: image.classes() as u16,
        layers: image.layer_count() as u16,
        golden: image.golden().count() as u16,
    }
}

fn send_layer<L: Write>(reply: &mut Reply<'_, '_, L>, layer: usize, output: &[i8]) -> Result<(), L::Error> {
    for (index, piece) in output.chunks(LAYER_PIECE).enumerate() {
        reply.send(&Response::Layer {
            layer: layer as u16,
            offset: (index * LAYER_PIECE) as u32,
            length: output.len() as u32,
            values: Values::new(piece),
        })?;
    }
    Ok(())
}

fn first_largest(logits: &[i8]) -> u16 {
    let mut best = (0, i8::MIN);
    for (class, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (class, logit);
        }
    }
    best.0 as u16
}

/// Ticks of `work`, and of the call and the two looks at the watch. Never inlined, so that those
/// cost the same for every work.
#[inline(never)]
pub fn time(watch: &mut impl Stopwatch, work: &mut dyn FnMut()) -> u64 {
    watch.start();
    compiler_fence(Ordering::SeqCst);
    work();
    compiler_fence(Ordering::SeqCst);
    watch.ticks()
}
