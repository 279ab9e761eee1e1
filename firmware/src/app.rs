//! The application: frames in, answers out.

pub mod classify;
mod model;
mod picture;
mod service;
mod signature;
mod transfer;
pub mod update;

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};
use goldcrest_link::frame::Sink;
use goldcrest_link::message::{self, Refusal, Request, Response};
use goldcrest_link::{Decoder, FrameError};

use crate::clock::Stopwatch;
use crate::log::{debug, warn};
use service::Next;
use service::Service;
#[cfg(target_os = "none")]
pub(crate) use service::time;
#[cfg(target_os = "none")]
pub(crate) use signature::KEY;
use update::Slot;

/// What a board gives the application.
#[derive(Debug)]
pub struct Site<'m, S, F> {
    /// The board's name in the table of boards.
    pub board: &'static str,
    /// The flash slot of the current device image, whole.
    pub slot: &'m [u8],
    /// The slot that the next device image goes to, on boards that have a second one.
    pub spare: Option<F>,
    /// Ed25519 public key of those who may sign the manifests of device images; none: all are taken.
    pub key: Option<[u8; 32]>,
    /// RAM for the model's activations.
    pub arena: &'m mut [u32],
    /// RAM for one received frame; bounds how many pixels come at a time.
    pub frame: &'m mut [u8],
    /// Bytes that the line holds while the application is busy.
    pub ahead_bytes: u32,
    /// The stack's gauge.
    pub stack: S,
    /// Bytes of flash that the firmware occupies.
    pub firmware_bytes: u32,
    /// What the firmware said before it started anew; empty when it was the power, or a button.
    pub last_words: &'m str,
}

/// How deep the stack went.
pub trait Stack {
    /// Bytes kept for the stack.
    fn capacity(&self) -> u32;
    /// Maximum number of bytes in use at any time since boot.
    fn used(&self) -> u32;
    /// Whether the last word of the stack was ever written: what lies below it may be damaged.
    fn overflowed(&self) -> bool;
}

impl<S: Stack> Stack for &S {
    fn capacity(&self) -> u32 {
        S::capacity(self)
    }
    fn used(&self) -> u32 {
        S::used(self)
    }
    fn overflowed(&self) -> bool {
        S::overflowed(self)
    }
}

/// The application on one board.
pub struct App<'m, L, D, W, S, F> {
    line: L,
    led: D,
    decoder: Decoder<&'m mut [u8]>,
    service: Service<'m, W, S, F>,
}

/// Why the application stopped serving.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The line ended, which a real serial line never does.
    LineEnded,
    /// A new model is in the other slot: start the application again with [`update::current`].
    NewModel,
}

impl<'m, L: Read + Write, D: OutputPin, W: Stopwatch, S: Stack, F: Slot> App<'m, L, D, W, S, F> {
    /// Checks the model in the slot and makes ready. A missing or damaged model is not a failure:
    /// requests that need one are refused with the reason.
    pub fn new(mut site: Site<'m, S, F>, line: L, led: D, watch: W) -> Self {
        let frame = core::mem::take(&mut site.frame);
        let frame_bytes = frame.len() as u32;
        let decoder = Decoder::new(frame);
        Self { line, led, decoder, service: Service::new(site, frame_bytes, watch) }
    }

    /// Serves requests until the line ends or another model becomes the current one.
    ///
    /// # Errors
    /// What the line reports.
    pub fn serve(&mut self) -> Result<Stopped, L::Error> {
        let mut received = [0; 64];
        loop {
            let count = self.line.read(&mut received)?;
            if count == 0 {
                return Ok(Stopped::LineEnded);
            }
            for &byte in received.iter().take(count) {
                if let Some(frame) = self.decoder.push(byte) {
                    // A light that fails is not a reason to leave a host without its answer.
                    let _ = self.led.set_high();
                    let next = answer(&mut self.service, &mut Line(&mut self.line), frame);
                    let _ = self.led.set_low();
                    let next = next?;
                    self.line.flush()?;
                    if next == Next::Restart {
                        // Bytes behind the request belong to a host that did not wait; it asks again.
                        return Ok(Stopped::NewModel);
                    }
                }
            }
        }
    }
}

fn answer<L: Write, W: Stopwatch, S: Stack, F: Slot>(
    service: &mut Service<'_, W, S, F>,
    line: &mut Line<'_, L>,
    frame: Result<&[u8], FrameError>,
) -> Result<Next, L::Error> {
    let payload = match frame {
        Ok(payload) => payload,
        Err(error) => {
            debug!("{}", error);
            message::send(line, 0, &Response::Refused(Refusal::Damaged))?;
            return Ok(Next::Serve);
        }
    };
    match message::decode::<Request>(payload) {
        Ok((sequence, request)) => service.handle(&request, &mut Reply { line, sequence, sent: 0 }),
        Err(malformed) => {
            warn!("a whole frame that is not a request: does the host speak another version?");
            let sequence = malformed.sequence.unwrap_or(0);
            message::send(line, sequence, &Response::Refused(Refusal::Malformed))?;
            Ok(Next::Serve)
        }
    }
}

/// The line as the place where frames go.
struct Line<'a, L>(&'a mut L);

impl<L: Write> Sink for Line<'_, L> {
    type Error = L::Error;
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write_all(bytes)
    }
}

/// Where the responses to one request go.
struct Reply<'a, 'l, L> {
    line: &'a mut Line<'l, L>,
    sequence: u32,
    /// Responses sent so far.
    sent: u32,
}

impl<L: Write> Reply<'_, '_, L> {
    fn send(&mut self, response: &Response) -> Result<(), L::Error> {
        self.sent = self.sent.wrapping_add(1);
        message::send(self.line, self.sequence, response)
    }
}

#[cfg(test)]
mod tests;
