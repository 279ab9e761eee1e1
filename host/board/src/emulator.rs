//! A board in QEMU: its process, its serial line, its logs.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use super::child;
pub use super::child::Line;
use super::client::{BoardInfo, Client, LinkError, Patience};
use super::firmware::{self, BuildError, Firmware};
use super::log::{Listener, Log, quoted};
use super::qemu::{self, ICOUNT_SHIFT, QemuError};
use super::table::Board;

/// An emulated board with a device image in its slot, answering.
pub struct Emulator {
    board: &'static Board,
    client: Client<Line>,
    firmware: Firmware,
    info: BoardInfo,
    process: Process,
}

/// A classification by an emulated board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Index of the first largest logit.
    pub class: usize,
    /// One per class.
    pub logits: Vec<i8>,
    /// Instructions of the inference alone, exact; 0 from [`Emulator::trace`] and
    /// [`Emulator::profile`].
    pub instructions: u64,
}

/// Why an emulated board does not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The firmware could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// QEMU is missing or does not start.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The device image is larger than its place.
    #[error(
        "device image of {image} bytes, but {board} keeps {slot} bytes of flash for it; pack it with \
         --optimize flash or choose a larger board"
    )]
    ImageTooLarge {
        /// The board.
        board: &'static str,
        /// Bytes of the image.
        image: u64,
        /// Bytes of its place.
        slot: u64,
    },
    /// The device image is not one, or takes more than the board has.
    #[error("{board}: {problem}")]
    Model {
        /// The board.
        board: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Files and sockets of the emulation.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What happened.
        error: io::Error,
    },
    /// QEMU ended.
    #[error("the emulated {board} stopped ({status}); {}", quoted(.log))]
    Stopped {
        /// The board.
        board: &'static str,
        /// QEMU's exit status.
        status: String,
        /// Last log lines.
        log: Vec<String>,
    },
    /// The conversation failed.
    #[error("the emulated {board}: {error}; {}", quoted(.log))]
    Link {
        /// The board.
        board: &'static str,
        /// What happened.
        error: LinkError,
        /// Last log lines.
        log: Vec<String>,
    },
}

/// Choices about an emulation.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Hears each line that the board logs.
    pub log: Listener,
    /// How long to wait for the board.
    pub patience: Patience,
    /// Puts something into the serial line: takes the board's end and gives the host's.
    pub through: Option<fn(Line) -> io::Result<Line>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { log: |_| (), patience: Patience::default(), through: None }
    }
}

impl Emulator {
    /// Builds a board's firmware and starts it with a device image.
    pub fn start(board: &'static Board, image: &[u8], options: Options) -> Result<Self, EmulatorError> {
        qemu::check(board)?;
        let firmware = firmware::build(board)?;
        Self::boot(board, firmware, image, options)
    }

    /// Starts a board with a firmware built before.
    pub fn boot(
        board: &'static Board,
        firmware: Firmware,
        image: &[u8],
        options: Options,
    ) -> Result<Self, EmulatorError> {
        if image.len() as u64 > firmware.slot_bytes {
            let (image, slot) = (image.len() as u64, firmware.slot_bytes);
            return Err(EmulatorError::ImageTooLarge { board: board.name, image, slot });
        }
        let io = |what| move |error| EmulatorError::Io { what, error };
        let (line, end) = child::line().map_err(io("the serial line's sockets"))?;
        line.set_write_timeout(Some(Duration::from_secs(60))).map_err(io("the serial line's sockets"))?;
        let mut child = qemu::start(board, &firmware, image, end)?;
        let log = Log::new(options.log);
        if let Some(stdout) = child.stdout.take() {
            log.collect_defmt(&firmware.elf, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            log.collect_text(stderr);
        }
        let mut process = Process { board: board.name, child, log };
        let line = match options.through {
            Some(through) => through(line).map_err(io("the serial line's sockets"))?,
            None => line,
        };
        let client = Client::connect(line, options.patience);
        let mut client = client.map_err(|error| process.explain(error))?;
        let info = client.info().map_err(|error| process.explain(error))?;
        if let Err(fault) = &info.model {
            let problem = super::client::model_fault(fault);
            return Err(EmulatorError::Model { board: board.name, problem });
        }
        Ok(Self { board, client, firmware, info, process })
    }

    /// What the board said of itself when it started.
    pub fn info(&self) -> &BoardInfo {
        &self.info
    }

    /// What the board says of itself now; its stack gauge rises with what it did.
    pub fn fresh_info(&mut self) -> Result<BoardInfo, EmulatorError> {
        self.client.info().map_err(|error| self.process.explain(error))
    }

    /// The conversation with it, for what goes beyond classification.
    pub fn client(&mut self) -> &mut Client<Line> {
        &mut self.client
    }

    /// The last lines of its log, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.process.log.tail()
    }

    /// The firmware it runs.
    pub fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// Classifies an image: u8 pixels, HWC.
    pub fn infer(&mut self, pixels: &[u8]) -> Result<Answer, EmulatorError> {
        let answer = self.client.infer(pixels).map_err(|error| self.process.explain(error))?;
        let instructions = self.instructions(answer.ticks);
        Ok(Answer { class: answer.class, logits: answer.logits, instructions })
    }

    /// Every layer's output of one image, int8, HWC, in the order of the device image's layers.
    /// Layers that write only a part of a tensor have an empty output; the last part has all of it.
    pub fn trace(&mut self, pixels: &[u8]) -> Result<Vec<Vec<i8>>, EmulatorError> {
        let (_, outputs) = self.client.trace(pixels).map_err(|error| self.process.explain(error))?;
        let mut layers = vec![Vec::new(); self.layers()];
        for (layer, output) in outputs {
            if let Some(place) = layers.get_mut(layer) {
                *place = output;
            }
        }
        Ok(layers)
    }

    /// Instructions of every layer for one image, in the order of the device image's layers. Layers
    /// that write only a part of a tensor count to the last part's.
    pub fn profile(&mut self, pixels: &[u8]) -> Result<Vec<u64>, EmulatorError> {
        let (_, ticks) = self.client.profile(pixels).map_err(|error| self.process.explain(error))?;
        let mut layers = vec![0; self.layers()];
        for (layer, ticks) in ticks {
            if let Some(place) = layers.get_mut(layer) {
                *place = self.instructions(ticks);
            }
        }
        Ok(layers)
    }

    /// Runs the golden vectors in the device image: how many there are, how many failed.
    pub fn self_test(&mut self) -> Result<(usize, usize), EmulatorError> {
        self.client.self_test().map_err(|error| self.process.explain(error))
    }

    fn layers(&self) -> usize {
        self.info.model.map_or(0, |model| model.layers.into())
    }

    /// Ticks of the board's timer as instructions: QEMU's virtual time advances by a fixed step per
    /// instruction.
    pub fn instructions(&self, ticks: u64) -> u64 {
        let emulated = self.board.machine.as_ref().and_then(|machine| machine.ticks_per_second);
        let ticks_per_second = emulated.unwrap_or(self.info.ticks_per_second);
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
        let step = 1u128 << ICOUNT_SHIFT;
        ((nanoseconds + step / 2) / step) as u64
    }
}

/// QEMU's process; ended when dropped.
struct Process {
    board: &'static str,
    child: Child,
    log: Log,
}

impl Process {
    /// A link error, or what is behind it: an emulator that ended.
    fn explain(&mut self, error: LinkError) -> EmulatorError {
        let patience = match error {
            LinkError::Closed | LinkError::Line(_) => Duration::from_secs(2),
            _ => Duration::ZERO,
        };
        self.stopped(patience).unwrap_or_else(|| EmulatorError::Link {
            board: self.board,
            error,
            log: self.log.tail(),
        })
    }

    /// The error of an emulator that ended, waiting a little for it to do so.
    fn stopped(&mut self, patience: Duration) -> Option<EmulatorError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                // Its last words may still be on their way through the pipe.
                std::thread::sleep(Duration::from_millis(50));
                let (status, log) = (status.to_string(), self.log.tail());
                return Some(EmulatorError::Stopped { board: self.board, status, log });
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
