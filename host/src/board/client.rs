//! The host's side of the link protocol (`docs/link-protocol.md`), over any line.
//!
//! Every request is sent again until its answer is whole; the board makes repeating harmless. An
//! answer is believed only if its frame's CRC and its sequence number are right, and a run only if
//! the board's CRC of the pixels is the host's.

mod conversation;
mod error;
mod transport;

use std::time::Duration;

use goldcrest_shared::link::message::{Info, ModelInfo, Refusal, Report, Request, Response};
use goldcrest_shared::link::{CRC, VERSION};

use conversation::{Conversation, Outcome};
pub use error::LinkError;
pub(crate) use error::model_fault;
pub use transport::Transport;

/// How long to wait for a board, and how often to ask again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first hello to the first answer: the board may still be starting.
    pub boot: Duration,
    /// From a request to its answer.
    pub answer: Duration,
    /// From a request to its answer, where the board computes in between.
    pub inference: Duration,
    /// Transmissions of one request before the board counts as lost.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(20),
            answer: Duration::from_secs(2),
            inference: Duration::from_secs(60),
            attempts: 8,
        }
    }
}

/// A board that answered a hello.
pub struct Client<T> {
    conversation: Conversation<T>,
    patience: Patience,
    /// Names the images; counts on.
    transfer: u32,
    /// Pixel bytes per request: smaller on a line that damages long frames.
    piece: usize,
    /// What the board's frame buffer can hold.
    largest_piece: usize,
}

/// A classification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    /// Index of the first largest logit.
    pub class: usize,
    /// One per class.
    pub logits: Vec<i8>,
    /// Time it took, in ticks of the board.
    pub ticks: u64,
}

/// Bytes of a [`Request::Load`] frame beside the pixels: sequence number, variant, transfer, offset
/// and length as varints, CRC.
const LOAD_OVERHEAD: usize = 5 + 1 + 5 + 5 + 3 + 4;
/// Pixels per request on the worst lines.
const SMALLEST_PIECE: usize = 32;

impl<T: Transport> Client<T> {
    /// Says hello until the board answers, and agrees on the protocol's version.
    pub fn connect(transport: T, patience: Patience) -> Result<Self, LinkError> {
        let mut conversation = Conversation::new(transport);
        let hello = Request::Hello { version: VERSION };
        // A board that is starting loses bytes, so hellos are short and many.
        let pause = Duration::from_millis(100);
        let attempts = (patience.boot.as_millis() / pause.as_millis()).max(1) as u32;
        let (version, frame_bytes) =
            conversation.ask(&hello, pause, attempts, |response| match *response {
                Response::Hello { version, frame_bytes } => Outcome::Done((version, frame_bytes)),
                _ => Outcome::Unexpected,
            })?;
        if version != VERSION {
            return Err(LinkError::Version { board: version, host: VERSION });
        }
        let largest_piece = (frame_bytes as usize).saturating_sub(LOAD_OVERHEAD).max(SMALLEST_PIECE);
        let transfer = rand::random();
        Ok(Self { conversation, patience, transfer, piece: largest_piece, largest_piece })
    }

    /// The line, for instance to look at the process behind it.
    pub fn transport(&self) -> &T {
        self.conversation.transport()
    }

    /// What the board says of itself.
    pub fn info(&mut self) -> Result<BoardInfo, LinkError> {
        let Patience { answer, attempts, .. } = self.patience;
        self.conversation.ask(&Request::Info, answer, attempts, |response| match response {
            Response::Info(info) => Outcome::Done(BoardInfo::from(info)),
            _ => Outcome::Unexpected,
        })
    }

    /// Classifies an image: u8 pixels, HWC.
    pub fn infer(&mut self, pixels: &[u8]) -> Result<Classification, LinkError> {
        self.run(pixels, Report::Answer, &mut || (), &mut |(), _| Outcome::Unexpected)
            .map(|(answer, ())| answer)
    }

    /// Classifies an image and returns every layer's output too: index of the layer, values HWC.
    /// Layers that write only a part of a tensor are not among them.
    pub fn trace(&mut self, pixels: &[u8]) -> Result<(Classification, Vec<(usize, Vec<i8>)>), LinkError> {
        self.run(pixels, Report::Trace, &mut Vec::<(usize, Vec<i8>)>::new, &mut |layers, response| {
            let &Response::Layer { layer, offset, length, values } = response else {
                return Outcome::Unexpected;
            };
            if offset == 0 {
                layers.push((layer.into(), Vec::with_capacity(length.min(1 << 20) as usize)));
            }
            // A piece that was lost makes a gap here, or too few parts at the end.
            match layers.last_mut() {
                Some((last, output)) if *last == usize::from(layer) && output.len() == offset as usize => {
                    output.extend(values.iter());
                    let whole = output.len() <= length as usize;
                    if whole { Outcome::More } else { Outcome::Gap }
                }
                _ => Outcome::Gap,
            }
        })
    }

    /// Classifies an image and returns every layer's time too: index of the layer, ticks.
    pub fn profile(&mut self, pixels: &[u8]) -> Result<(Classification, Vec<(usize, u64)>), LinkError> {
        self.run(pixels, Report::Profile, &mut Vec::new, &mut |layers, response| {
            let &Response::LayerTicks { layer, ticks } = response else { return Outcome::Unexpected };
            layers.push((usize::from(layer), ticks));
            Outcome::More
        })
    }

    /// Runs the model's golden vectors on the board: how many there are, how many failed.
    pub fn self_test(&mut self) -> Result<(usize, usize), LinkError> {
        let Patience { inference, attempts, .. } = self.patience;
        self.conversation.ask(&Request::SelfTest, inference, attempts, |response| match *response {
            Response::SelfTest { vectors, failed } => Outcome::Done((vectors.into(), failed.into())),
            _ => Outcome::Unexpected,
        })
    }
}

impl<T: Transport> Client<T> {
    /// Loads an image and runs it until the answer and its report are whole.
    fn run<R>(
        &mut self,
        pixels: &[u8],
        report: Report,
        start: &mut dyn FnMut() -> R,
        collect: &mut dyn FnMut(&mut R, &Response) -> Outcome<std::convert::Infallible>,
    ) -> Result<(Classification, R), LinkError> {
        let Patience { inference, attempts, .. } = self.patience;
        let crc = CRC.checksum(pixels);
        let mut last = LinkError::Gap;
        for _ in 0..attempts {
            self.transfer = self.transfer.wrapping_add(1);
            let transfer = self.transfer;
            self.load(transfer, pixels)?;
            let (mut collected, mut collected_parts) = (start(), 0);
            // A lost piece of a report cannot be asked for: the run has consumed the pixels. So a
            // report gets one transmission per load, and an answer as many as it takes.
            let transmissions = if report == Report::Answer { attempts } else { 1 };
            let request = Request::Run { transfer, crc, report };
            let answer =
                self.conversation.ask(&request, inference, transmissions, |response| match response {
                    // A part that was lost at the end of a layer, or a whole layer, shows only here.
                    Response::Answer { transfer: of, parts, .. }
                        if *of == transfer && *parts != collected_parts =>
                    {
                        Outcome::Gap
                    }
                    Response::Answer { transfer: of, class, ticks, logits, .. } if *of == transfer => {
                        let logits = logits.iter().collect();
                        Outcome::Done(Classification { class: usize::from(*class), logits, ticks: *ticks })
                    }
                    other => match collect(&mut collected, other) {
                        Outcome::More => {
                            collected_parts += 1;
                            Outcome::More
                        }
                        Outcome::Gap => Outcome::Gap,
                        Outcome::Unexpected => Outcome::Unexpected,
                        Outcome::Done(never) => match never {},
                    },
                });
            match answer {
                Ok(answer) => return Ok((answer, collected)),
                Err(error) if error.is_worth_a_reload() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Brings an image to the board, piece by piece.
    fn load(&mut self, transfer: u32, pixels: &[u8]) -> Result<(), LinkError> {
        let Patience { answer, attempts, .. } = self.patience;
        let mut received = 0;
        let mut failures = 0;
        while received < pixels.len() {
            let end = pixels.len().min(received + self.piece);
            let request = Request::Load { transfer, offset: received as u32, pixels: &pixels[received..end] };
            let result = self.conversation.ask(&request, answer, 1, |response| match *response {
                Response::Loaded { transfer: of, received } if of == transfer => {
                    Outcome::Done(received as usize)
                }
                _ => Outcome::Unexpected,
            });
            match result {
                Ok(now) if now <= pixels.len() => {
                    received = now;
                    failures = 0;
                    self.piece = (self.piece + self.piece / 4).min(self.largest_piece);
                }
                // The board knows another part of this image than we think, for instance none at all
                // after a reset.
                Err(LinkError::Refused(Refusal::Incomplete { received: known, expected }))
                    if expected as usize == pixels.len() && failures < attempts =>
                {
                    received = (known as usize).min(pixels.len());
                    failures += 1;
                }
                Err(LinkError::Refused(
                    Refusal::TooLong { expected } | Refusal::Incomplete { expected, .. },
                )) if expected as usize != pixels.len() => {
                    return Err(LinkError::Pixels { given: pixels.len(), expected: expected as usize });
                }
                Err(error) if error.is_loss() && failures + 1 < attempts.saturating_mul(4) => {
                    failures += 1;
                    self.piece = (self.piece / 2).max(SMALLEST_PIECE);
                }
                Err(error) => return Err(error),
                Ok(_) => return Err(LinkError::Unexpected),
            }
        }
        Ok(())
    }
}

/// [`Info`] with strings of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardInfo {
    /// Name in the table of boards.
    pub board: String,
    /// Version of the firmware.
    pub firmware: String,
    /// Unit of ticks.
    pub ticks_per_second: u32,
    /// Bytes of flash that the firmware occupies.
    pub firmware_bytes: u32,
    /// Bytes of flash for the device image.
    pub slot_bytes: u32,
    /// Bytes of RAM for the arena.
    pub arena_capacity: u32,
    /// Most bytes of stack in use since boot.
    pub stack_bytes: u32,
    /// Bytes of RAM for the stack.
    pub stack_capacity: u32,
    /// The model, or why there is none.
    pub model: Result<ModelInfo, goldcrest_shared::link::message::ModelFault>,
}

impl From<&Info<'_>> for BoardInfo {
    fn from(info: &Info<'_>) -> Self {
        Self {
            board: info.board.to_string(),
            firmware: info.firmware.to_string(),
            ticks_per_second: info.ticks_per_second,
            firmware_bytes: info.firmware_bytes,
            slot_bytes: info.slot_bytes,
            arena_capacity: info.arena_capacity,
            stack_bytes: info.stack_bytes,
            stack_capacity: info.stack_capacity,
            model: info.model,
        }
    }
}
