//! Requests of the host and responses of the board.
//!
//! A payload is the sequence number (postcard `u32`) followed by one [`Request`] or [`Response`].
//! The order of variants and fields is the wire format: append, never reorder, and raise
//! [`VERSION`](super::VERSION) when an old firmware would misread the result.

use serde::{Deserialize, Serialize};

use super::frame::{Encoder, Sink};
use super::values::Values;

/// What the host asks. Every request may be sent twice: the second time changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Request<'a> {
    /// Who are you? First request of a conversation; encoded alike in every version.
    Hello {
        /// [`VERSION`](super::VERSION) of the host.
        version: u16,
    },
    /// The board, its firmware and its model; answered by [`Response::Info`].
    Info,
    /// A piece of an image's pixels, as [`Pieces`](super::Pieces) takes them; answered by
    /// [`Response::Loaded`]. A piece of an unknown transfer starts one.
    Load {
        /// Names the image; the host counts on for every new one.
        transfer: u32,
        /// Index of the first pixel byte.
        offset: u32,
        /// u8 pixels, HWC.
        #[serde(borrow, serialize_with = "as_bytes")]
        pixels: &'a [u8],
    },
    /// Classify the loaded image; answered by what the report asks for, then by
    /// [`Response::Answer`].
    Run {
        /// The image.
        transfer: u32,
        /// [`CRC`](super::CRC) over all its pixels.
        crc: u32,
        /// What to send beside the answer.
        report: Report,
    },
    /// Classify the golden vectors of the model; answered by [`Response::SelfTest`].
    SelfTest,
    /// A piece of a new device image, as [`Pieces`](super::Pieces) takes them; answered by
    /// [`Response::Written`]. A piece of an unknown update erases the slot that is not in use and starts
    /// one; the model in use goes on running. A firmware with a key takes pieces only of an update that
    /// [`Request::Begin`] has begun.
    Write {
        /// Names the update.
        update: u32,
        /// Bytes of the whole device image.
        total: u32,
        /// Index of the first byte.
        offset: u32,
        /// Bytes of the device image.
        #[serde(borrow, serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Check the new device image, run its golden vectors, and make it the current one for good; answered
    /// by [`Response::Activated`].
    Activate {
        /// The update.
        update: u32,
        /// [`CRC`](super::CRC) over all bytes of the device image.
        crc: u32,
    },
    /// Why did the firmware start anew? Answered by [`Response::LastWords`].
    LastWords,
    /// Pixels of a picture of any size, in order, of which the board makes the model's input by the model's
    /// own preprocessing; answered by [`Response::Prepared`]. The first bytes of an unknown transfer start
    /// one. [`Request::Run`] classifies it; its CRC is that of the picture's pixels.
    Picture {
        /// Names the picture, as in [`Request::Load`].
        transfer: u32,
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
        /// 1 (gray) or 3 (RGB).
        channels: u8,
        /// Index of the first pixel byte.
        offset: u32,
        /// u8 pixels, HWC.
        #[serde(borrow, serialize_with = "as_bytes")]
        pixels: &'a [u8],
    },
    /// Begins an update of a firmware with a key; answered by [`Response::Written`]. Only when the manifest
    /// is signed, for this board and for a later version of the model is the slot erased that is not in use.
    /// A firmware without a key looks at nothing and erases nothing.
    Begin {
        /// Names the update.
        update: u32,
        /// A [`Manifest`](super::Manifest) and its signature.
        #[serde(borrow, serialize_with = "as_bytes")]
        manifest: &'a [u8],
    },
}

/// What a board sends of an inference beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Report {
    /// Nothing.
    Answer,
    /// The output of every layer, as [`Response::Layer`].
    Trace,
    /// The time of every layer, as [`Response::LayerTicks`].
    Profile,
}

/// What the board answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response<'a> {
    /// Answer to [`Request::Hello`]; encoded alike in every version.
    Hello {
        /// [`VERSION`](super::VERSION) of the firmware.
        version: u16,
        /// Longest frame the board can receive: bytes of payload and CRC.
        frame_bytes: u32,
        /// Bytes of further frames that the board, or the line in front of it, holds while it is busy
        /// with one.
        ahead_bytes: u32,
    },
    /// Answer to [`Request::Info`].
    Info(#[serde(borrow)] Info<'a>),
    /// Answer to [`Request::Load`].
    Loaded {
        /// The image.
        transfer: u32,
        /// Pixel bytes received without a gap: [`Pieces::received`](super::Pieces::received).
        received: u32,
        /// Those behind the gap: [`Pieces::ahead`](super::Pieces::ahead).
        ahead: u64,
    },
    /// A piece of a layer's output, in order; part of the answer to [`Report::Trace`].
    Layer {
        /// Index of the layer in the image.
        layer: u16,
        /// Index of the first value.
        offset: u32,
        /// Values of the whole output.
        length: u32,
        /// HWC.
        #[serde(borrow)]
        values: Values<'a>,
    },
    /// Time of one layer; part of the answer to [`Report::Profile`].
    LayerTicks {
        /// Index of the layer in the image.
        layer: u16,
        /// In units of [`Info::ticks_per_second`].
        ticks: u64,
    },
    /// Answer to [`Request::Run`].
    Answer {
        /// The image.
        transfer: u32,
        /// Index of the first largest logit.
        class: u16,
        /// Time of the inference, in units of [`Info::ticks_per_second`]; 0 with [`Report::Trace`]
        /// and [`Report::Profile`], whose inferences are interrupted by reports.
        ticks: u64,
        /// How many [`Response::Layer`]s or [`Response::LayerTicks`] were sent before: a host that has
        /// fewer lost some.
        parts: u32,
        /// One per class.
        #[serde(borrow)]
        logits: Values<'a>,
    },
    /// Answer to [`Request::SelfTest`].
    SelfTest {
        /// Golden vectors in the model.
        vectors: u16,
        /// How many of them gave other logits than expected.
        failed: u16,
    },
    /// The request was understood, or at least received, and not done.
    Refused(Refusal),
    /// Answer to [`Request::Write`].
    Written {
        /// The update.
        update: u32,
        /// Bytes received without a gap.
        received: u32,
        /// Those behind the gap.
        ahead: u64,
    },
    /// Answer to [`Request::Activate`]: what runs from now on.
    Activated(ModelInfo),
    /// Answer to [`Request::LastWords`].
    LastWords {
        /// What the firmware said before it started anew, such as where it panicked; empty when it was the
        /// power, or a button.
        message: &'a str,
    },
    /// Answer to [`Request::Picture`].
    Prepared {
        /// The picture.
        transfer: u32,
        /// Pixel bytes taken; those that follow are wanted next.
        received: u32,
        /// [`CRC`](super::CRC) of the model's input (u8, HWC) that was made of it, once it was whole.
        input: Option<u32>,
    },
}

/// Why a board does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// A damaged frame came in; its sequence number is unknown, so this one's is 0. A hint to send
    /// the request again without waiting.
    Damaged,
    /// The frame is whole, but its payload is not a request of this version.
    Malformed,
    /// There is no model that can run.
    NoModel(ModelFault),
    /// The image is not complete, or was consumed by an earlier run: load it from `received` on.
    Incomplete {
        /// Pixel bytes the board has of this transfer.
        received: u32,
        /// Pixel bytes of an image.
        expected: u32,
    },
    /// The piece reaches beyond the end of an image.
    TooLong {
        /// Pixel bytes of an image.
        expected: u32,
    },
    /// The pixels are not those of the CRC in [`Request::Run`]: load the image again.
    WrongPixels,
    /// The stack reached its limit, so no result of this boot can be trusted: reset the board, and
    /// give it a build with more stack.
    StackOverflow,
    /// This board has no second slot for a model, or no way to write it.
    NoUpdate,
    /// The new device image is larger than its slot.
    TooLarge {
        /// Bytes of the slot.
        slot: u32,
    },
    /// Writing or erasing flash failed.
    Flash,
    /// The bytes in the slot are not those of the CRC in [`Request::Activate`]: write them again.
    WrongImage,
    /// The manifest is signed with another key than the firmware's, or is none, or the device image is not
    /// the one that it was signed for.
    Signature,
    /// The new device image cannot run here.
    NewModel(ModelFault),
    /// The new device image does not give the logits of its golden vectors, or has none.
    NewSelfTest {
        /// Golden vectors in it.
        vectors: u16,
        /// How many of them failed.
        failed: u16,
    },
    /// A picture of this shape cannot become the model's input: sides of 0, too many bytes, or channels that
    /// do not fit.
    Picture,
    /// A row of the picture does not fit the RAM beside the model's input.
    PictureRoom {
        /// Bytes it takes.
        needed: u32,
        /// Bytes there are.
        room: u32,
    },
    /// This firmware takes models only with a signed manifest, and this update has not begun with one.
    NotBegun,
    /// The manifest is for other boards.
    OtherBoard,
    /// The new model is not a later version than the board's, and not signed as a step back from it.
    Rollback {
        /// The version that the board has.
        installed: u32,
    },
}

/// What is wrong with the bytes in the model's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModelFault {
    /// No device image: nothing was written there.
    Absent,
    /// A device image of a format this firmware does not know.
    Version,
    /// A device image whose CRC does not match.
    Damaged,
    /// A device image whose CRC matches and that still breaks a rule of the format.
    Invalid,
    /// It takes more scratch memory than the board has.
    Arena {
        /// Bytes it takes.
        needed: u32,
    },
}

/// The board, its firmware, its memory and its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info<'a> {
    /// Name in the table of boards.
    pub board: &'a str,
    /// Version of the firmware package.
    pub firmware: &'a str,
    /// Unit of every time measured.
    pub ticks_per_second: u32,
    /// Bytes of flash that the firmware itself occupies: code, constants, initial values.
    pub firmware_bytes: u32,
    /// Bytes of flash kept for the device image.
    pub slot_bytes: u32,
    /// Bytes of RAM kept for the arena.
    pub arena_capacity: u32,
    /// Peak use of the stack, in bytes, at any time since boot.
    pub stack_bytes: u32,
    /// Bytes of RAM kept for the stack.
    pub stack_capacity: u32,
    /// The model, or why there is none.
    pub model: Result<ModelInfo, ModelFault>,
    /// What it takes to give it a new model over the link.
    pub updates: Updates,
}

/// Which new models a firmware takes over the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Updates {
    /// None: there is no second slot.
    None,
    /// Any that pass their own golden vectors: the firmware was built without a key.
    Unsigned,
    /// Those with a manifest that is signed with a key.
    Signed {
        /// The Ed25519 public key.
        key: [u8; 32],
        /// Version of the model in use; 0 where it is not known.
        version: u32,
    },
}

/// The device image a board runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The image's own CRC-32.
    pub crc: u32,
    /// Bytes of the device image.
    pub image_bytes: u32,
    /// Bytes of scratch memory it takes.
    pub arena_bytes: u32,
    /// Height, width, channels.
    pub input: [u16; 3],
    /// Number of logits.
    pub classes: u16,
    /// Number of layers.
    pub layers: u16,
    /// Number of golden vectors.
    pub golden: u16,
    /// What of a picture the model sees, as a number of the device image's format.
    pub fit: u8,
    /// RGB below transparent pixels, and beside pictures of other proportions.
    pub background: [u8; 3],
}

/// A payload that is not a message: the CRC is right, so the two sides speak different versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The sequence number, where at least that was readable.
    pub sequence: Option<u32>,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("payload is not a message of this protocol version")
    }
}

impl core::error::Error for Malformed {}

/// Reads a payload: its sequence number and its [`Request`] or [`Response`].
pub fn decode<'a, M: Deserialize<'a>>(payload: &'a [u8]) -> Result<(u32, M), Malformed> {
    let (sequence, rest) =
        postcard::take_from_bytes::<u32>(payload).map_err(|_| Malformed { sequence: None })?;
    match postcard::take_from_bytes(rest) {
        Ok((message, [])) => Ok((sequence, message)),
        _ => Err(Malformed { sequence: Some(sequence) }),
    }
}

/// Sends a [`Request`] or [`Response`] as one frame.
pub fn send<M: Serialize, S: Sink + ?Sized>(
    sink: &mut S,
    sequence: u32,
    message: &M,
) -> Result<(), S::Error> {
    let flavor = Framed { encoder: Encoder::new(sink), failure: None };
    match postcard::serialize_with_flavor(&(sequence, message), flavor) {
        Ok(outcome) => outcome,
        // Messages hold nothing that postcard cannot write, and a failed sink is not an error to it.
        Err(_) => unreachable!("a message of known length"),
    }
}

/// postcard output into a frame; keeps the sink's first error, which postcard's own cannot carry.
struct Framed<'a, S: Sink + ?Sized> {
    encoder: Encoder<'a, S>,
    failure: Option<S::Error>,
}

impl<S: Sink + ?Sized> postcard::ser_flavors::Flavor for Framed<'_, S> {
    type Output = Result<(), S::Error>;

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.failure.is_none() {
            self.failure = self.encoder.write(bytes).err();
        }
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(match self.failure {
            Some(failure) => Err(failure),
            None => self.encoder.finish(),
        })
    }
}

fn as_bytes<S: serde::Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decoder;
    use proptest::prelude::*;

    fn wire<M: Serialize>(sequence: u32, message: &M) -> Vec<u8> {
        let mut wire = Vec::new();
        send(&mut wire, sequence, message).unwrap();
        wire
    }

    fn payload(wire: &[u8]) -> Vec<u8> {
        let mut decoder = Decoder::new([0; 8192]);
        let mut frames: Vec<_> =
            wire.iter().filter_map(|&byte| decoder.push(byte).map(|end| end.unwrap().to_vec())).collect();
        assert_eq!(frames.len(), 1);
        frames.remove(0)
    }

    #[test]
    fn a_request_survives_the_wire() {
        let pixels: Vec<u8> = (0..=255).cycle().take(3072).collect();
        let request = Request::Load { transfer: 9, offset: 300, pixels: &pixels };
        let payload = payload(&wire(70_000, &request));
        assert_eq!(decode(&payload), Ok((70_000, request)));
        // The protocol's own bytes are under 1 % of an image that goes in one frame.
        let overhead = wire(70_000, &Request::Load { transfer: 9, offset: 0, pixels: &pixels }).len() - 3072;
        assert!(overhead * 100 < 3072, "{overhead} bytes");
    }

    #[test]
    fn sent_values_and_received_values_are_the_same() {
        let logits = [-128i8, -1, 0, 1, 127];
        let answer = Response::Answer {
            transfer: 1,
            class: 4,
            ticks: 1 << 40,
            parts: 9,
            logits: Values::new(&logits),
        };
        let payload = payload(&wire(3, &answer));
        let (sequence, received) = decode::<Response>(&payload).unwrap();
        assert_eq!((sequence, &received), (3, &answer));
        let Response::Answer { logits: received, .. } = received else { panic!("{received:?}") };
        assert_eq!(received.iter().collect::<Vec<_>>(), logits);
        assert_eq!(received.len(), 5);
    }

    #[test]
    fn a_payload_with_more_or_less_than_a_message_is_malformed() {
        let payload = payload(&wire(5, &Request::Hello { version: 1 }));
        let mut longer = payload.clone();
        longer.push(0);
        assert_eq!(decode::<Request>(&longer), Err(Malformed { sequence: Some(5) }));
        assert_eq!(decode::<Request>(&payload[..payload.len() - 1]), Err(Malformed { sequence: Some(5) }));
        assert_eq!(decode::<Request>(&[]), Err(Malformed { sequence: None }));
        assert_eq!(decode::<Request>(&[5, 99]), Err(Malformed { sequence: Some(5) }));
    }

    struct Broken;
    impl Sink for Broken {
        type Error = &'static str;
        fn put(&mut self, _: &[u8]) -> Result<(), Self::Error> {
            Err("line is down")
        }
    }

    #[test]
    fn a_failed_line_is_reported() {
        assert_eq!(send(&mut Broken, 1, &Request::Info), Err("line is down"));
        let pixels = [1; 1000];
        let load = Request::Load { transfer: 0, offset: 0, pixels: &pixels };
        assert_eq!(send(&mut Broken, 1, &load), Err("line is down"));
    }

    proptest! {
        #[test]
        fn any_payload_is_a_message_or_malformed(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode::<Request>(&payload);
            let _ = decode::<Response>(&payload);
        }
    }
}
