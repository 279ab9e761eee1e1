//! What goes wrong between host and board.

use std::io;
use std::time::Duration;

use goldcrest_link::message::{ModelFault, Refusal};

/// Why a board gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The line itself failed.
    #[error("the serial line failed: {0}")]
    Line(io::Error),
    /// The other end hung up.
    #[error("the board closed the serial line")]
    Closed,
    /// Nobody answered.
    #[error(
        "no answer from the board after {attempts} requests in {} ms: has it power, is this its port, and \
         does it run Goldcrest's firmware?",
        waited.as_millis()
    )]
    Silent {
        /// Transmissions of the request.
        attempts: u32,
        /// Time waited in all.
        waited: Duration,
    },
    /// Bytes came, and no answer among them.
    #[error(
        "the line brought bytes for {} ms, but no answer: is it the board's port, at the line's speed, and \
         does the board run Goldcrest's firmware?",
        waited.as_millis()
    )]
    Babble {
        /// Time waited in all.
        waited: Duration,
    },
    /// All answers were damaged on the way.
    #[error("every answer of the board arrived damaged; check the line's speed (--baud)")]
    Damaged,
    /// Hardly a frame comes through.
    #[error("{attempts} rounds of frames in a row were lost; the line is too noisy")]
    Lost {
        /// Rounds.
        attempts: u32,
    },
    /// Both speak, but not the same language.
    #[error(
        "the firmware speaks version {board} of the link protocol, this program version {host}: build and \
         flash the firmware of this version"
    )]
    Version {
        /// The firmware's.
        board: u16,
        /// Ours.
        host: u16,
    },
    /// The firmware stopped and started anew.
    #[error("the firmware stopped and started anew: {message}")]
    Fault {
        /// What it said.
        message: String,
    },
    /// The board said no.
    #[error("{}", refusal(.0))]
    Refused(Refusal),
    /// An image of another size than the model's input.
    #[error("image of {given} bytes, but the model on the board takes {expected}; resize it")]
    Pixels {
        /// Bytes given.
        given: usize,
        /// Bytes of the model's input.
        expected: usize,
    },
    /// Pieces of a report were lost, every time.
    #[error("parts of the board's report were lost every time; the line is too noisy for reports")]
    Gap,
    /// An answer that its model cannot give.
    #[error(
        "the board gave an answer that its model cannot give ({problem}); is it a board with this firmware?"
    )]
    Impossible {
        /// What is wrong with it.
        problem: String,
    },
    /// An answer to another question.
    #[error("the board answered a request with a response of another kind; is its firmware of this version?")]
    Unexpected,
}

impl LinkError {
    /// Whether a frame was lost or damaged on the way, so that sending again may help.
    pub(super) fn is_loss(&self) -> bool {
        matches!(
            self,
            LinkError::Silent { .. }
                | LinkError::Babble { .. }
                | LinkError::Damaged
                | LinkError::Refused(Refusal::Damaged)
        )
    }

    /// Whether loading the image once more may help.
    pub(super) fn is_worth_a_reload(&self) -> bool {
        self.is_loss()
            || matches!(
                self,
                LinkError::Gap | LinkError::Refused(Refusal::Incomplete { .. } | Refusal::WrongPixels)
            )
    }
}

fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Damaged => "the board received damaged frames only: is the line's speed right?".to_string(),
        Refusal::Malformed => "the board does not understand the request: is its firmware of this \
             version?"
            .to_string(),
        Refusal::NoModel(fault) => format!("the board has no model that can run: {}", model_fault(fault)),
        Refusal::Incomplete { received, expected } => {
            format!("the board has {received} of the image's {expected} bytes; was it reset?")
        }
        Refusal::TooLong { expected } => format!("the model on the board takes images of {expected} bytes"),
        Refusal::WrongPixels => "the image was damaged on its way to the board".to_string(),
        Refusal::StackOverflow => {
            "the board's stack overflowed, so its results cannot be trusted; raise _stack_size in the \
             board's memory map"
                .to_string()
        }
        Refusal::NoUpdate => "this board cannot take a new model over the line; flash it".to_string(),
        Refusal::TooLarge { slot } => {
            format!(
                "the device image is larger than the board's slot of {slot} bytes; pack it with \
                 --optimize flash"
            )
        }
        Refusal::Flash => "the board could not write its flash; the old model still runs".to_string(),
        Refusal::WrongImage => "the device image was damaged on its way to the board".to_string(),
        Refusal::Signature => {
            "the device image is not signed with the key that this firmware was built for; the old model \
             still runs"
                .to_string()
        }
        Refusal::NotBegun => {
            "this firmware takes signed models only: make one with `goldcrest pack --sign KEY \
             --model-version N`"
                .to_string()
        }
        Refusal::OtherBoard => {
            "the device image is signed for another board; pack it with --board for this one".to_string()
        }
        Refusal::Rollback { installed } => {
            format!(
                "the board has version {installed} of the model, and takes only later ones; pack it with a \
                 higher --model-version, or sign the step back with --replaces {installed}"
            )
        }
        Refusal::NewModel(fault) => {
            format!(
                "the new model cannot run on this board, so the old one still does: \
                 {}",
                model_fault(fault)
            )
        }
        Refusal::NewSelfTest { vectors: 0, .. } => {
            "the device image has no golden vectors to test itself with; pack it with some".to_string()
        }
        Refusal::NewSelfTest { vectors, failed } => {
            format!(
                "the new model gives wrong logits for {failed} of its {vectors} golden vectors, so the \
                 old one still runs"
            )
        }
        Refusal::Picture => {
            "the model on the board cannot take a picture of this size or colour form; resize \
             it, or send it without --board-resizes"
                .to_string()
        }
        Refusal::PictureRoom { needed, room } => {
            format!(
                "a row of the picture takes {needed} bytes of RAM on the board, but {room} are free beside \
                 the model's input; make the picture narrower, or send it without --board-resizes"
            )
        }
        other => format!("the board refuses: {other:?}"),
    }
}

/// A fault of a device image, in words, with what to do.
pub fn model_fault(fault: &ModelFault) -> String {
    match fault {
        ModelFault::Absent => "the model's slot holds no device image; flash one".to_string(),
        ModelFault::Version => {
            "the device image is of another format version than the firmware; pack it again with this program"
                .to_string()
        }
        ModelFault::Damaged => "the device image is damaged or cut short; flash it again".to_string(),
        ModelFault::Invalid => {
            "the device image breaks the rules of its format, or is for other cores or kernels \
             than the firmware was built with; pack it for this board and flash both"
                .to_string()
        }
        ModelFault::Arena { needed } => {
            format!(
                "the model takes {needed} bytes of RAM, more than the board has; pack it with --optimize ram"
            )
        }
        other => format!("{other:?}"),
    }
}
