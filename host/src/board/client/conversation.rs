//! One question at a time: sequence numbers, time-outs, transmissions.

use std::convert::Infallible;
use std::io;
use std::time::{Duration, Instant};

use goldcrest_shared::link::Decoder;
use goldcrest_shared::link::frame::Sink;
use goldcrest_shared::link::message::{self, Refusal, Request, Response};

use super::{LinkError, Transport};

/// What a response means to the question asked.
pub enum Outcome<R> {
    /// The answer.
    Done(R),
    /// A part of it; more will come.
    More,
    /// A part before this one was lost.
    Gap,
    /// No part of an answer to this question.
    Unexpected,
}

/// A line with its frames and sequence numbers.
pub struct Conversation<T> {
    transport: T,
    decoder: Decoder<Vec<u8>>,
    received: Vec<u8>,
    /// Bytes of `received` that were looked at.
    read: usize,
    sequence: u32,
}

/// Longest payload a board may send.
const LONGEST_FRAME: usize = 64 * 1024;

impl<T: Transport> Conversation<T> {
    /// A conversation that has not begun. Its sequence numbers start anywhere, so that answers to
    /// an earlier program's questions are not taken for ours.
    pub fn new(transport: T) -> Self {
        let decoder = Decoder::new(vec![0; LONGEST_FRAME]);
        Self { transport, decoder, received: Vec::new(), read: 0, sequence: rand::random() }
    }

    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Sends a request up to `attempts` times, `timeout` apart, until `judge` has an answer. Each part of an
    /// answer starts the time-out anew.
    pub fn ask<R>(
        &mut self,
        request: &Request,
        timeout: Duration,
        attempts: u32,
        mut judge: impl FnMut(&Response) -> Outcome<R>,
    ) -> Result<R, LinkError> {
        // Sequence number 0 is the board's for frames it could not read.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let sequence = self.sequence;
        // The zero in front ends whatever half frame the board may still be waiting to see the end of.
        let mut frame = Bytes(vec![0]);
        message::send(&mut frame, sequence, request).unwrap_or_else(|never| match never {});
        let start = Instant::now();
        let mut last = LinkError::Silent { attempts, waited: Duration::ZERO };
        for _ in 0..attempts {
            self.transport.send(&frame.0).map_err(LinkError::Line)?;
            match self.listen(sequence, timeout, &mut judge) {
                Err(LinkError::Silent { .. }) => {
                    last = LinkError::Silent { attempts, waited: start.elapsed() }
                }
                Err(error) if error.is_loss() => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn listen<R>(
        &mut self,
        sequence: u32,
        timeout: Duration,
        judge: &mut impl FnMut(&Response) -> Outcome<R>,
    ) -> Result<R, LinkError> {
        let mut deadline = Instant::now() + timeout;
        loop {
            let Some(byte) = self.next(deadline)? else {
                return Err(LinkError::Silent { attempts: 1, waited: timeout });
            };
            // A damaged frame, or one of a version we do not know, is as good as none.
            let Some(Ok(payload)) = self.decoder.push(byte) else { continue };
            let Ok((of, response)) = message::decode::<Response>(payload) else { continue };
            match response {
                Response::Refused(Refusal::Damaged) if of == 0 => {
                    return Err(LinkError::Refused(Refusal::Damaged));
                }
                _ if of != sequence => continue,
                Response::Refused(refusal) => return Err(LinkError::Refused(refusal)),
                response => match judge(&response) {
                    Outcome::Done(answer) => return Ok(answer),
                    Outcome::More => deadline = Instant::now() + timeout,
                    Outcome::Gap => return Err(LinkError::Gap),
                    Outcome::Unexpected => return Err(LinkError::Unexpected),
                },
            }
        }
    }

    /// The next byte from the line, or `None` at the deadline.
    fn next(&mut self, deadline: Instant) -> Result<Option<u8>, LinkError> {
        if let Some(&byte) = self.received.get(self.read) {
            self.read += 1;
            return Ok(Some(byte));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        self.received.resize(4096, 0);
        self.read = 0;
        match self.transport.receive(&mut self.received, left) {
            Ok(0) => {
                self.received.clear();
                Err(LinkError::Closed)
            }
            Ok(count) => {
                self.received.truncate(count);
                self.next(deadline)
            }
            Err(error) => {
                self.received.clear();
                match error.kind() {
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Ok(None),
                    io::ErrorKind::Interrupted => self.next(deadline),
                    _ => Err(LinkError::Line(error)),
                }
            }
        }
    }
}

/// A frame in memory.
struct Bytes(Vec<u8>);

impl Sink for Bytes {
    type Error = Infallible;
    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
