//! Questions and answers: sequence numbers, time-outs, transmissions.

use std::convert::Infallible;
use std::io;
use std::time::{Duration, Instant};

use goldcrest_link::Decoder;
use goldcrest_link::frame::Sink;
use goldcrest_link::message::{self, Refusal, Request, Response};

use super::pace::Pace;
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
    /// A wait ended with a damaged frame, so answers to older questions may still come.
    stale: bool,
    /// When what is being done ends, whatever the board says by then.
    end: Instant,
}

/// Longest payload a board may send.
const LONGEST_FRAME: usize = 64 * 1024;
/// Sequence numbers stay below this, so that they take two bytes.
const SEQUENCES: u32 = 1 << 14;

/// What a read of the line ended with.
enum Heard<'a> {
    /// A whole response and its sequence number.
    Response(u32, Response<'a>),
    /// A frame that cannot be read.
    Damaged,
    /// No frame in time.
    Silence,
}

/// A wait for bytes, which ends however many of them come.
struct Wait {
    deadline: Instant,
    /// When the deadline was first seen to be over. This program may have been elsewhere at the deadline, so
    /// what has come by then still counts.
    over: Option<Instant>,
    /// Bytes that came.
    bytes: usize,
}

impl Wait {
    /// Time to read what is there when the deadline is over.
    const GRACE: Duration = Duration::from_millis(20);
    /// The shortest wait for a byte: a look at what is there.
    const SHORTEST: Duration = Duration::from_millis(1);

    fn until(deadline: Instant) -> Self {
        Self { deadline, over: None, bytes: 0 }
    }

    /// How long to wait for the next byte; `None` when the wait is over.
    fn left(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        if left.is_zero() {
            let over = *self.over.get_or_insert(now);
            if now.duration_since(over) >= Self::GRACE {
                return None;
            }
        }
        Some(left.max(Self::SHORTEST))
    }
}

impl<T: Transport> Conversation<T> {
    /// A conversation that has not begun. Its sequence numbers start anywhere, so that answers to
    /// an earlier program's questions are not taken for ours.
    pub fn new(transport: T) -> Self {
        let decoder = Decoder::new(vec![0; LONGEST_FRAME]);
        let sequence = rand::random::<u32>() % SEQUENCES;
        let end = Instant::now();
        Self { transport, decoder, received: Vec::new(), read: 0, sequence, stale: false, end }
    }

    /// Begins something that takes several questions and may take so long in all.
    pub fn begin(&mut self, limit: Duration) {
        self.end = Instant::now() + limit;
    }

    /// Whether there is no time left for another question.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Sequence number 0 is the board's for frames it could not read.
    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence % (SEQUENCES - 1) + 1;
        self.sequence
    }

    /// Sends a request up to `attempts` times until `judge` has an answer, waiting as `pace` says. Each part
    /// of an answer starts the wait anew.
    pub fn ask<R>(
        &mut self,
        request: &Request,
        pace: &mut Pace,
        attempts: u32,
        mut judge: impl FnMut(&Response) -> Outcome<R>,
    ) -> Result<R, LinkError> {
        let sequence = self.next_sequence();
        let frame = frame(sequence, request);
        let start = Instant::now();
        let mut last = LinkError::Silent { attempts, waited: Duration::ZERO };
        for attempt in 1..=attempts {
            if attempt > 1 && self.is_over() {
                break;
            }
            self.settle()?;
            let sent = Instant::now();
            self.transport.send(&frame).map_err(LinkError::Line)?;
            match self.listen(sequence, pace.wait(frame.len()), &mut judge) {
                Err(LinkError::Silent { .. }) => {
                    pace.silent();
                    last = LinkError::Silent { attempts: attempt, waited: start.elapsed() }
                }
                Err(LinkError::Babble { .. }) => {
                    pace.silent();
                    last = LinkError::Babble { waited: start.elapsed() }
                }
                Err(error) if error.is_loss() => last = error,
                other => {
                    pace.answered(frame.len(), sent.elapsed());
                    return other;
                }
            }
        }
        Err(last)
    }

    /// Sends several requests without waiting between them, and hands each response to `judge`. Ends when
    /// the last one, or as many frames as requests, were answered, or with silence. How many of the
    /// responses came whole.
    pub fn ask_all(
        &mut self,
        requests: &[Request],
        pace: &mut Pace,
        mut judge: impl FnMut(&Response),
    ) -> Result<usize, LinkError> {
        let mut bytes = Vec::new();
        let mut sequences = Vec::with_capacity(requests.len());
        for request in requests {
            let sequence = self.next_sequence();
            sequences.push(sequence);
            bytes.extend(frame(sequence, request));
        }
        self.settle()?;
        let sent = Instant::now();
        self.transport.send(&bytes).map_err(LinkError::Line)?;
        let mut wait = Wait::until(self.end.min(sent + pace.wait(bytes.len())));
        let (mut whole, mut ended) = (0, 0);
        while ended < requests.len() {
            match self.hear(&mut wait)? {
                Heard::Silence => {
                    if whole == 0 {
                        pace.silent();
                    }
                    return Ok(whole);
                }
                Heard::Damaged | Heard::Response(0, Response::Refused(Refusal::Damaged)) => ended += 1,
                Heard::Response(of, response) => {
                    let Some(index) = sequences.iter().position(|&sequence| sequence == of) else {
                        continue;
                    };
                    if let Response::Refused(refusal) = response {
                        return Err(LinkError::Refused(refusal));
                    }
                    judge(&response);
                    (whole, ended) = (whole + 1, ended + 1);
                    if index + 1 == sequences.len() {
                        break;
                    }
                }
            }
        }
        pace.answered(bytes.len(), sent.elapsed());
        Ok(whole)
    }

    fn listen<R>(
        &mut self,
        sequence: u32,
        timeout: Duration,
        judge: &mut impl FnMut(&Response) -> Outcome<R>,
    ) -> Result<R, LinkError> {
        let mut wait = Wait::until(self.end.min(Instant::now() + timeout));
        loop {
            match self.hear(&mut wait)? {
                Heard::Silence if wait.bytes > Self::REMNANT => {
                    return Err(LinkError::Babble { waited: timeout });
                }
                Heard::Silence => {
                    return Err(LinkError::Silent { attempts: 1, waited: timeout });
                }
                Heard::Damaged => return Err(LinkError::Damaged),
                Heard::Response(0, Response::Refused(Refusal::Damaged)) => {
                    return Err(LinkError::Refused(Refusal::Damaged));
                }
                Heard::Response(of, _) if of != sequence => {}
                Heard::Response(_, Response::Refused(refusal)) => {
                    return Err(LinkError::Refused(refusal));
                }
                Heard::Response(_, response) => match judge(&response) {
                    Outcome::Done(answer) => return Ok(answer),
                    // The end of all does not move.
                    // Nor does it come again with each part.
                    Outcome::More => {
                        let over = wait.over.filter(|_| self.is_over());
                        wait = Wait { over, ..Wait::until(self.end.min(Instant::now() + timeout)) };
                    }
                    Outcome::Gap => return Err(LinkError::Gap),
                    Outcome::Unexpected => return Err(LinkError::Unexpected),
                },
            }
        }
    }

    /// The next frame from the line.
    fn hear(&mut self, wait: &mut Wait) -> Result<Heard<'_>, LinkError> {
        // The decoder keeps the frame's bytes, so which frame ended is found first and read afterwards.
        let whole = loop {
            let Some(byte) = self.next(wait)? else {
                return Ok(Heard::Silence);
            };
            match self.decoder.push(byte) {
                None => {}
                Some(Ok(_)) => break true,
                Some(Err(_)) => break false,
            }
        };
        let payload = if whole { self.decoder.payload() } else { None };
        // A frame of a version we do not know is as good as a damaged one.
        let message = payload.and_then(|payload| message::decode(payload).ok());
        let Some((sequence, response)) = message else {
            self.stale = true;
            return Ok(Heard::Damaged);
        };
        self.stale |= sequence == 0;
        Ok(Heard::Response(sequence, response))
    }

    /// Reads what is on its way from older questions, so that it does not pile up. A line that never falls
    /// silent is spoken on all the same.
    fn settle(&mut self) -> Result<(), LinkError> {
        if self.stale {
            let end = self.end.min(Instant::now() + Self::SETTLING);
            while Instant::now() < end && self.next(&mut Wait::until(Instant::now() + Self::QUIET))?.is_some()
            {
            }
            self.decoder.reset();
            self.stale = false;
        }
        Ok(())
    }

    /// A line that is silent for so long has nothing more on its way.
    const QUIET: Duration = Duration::from_millis(2);

    /// Longest time that older answers are waited for.
    const SETTLING: Duration = Duration::from_millis(250);

    /// Bytes that noise, or the rest of an older answer, may leave on a line that is silent otherwise.
    const REMNANT: usize = 256;

    /// The next byte from the line, or `None` when the wait is over.
    fn next(&mut self, wait: &mut Wait) -> Result<Option<u8>, LinkError> {
        loop {
            if let Some(&byte) = self.received.get(self.read) {
                self.read += 1;
                wait.bytes += 1;
                return Ok(Some(byte));
            }
            let Some(left) = wait.left() else { return Ok(None) };
            self.received.resize(4096, 0);
            self.read = 0;
            let received = self.transport.receive(&mut self.received, left);
            self.received.truncate(*received.as_ref().unwrap_or(&0));
            match received {
                Ok(0) => return Err(LinkError::Closed),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(LinkError::Line(error)),
                },
            }
        }
    }
}

/// A request on the wire. The zero in front ends whatever half frame the board may still be waiting to see
/// the end of.
fn frame(sequence: u32, request: &Request) -> Vec<u8> {
    let mut frame = Bytes(vec![0]);
    message::send(&mut frame, sequence, request).unwrap_or_else(|never| match never {});
    frame.0
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
