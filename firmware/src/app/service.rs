//! What the board does for each request.

use core::sync::atomic::{Ordering, compiler_fence};

use embedded_io::Write;
use goldcrest_engine::answer::largest;
use goldcrest_engine::shape::Shape;
use goldcrest_engine::{ArenaTooSmall, Engine, Image};
use goldcrest_link::message::{Info, ModelFault, Refusal, Report, Request, Response};
use goldcrest_link::values::Values;
use goldcrest_link::{CRC, Pieces, VERSION};

use super::classify::load;
use super::model::{self, describe};
use super::transfer::{Go, Transfer};
use super::update::{Slot, Update, self_test};
use super::{Reply, Site, Stack};
use crate::clock::Stopwatch;
use crate::log::{debug, info, warn};
use crate::source::received::Received;

/// Values per [`Response::Layer`].
const LAYER_PIECE: usize = 1024;

/// The model and all that is needed to run it.
pub struct Service<'m, W, S, F> {
    board: &'static str,
    firmware_bytes: u32,
    slot_bytes: u32,
    frame_bytes: u32,
    ahead_bytes: u32,
    model: Result<Image<'m>, ModelFault>,
    arena: &'m mut [u32],
    transfer: Transfer,
    update: Update<F>,
    watch: W,
    /// Ticks that the measurement itself takes.
    overhead: u64,
    stack: S,
    last_words: &'m str,
}

/// What comes after an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// More requests.
    Serve,
    /// Another model is the current one.
    Restart,
}

impl<'m, W: Stopwatch, S: Stack, F: Slot> Service<'m, W, S, F> {
    pub fn new(site: Site<'m, S, F>, frame_bytes: u32, mut watch: W) -> Self {
        let Site { board, slot, spare, key, arena, ahead_bytes, stack, firmware_bytes, last_words, .. } =
            site;
        let model = model::check(slot, arena);
        match &model {
            Ok(image) => info!("model {:08x}: {} layers", image.crc(), image.layer_count()),
            Err(fault) => warn!("no model: {}", fault),
        }
        // The shortest of some: an emulator that the system interrupts would take off more than the overhead.
        let overhead = (0..8).map(|_| time(&mut watch, &mut || {})).min().unwrap_or(0);
        Self {
            board,
            firmware_bytes,
            slot_bytes: slot.len() as u32,
            frame_bytes,
            ahead_bytes,
            model,
            arena,
            transfer: Transfer::new(),
            update: Update::new(board, slot, model.as_ref().ok(), spare, key),
            watch,
            overhead,
            stack,
            last_words,
        }
    }

    /// Answers one request.
    pub fn handle<L: Write>(
        &mut self,
        request: &Request,
        reply: &mut Reply<'_, '_, L>,
    ) -> Result<Next, L::Error> {
        debug!("{}", request);
        let answer = match *request {
            Request::Hello { .. } => {
                let (frame_bytes, ahead_bytes) = (self.frame_bytes, self.ahead_bytes);
                Ok(Response::Hello { version: VERSION, frame_bytes, ahead_bytes })
            }
            Request::Info => Ok(Response::Info(self.info())),
            Request::Load { transfer, offset, pixels } => self.load(transfer, offset as usize, pixels),
            Request::Picture { transfer, height, width, channels, offset, pixels } => {
                let shape = Shape::new(height.into(), width.into(), channels.into());
                self.picture(transfer, shape, (offset as usize, pixels))
            }
            Request::Run { transfer, crc, report } => {
                self.run(transfer, crc, report, reply)?;
                return Ok(Next::Serve);
            }
            Request::SelfTest => self.self_test(),
            Request::LastWords => Ok(Response::LastWords { message: self.last_words }),
            Request::Begin { update, manifest } => written(update, self.update.begin(update, manifest)),
            Request::Write { update, total, offset, bytes } => {
                written(update, self.update.write(update, total as usize, offset as usize, bytes))
            }
            Request::Activate { update, crc } => {
                return self.activate(update, crc, reply);
            }
        };
        reply.send(&answer.unwrap_or_else(Response::Refused))?;
        Ok(Next::Serve)
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
            updates: self.update.policy(),
        }
    }

    fn load(&mut self, id: u32, offset: usize, pixels: &[u8]) -> Result<Response<'static>, Refusal> {
        let image = self.model.map_err(Refusal::NoModel)?;
        let expected = image.input_shape().len();
        if self.transfer.piece(id, offset, pixels.len(), expected)? {
            let mut engine = engine(&image, self.arena)?;
            let places = engine.input_u8().iter_mut().skip(offset);
            places.zip(pixels).for_each(|(place, &pixel)| *place = pixel);
        }
        let pieces = self.transfer.pieces(id, expected);
        let (received, ahead) = (pieces.received() as u32, pieces.ahead());
        Ok(Response::Loaded { transfer: id, received, ahead })
    }

    fn picture(
        &mut self,
        id: u32,
        shape: Shape,
        piece: (usize, &[u8]),
    ) -> Result<Response<'static>, Refusal> {
        let image = self.model.map_err(Refusal::NoModel)?;
        let (received, input) = self.transfer.picture(id, shape, piece, &image, self.arena)?;
        Ok(Response::Prepared { transfer: id, received: received as u32, input })
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
                let logits = image.logits_in(self.arena);
                let class = largest(logits) as u16;
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
        let pixels = match self.transfer.go(id, crc, expected, report == Report::Answer)? {
            Go::Again { ticks } => return Ok((ticks, image)),
            Go::Run(pixels) => pixels,
        };
        self.transfer.forget();
        let mut engine = engine(&image, self.arena)?;
        load(&mut engine, &mut Received { crc: pixels.input })?;
        match report {
            Report::Answer => {
                let ticks = time(&mut self.watch, &mut || {
                    engine.run();
                });
                let ticks = ticks.saturating_sub(self.overhead);
                self.transfer.answered(pixels, ticks);
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

    fn self_test(&mut self) -> Result<Response<'static>, Refusal> {
        let image = self.model.map_err(Refusal::NoModel)?;
        self.transfer.forget();
        let (vectors, failed) = self_test(&image, self.arena);
        if self.stack.overflowed() {
            return Err(Refusal::StackOverflow);
        }
        Ok(Response::SelfTest { vectors, failed })
    }

    fn activate<L: Write>(
        &mut self,
        id: u32,
        crc: u32,
        reply: &mut Reply<'_, '_, L>,
    ) -> Result<Next, L::Error> {
        // A request that came twice: the model it asks for is the one in use.
        if let Ok(image) = &self.model
            && CRC.checksum(image.bytes()) == crc
        {
            reply.send(&Response::Activated(describe(image)))?;
            return Ok(Next::Serve);
        }
        self.transfer.forget();
        match self.update.activate(id, crc, self.arena) {
            Ok(model) => {
                reply.send(&Response::Activated(model))?;
                Ok(Next::Restart)
            }
            Err(refusal) => {
                reply.send(&Response::Refused(refusal))?;
                Ok(Next::Serve)
            }
        }
    }
}

/// What has come of an update.
fn written(update: u32, pieces: Result<Pieces, Refusal>) -> Result<Response<'static>, Refusal> {
    let pieces = pieces?;
    Ok(Response::Written { update, received: pieces.received() as u32, ahead: pieces.ahead() })
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

fn engine<'e>(image: &Image<'e>, arena: &'e mut [u32]) -> Result<Engine<'e>, Refusal> {
    let fault = |small: ArenaTooSmall| ModelFault::Arena { needed: small.expected as u32 };
    Engine::new(image, arena).map_err(|small| Refusal::NoModel(fault(small)))
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
