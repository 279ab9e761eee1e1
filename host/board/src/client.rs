//! The host's side of the link protocol (`docs/link-protocol.md`), over any line.
//!
//! Every request is sent again until its answer is whole; the board makes repeating harmless. An
//! answer is believed only if its frame's CRC and its sequence number are right, and a run only if
//! the board's CRC of the pixels is the host's.

mod conversation;
mod delivery;
mod error;
mod pace;
mod transport;
mod update;

use std::time::Duration;

use conversation::{Conversation, Outcome};
use delivery::Delivery;
pub use error::LinkError;
pub use error::model_fault;
use goldcrest_engine::answer::largest;
use goldcrest_engine::shape::Shape;
use goldcrest_link::message::{Info, ModelInfo, Refusal, Report, Request, Response, Updates};
use goldcrest_link::{CRC, Pieces, VERSION};
use pace::Pace;
pub use transport::Transport;
pub(crate) use transport::write_within;

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
    /// From an image's or a new model's first byte to its result, whatever the board says in between.
    pub work: Duration,
    /// What `work` grows by for each byte of the image or model.
    pub byte: Duration,
}

impl Patience {
    /// Longest time for a question that the board answers at once.
    fn quick(&self) -> Duration {
        self.answer.saturating_mul(self.attempts)
    }

    /// Longest time for a block of bytes and what the board does with it.
    fn work(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.work.saturating_add(self.byte.saturating_mul(bytes)).max(self.inference)
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(20),
            answer: Duration::from_secs(2),
            inference: Duration::from_secs(60),
            attempts: 8,
            work: Duration::from_secs(120),
            byte: Duration::from_millis(2),
        }
    }
}

/// A board that answered a hello.
pub struct Client<T> {
    conversation: Conversation<T>,
    patience: Patience,
    delivery: Delivery,
    /// Of requests that the board answers at once.
    quick: Pace,
    /// Of requests that the board runs the network for.
    run: Pace,
    /// Names images and updates; counts on.
    transfer: u32,
    /// Logits of the board's model, once the board has said so.
    classes: Option<usize>,
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

/// Names of transfers stay below this, so that they take two bytes.
const TRANSFERS: u32 = 1 << 14;

impl<T: Transport> Client<T> {
    /// Says hello until the board answers, and agrees on the protocol's version.
    pub fn connect(transport: T, patience: Patience) -> Result<Self, LinkError> {
        let mut conversation = Conversation::new(transport);
        let hello = Request::Hello { version: VERSION };
        // A board that is starting loses bytes, so hellos are short and many.
        let pause = Duration::from_millis(100);
        let attempts = (patience.boot.as_millis() / pause.as_millis()).max(1) as u32;
        conversation.begin(patience.boot);
        let (version, frame_bytes, ahead_bytes) =
            conversation.ask(&hello, &mut Pace::new(pause), attempts, |response| match *response {
                Response::Hello { version, frame_bytes, ahead_bytes } => {
                    Outcome::Done((version, frame_bytes, ahead_bytes))
                }
                _ => Outcome::Unexpected,
            })?;
        if version != VERSION {
            return Err(LinkError::Version { board: version, host: VERSION });
        }
        let delivery = Delivery::new(frame_bytes, ahead_bytes, Pace::new(patience.answer));
        let (quick, run) = (Pace::new(patience.answer), Pace::new(patience.inference));
        let transfer = rand::random();
        Ok(Self { conversation, patience, delivery, quick, run, transfer, classes: None })
    }

    fn next_transfer(&mut self) -> u32 {
        self.transfer = self.transfer.wrapping_add(1) % TRANSFERS;
        self.transfer
    }

    /// The line, for instance to look at the process behind it.
    pub fn transport(&self) -> &T {
        self.conversation.transport()
    }

    /// What the board says of itself.
    pub fn info(&mut self) -> Result<BoardInfo, LinkError> {
        let attempts = self.patience.attempts;
        self.conversation.begin(self.patience.quick());
        let info =
            self.conversation.ask(&Request::Info, &mut self.quick, attempts, |response| match response {
                Response::Info(info) => Outcome::Done(BoardInfo::from(info)),
                _ => Outcome::Unexpected,
            })?;
        self.classes = info.model.ok().map(|model| model.classes.into());
        Ok(info)
    }

    /// Classifies an image: u8 pixels, HWC.
    pub fn infer(&mut self, pixels: &[u8]) -> Result<Classification, LinkError> {
        self.run(Content::Input(pixels), Report::Answer, &mut || (), &mut |(), _| Outcome::Unexpected)
            .map(|(answer, ())| answer)
    }

    /// Sends a picture of any size as it is (gray or RGB, u8, HWC), has the board make the model's input of
    /// it, by the preprocessing in the device image, and classify that: the answer, and the [`CRC`] of the
    /// input (u8, HWC) that the board made.
    pub fn infer_picture(&mut self, shape: Shape, pixels: &[u8]) -> Result<(Classification, u32), LinkError> {
        let mut input = None;
        let content = Content::Picture(shape, pixels, &mut input);
        let (answer, ()) = self.run(content, Report::Answer, &mut || (), &mut |(), _| Outcome::Unexpected)?;
        let problem = || LinkError::Impossible { problem: "a whole picture and no input".to_string() };
        Ok((answer, input.ok_or_else(problem)?))
    }

    /// Classifies images one after another and hands each result to `each`. Where the board can hold it, an
    /// image is on its way while the one before is computed.
    pub fn infer_stream<'p>(
        &mut self,
        images: impl IntoIterator<Item = &'p [u8]>,
        mut each: impl FnMut(Classification),
    ) -> Result<(), LinkError> {
        let mut images = images.into_iter().peekable();
        // The name of the image in hand, if the board has it already.
        let mut loaded = None;
        while let Some(pixels) = images.next() {
            let next = images.peek().copied().filter(|next| self.delivery.goes_ahead(next.len()));
            if next.is_none() && loaded.is_none() {
                each(self.infer(pixels)?);
                continue;
            }
            let transfer = match loaded.take() {
                Some(transfer) => transfer,
                None => {
                    let transfer = self.next_transfer();
                    self.conversation.begin(self.patience.work(pixels.len()));
                    self.load(transfer, &mut Content::Input(pixels))?;
                    transfer
                }
            };
            let after = self.next_transfer();
            let mut requests =
                vec![Request::Run { transfer, crc: CRC.checksum(pixels), report: Report::Answer }];
            requests.extend(next.map(|pixels| Request::Load { transfer: after, offset: 0, pixels }));
            self.conversation.begin(self.patience.work(pixels.len()));
            let mut answer = None;
            let asked = self.conversation.ask_all(&requests, &mut self.run, |response| {
                answer = classification(response, transfer).or(answer.take());
                let whole = |pieces: &Pieces| next.is_some_and(|next| pieces.received() == next.len());
                loaded = pieces_of(response, after).filter(whole).map(|_| after);
            });
            match (asked, answer) {
                (Err(error), _) if !error.is_worth_a_reload() => return Err(error),
                (_, Some(answer)) => each(possible(answer, self.classes)?),
                (_, None) => {
                    loaded = None;
                    each(self.infer(pixels)?);
                }
            }
        }
        Ok(())
    }

    /// Classifies an image and returns every layer's output too: index of the layer, values HWC.
    /// Layers that write only a part of a tensor are not among them.
    pub fn trace(&mut self, pixels: &[u8]) -> Result<(Classification, Vec<(usize, Vec<i8>)>), LinkError> {
        self.run(
            Content::Input(pixels),
            Report::Trace,
            &mut Vec::<(usize, Vec<i8>)>::new,
            &mut |layers, response| {
                let &Response::Layer { layer, offset, length, values } = response else {
                    return Outcome::Unexpected;
                };
                let layer = usize::from(layer);
                // Layers come in their order, so they are no more than their numbers.
                if offset == 0 && layers.last().is_none_or(|(last, _)| *last < layer) {
                    layers.push((layer, Vec::new()));
                }
                // A piece that was lost makes a gap here, or too few parts at the end.
                match layers.last_mut() {
                    Some((last, output)) if *last == layer && output.len() == offset as usize => {
                        output.extend(values.iter());
                        let whole = output.len() <= length as usize;
                        if whole { Outcome::More } else { Outcome::Gap }
                    }
                    _ => Outcome::Gap,
                }
            },
        )
    }

    /// Classifies an image and returns every layer's time too: index of the layer, ticks.
    pub fn profile(&mut self, pixels: &[u8]) -> Result<(Classification, Vec<(usize, u64)>), LinkError> {
        self.run(
            Content::Input(pixels),
            Report::Profile,
            &mut Vec::<(usize, u64)>::new,
            &mut |layers, response| {
                let &Response::LayerTicks { layer, ticks } = response else {
                    return Outcome::Unexpected;
                };
                let layer = usize::from(layer);
                if layers.last().is_some_and(|(last, _)| *last >= layer) {
                    return Outcome::Gap;
                }
                layers.push((layer, ticks));
                Outcome::More
            },
        )
    }

    /// What the firmware said before it started anew, such as where it panicked.
    pub fn last_words(&mut self) -> Result<Option<String>, LinkError> {
        let attempts = self.patience.attempts;
        let ask = &Request::LastWords;
        self.conversation.begin(self.patience.quick());
        self.conversation.ask(ask, &mut self.quick, attempts, |response| match *response {
            Response::LastWords { message } => {
                Outcome::Done(Some(printable(message)).filter(|message| !message.is_empty()))
            }
            _ => Outcome::Unexpected,
        })
    }

    /// Runs the model's golden vectors on the board: how many there are, how many failed.
    pub fn self_test(&mut self) -> Result<(usize, usize), LinkError> {
        let attempts = self.patience.attempts;
        self.conversation.begin(self.patience.work(0));
        self.conversation.ask(&Request::SelfTest, &mut self.run, attempts, |response| match *response {
            Response::SelfTest { vectors, failed } if failed <= vectors => {
                Outcome::Done((vectors.into(), failed.into()))
            }
            _ => Outcome::Unexpected,
        })
    }
}

impl<T: Transport> Client<T> {
    /// Loads an image and runs it until the answer and its report are whole.
    fn run<R>(
        &mut self,
        mut content: Content<'_>,
        report: Report,
        start: &mut dyn FnMut() -> R,
        collect: &mut dyn FnMut(&mut R, &Response) -> Outcome<std::convert::Infallible>,
    ) -> Result<(Classification, R), LinkError> {
        let attempts = self.patience.attempts;
        let pixels = content.pixels();
        let crc = CRC.checksum(pixels);
        let mut last = LinkError::Gap;
        self.conversation.begin(self.patience.work(pixels.len()));
        for attempt in 0..attempts {
            if attempt > 0 && self.conversation.is_over() {
                break;
            }
            let transfer = self.next_transfer();
            self.load(transfer, &mut content)?;
            let (mut collected, mut collected_parts) = (start(), 0);
            // A lost piece of a report cannot be asked for: the run has consumed the pixels. So a
            // report gets one transmission per load, and an answer as many as it takes.
            let transmissions = if report == Report::Answer { attempts } else { 1 };
            let request = Request::Run { transfer, crc, report };
            let answer =
                self.conversation.ask(&request, &mut self.run, transmissions, |response| match response {
                    // A part that was lost at the end of a layer, or a whole layer, shows only here.
                    Response::Answer { transfer: of, parts, .. }
                        if *of == transfer && *parts != collected_parts =>
                    {
                        Outcome::Gap
                    }
                    other if let Some(answer) = classification(other, transfer) => Outcome::Done(answer),
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
                Ok(answer) => return Ok((possible(answer, self.classes)?, collected)),
                Err(error) if error.is_worth_a_reload() => last = error,
                Err(error) => return Err(error),
            }
        }
        // A board that starts anew whenever it runs the image loses it every time.
        match self.last_words() {
            Ok(Some(message)) => Err(LinkError::Fault { message }),
            _ => Err(last),
        }
    }

    /// Brings an image or a picture to the board.
    fn load(&mut self, transfer: u32, content: &mut Content<'_>) -> Result<(), LinkError> {
        let attempts = self.patience.attempts * 4;
        let line = &mut self.conversation;
        match content {
            Content::Input(pixels) => {
                let load = |offset, pixels| Request::Load { transfer, offset, pixels };
                let loaded = self
                    .delivery
                    .bring(line, pixels, attempts, load, |response| pieces_of(response, transfer));
                loaded.map_err(|error| match error {
                    LinkError::Refused(
                        Refusal::TooLong { expected } | Refusal::Incomplete { expected, .. },
                    ) if expected as usize != pixels.len() => {
                        LinkError::Pixels { given: pixels.len(), expected: expected as usize }
                    }
                    error => error,
                })
            }
            Content::Picture(shape, pixels, made) => {
                let Shape { height, width, channels } = *shape;
                let too_large = |_| LinkError::Refused(Refusal::Picture);
                let (height, width) =
                    (u16::try_from(height).map_err(too_large)?, u16::try_from(width).map_err(too_large)?);
                let channels = u8::try_from(channels).map_err(too_large)?;
                let piece =
                    |offset, pixels| Request::Picture { transfer, height, width, channels, offset, pixels };
                self.delivery.bring(line, pixels, attempts, piece, |response| match *response {
                    Response::Prepared { transfer: of, received, input } if of == transfer => {
                        **made = input.or(**made);
                        // Its bytes are taken in their order.
                        Some(Pieces::of(received, 0))
                    }
                    _ => None,
                })
            }
        }
    }
}

/// What a board shall classify.
enum Content<'p> {
    /// An image of the model's input.
    Input(&'p [u8]),
    /// A picture, and where the CRC of the input goes that the board makes of it.
    Picture(Shape, &'p [u8], &'p mut Option<u32>),
}

impl<'p> Content<'p> {
    fn pixels(&self) -> &'p [u8] {
        match self {
            Self::Input(pixels) | Self::Picture(_, pixels, _) => pixels,
        }
    }
}

/// The answer to a [`Request::Run`].
fn classification(response: &Response, transfer: u32) -> Option<Classification> {
    match response {
        Response::Answer { transfer: of, class, ticks, logits, .. } if *of == transfer => {
            let logits = logits.iter().collect();
            Some(Classification { class: usize::from(*class), logits, ticks: *ticks })
        }
        _ => None,
    }
}

/// The answer, when a model can give it: of as many classes as the board says its model has, the first
/// largest.
fn possible(answer: Classification, classes: Option<usize>) -> Result<Classification, LinkError> {
    let problem = match (&answer.logits, classes) {
        (logits, Some(classes)) if logits.len() != classes => {
            format!("{} logits of {classes} classes", logits.len())
        }
        (logits, _) if logits.is_empty() => "no logits".to_string(),
        (logits, _) => match largest(logits) {
            class if class == answer.class => return Ok(answer),
            class => format!("class {}, but the first largest logit is that of {class}", answer.class),
        },
    };
    Err(LinkError::Impossible { problem })
}

/// A board's text as it may be shown: what a terminal would act on is written as an escape.
fn printable(text: &str) -> String {
    let acts = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match acts(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// What the board has of an image, as its answer to a [`Request::Load`] says.
fn pieces_of(response: &Response, transfer: u32) -> Option<Pieces> {
    match *response {
        Response::Loaded { transfer: of, received, ahead } if of == transfer => {
            Some(Pieces::of(received, ahead))
        }
        _ => None,
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
    /// Peak use of the stack, in bytes, since boot.
    pub stack_bytes: u32,
    /// Bytes of RAM for the stack.
    pub stack_capacity: u32,
    /// The model, or why there is none.
    pub model: Result<ModelInfo, goldcrest_link::message::ModelFault>,
    /// What it takes to give it a new model over the link.
    pub updates: Updates,
}

impl From<&Info<'_>> for BoardInfo {
    fn from(info: &Info<'_>) -> Self {
        Self {
            board: printable(info.board),
            firmware: printable(info.firmware),
            ticks_per_second: info.ticks_per_second,
            firmware_bytes: info.firmware_bytes,
            slot_bytes: info.slot_bytes,
            arena_capacity: info.arena_capacity,
            stack_bytes: info.stack_bytes,
            stack_capacity: info.stack_capacity,
            model: info.model,
            updates: info.updates,
        }
    }
}
