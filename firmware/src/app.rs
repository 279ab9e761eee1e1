//! The application: frames in, answers out.

mod service;
mod transfer;

use embedded_io::{Read, Write};
use goldcrest_shared::link::frame::Sink;
use goldcrest_shared::link::message::{self, Refusal, Request, Response};
use goldcrest_shared::link::{Decoder, FrameError};

use crate::clock::Stopwatch;
use crate::log::{debug, warn};
use service::Service;
#[cfg(target_os = "none")]
pub(crate) use service::time;

/// What a board gives the application.
#[derive(Debug)]
pub struct Site<'m, S> {
    /// The board's name in the table of boards.
    pub board: &'static str,
    /// The flash slot of the device image, whole.
    pub slot: &'m [u8],
    /// RAM for the model's activations.
    pub arena: &'m mut [u32],
    /// RAM for one received frame; bounds how many pixels come at a time.
    pub frame: &'m mut [u8],
    /// The stack's gauge.
    pub stack: S,
    /// Bytes of flash that the firmware occupies.
    pub firmware_bytes: u32,
}

/// How deep the stack went.
pub trait Stack {
    /// Bytes kept for the stack.
    fn capacity(&self) -> u32;
    /// Most bytes in use at any time since boot.
    fn used(&self) -> u32;
    /// Whether the last word of the stack was ever written: what lies below it may be damaged.
    fn overflowed(&self) -> bool;
}

/// The application on one board.
pub struct App<'m, L, W, S> {
    line: L,
    decoder: Decoder<&'m mut [u8]>,
    service: Service<'m, W, S>,
}

impl<'m, L: Read + Write, W: Stopwatch, S: Stack> App<'m, L, W, S> {
    /// Checks the model in the slot and makes ready. A missing or damaged model is no failure:
    /// requests that need one are refused with the reason.
    pub fn new(site: Site<'m, S>, line: L, watch: W) -> Self {
        let Site { board, slot, arena, frame, stack, firmware_bytes } = site;
        let decoder = Decoder::new(frame);
        let service = Service::new(board, firmware_bytes, slot, arena, stack, watch, decoder.capacity());
        Self { line, decoder, service }
    }

    /// Serves requests until the line ends, which a real serial line never does.
    ///
    /// # Errors
    /// What the line reports.
    pub fn serve(&mut self) -> Result<(), L::Error> {
        let mut received = [0; 64];
        loop {
            let count = self.line.read(&mut received)?;
            if count == 0 {
                return Ok(());
            }
            for &byte in received.iter().take(count) {
                if let Some(frame) = self.decoder.push(byte) {
                    answer(&mut self.service, &mut Line(&mut self.line), frame)?;
                    self.line.flush()?;
                }
            }
        }
    }
}

fn answer<L: Write, W: Stopwatch, S: Stack>(
    service: &mut Service<'_, W, S>,
    line: &mut Line<'_, L>,
    frame: Result<&[u8], FrameError>,
) -> Result<(), L::Error> {
    let payload = match frame {
        Ok(payload) => payload,
        Err(error) => {
            debug!("{}", error);
            return message::send(line, 0, &Response::Refused(Refusal::Damaged));
        }
    };
    match message::decode::<Request>(payload) {
        Ok((sequence, request)) => service.handle(&request, &mut Reply { line, sequence, sent: 0 }),
        Err(malformed) => {
            warn!("a whole frame that is no request: does the host speak another version?");
            let sequence = malformed.sequence.unwrap_or(0);
            message::send(line, sequence, &Response::Refused(Refusal::Malformed))
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
