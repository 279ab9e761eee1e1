//! What may be at the other end of a line: every operation of the client ends, with one message, whatever it
//! is.
#![cfg(unix)]

use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use goldcrest_board::client::{Client, LinkError, Patience};
use goldcrest_board::table;
use goldcrest_engine::shape::Shape;
use goldcrest_link::frame::Sink;
use goldcrest_link::message::{self, Info, Refusal, Request, Response, Updates};
use goldcrest_link::values::Values;
use goldcrest_link::{Decoder, ModelInfo, VERSION};

const PATIENCE: Patience = Patience {
    boot: Duration::from_millis(600),
    answer: Duration::from_millis(100),
    inference: Duration::from_millis(300),
    attempts: 4,
    work: Duration::from_millis(800),
    byte: Duration::ZERO,
};
/// Hello, information, and the longest operation with the question for last words behind it; then what a
/// loaded machine may add.
const LONGEST: Duration = Duration::from_secs(10);

const PIXELS: usize = 3072;
const CLASSES: u16 = 10;

#[derive(Default)]
struct Frame(Vec<u8>);

impl Sink for Frame {
    type Error = Infallible;
    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn frame(sequence: u32, response: &Response) -> Vec<u8> {
    let mut frame = Frame::default();
    let Ok(()) = message::send(&mut frame, sequence, response);
    frame.0
}

fn model() -> ModelInfo {
    ModelInfo {
        crc: 1,
        image_bytes: 1000,
        arena_bytes: 1000,
        input: [32, 32, 3],
        classes: CLASSES,
        layers: 5,
        golden: 1,
        fit: 0,
        background: [255; 3],
    }
}

fn info(board: &str) -> Response<'_> {
    Response::Info(Info {
        board,
        firmware: "0.1.0",
        ticks_per_second: 1,
        firmware_bytes: 1,
        slot_bytes: 1 << 20,
        arena_capacity: 1 << 20,
        stack_bytes: 1,
        stack_capacity: 1,
        model: Ok(model()),
        updates: Updates::Unsigned,
    })
}

/// Writes `bytes` again and again at a speed in bits per second, until the host hangs up.
fn flood(mut line: UnixStream, bytes: &[u8], baud: u64) {
    let start = Instant::now();
    let mut sent = 0u64;
    loop {
        let due = start.elapsed().as_micros() as u64 * baud / 10_000_000;
        while sent < due {
            if line.write_all(bytes).is_err() {
                return;
            }
            sent += bytes.len() as u64;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Answers whole requests: `answer` gets each and writes what it likes.
fn serve(
    mut line: UnixStream,
    mut answer: impl FnMut(&mut UnixStream, u32, &Request) -> std::io::Result<()>,
) {
    let mut decoder = Decoder::new(vec![0; 1 << 16]);
    let mut buffer = [0; 4096];
    loop {
        let count = match line.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        for &byte in &buffer[..count] {
            let Some(Ok(payload)) = decoder.push(byte) else { continue };
            let Ok((sequence, request)) = message::decode::<Request>(payload) else { continue };
            if answer(&mut line, sequence, &request).is_err() {
                return;
            }
        }
    }
}

/// A board that greets and tells of its model, and does `rest` with everything else.
fn greets(line: UnixStream, mut rest: impl FnMut(&mut UnixStream, u32, &Request) -> std::io::Result<()>) {
    serve(line, |line, sequence, request| match request {
        Request::Hello { .. } => {
            let hello = Response::Hello { version: VERSION, frame_bytes: 4096, ahead_bytes: 4096 };
            line.write_all(&frame(sequence, &hello))
        }
        Request::Info => line.write_all(&frame(sequence, &info(table::DEFAULT))),
        _ => rest(line, sequence, request),
    });
}

/// A board that also takes every block, and does `rest` with what comes after.
fn loads(line: UnixStream, mut rest: impl FnMut(&mut UnixStream, u32, &Request) -> std::io::Result<()>) {
    greets(line, |line, sequence, request| match *request {
        Request::Load { transfer, .. } => {
            let received = PIXELS as u32;
            line.write_all(&frame(sequence, &Response::Loaded { transfer, received, ahead: 0 }))
        }
        Request::Write { update, total, .. } => {
            line.write_all(&frame(sequence, &Response::Written { update, received: total, ahead: 0 }))
        }
        _ => rest(line, sequence, request),
    });
}

/// A board that takes every block as far as `received` says, called anew for every piece.
fn counts(line: UnixStream, mut received: impl FnMut() -> (u32, u64)) {
    greets(line, |line, sequence, request| {
        let (received, ahead) = received();
        match *request {
            Request::Load { transfer, .. } => {
                line.write_all(&frame(sequence, &Response::Loaded { transfer, received, ahead }))
            }
            Request::Write { update, .. } => {
                line.write_all(&frame(sequence, &Response::Written { update, received, ahead }))
            }
            _ => Ok(()),
        }
    });
}

fn noise(seed: u64) -> Vec<u8> {
    let mut random = seed;
    let step = |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u8
    };
    (0..4096).map(step).collect()
}

/// Sends parts of a report for ever.
fn endless(line: &mut UnixStream, part: impl Fn(u32) -> Vec<u8>) -> std::io::Result<()> {
    for number in 0.. {
        line.write_all(&part(number))?;
    }
    Ok(())
}

type Peer = (&'static str, fn(UnixStream));

const PEERS: &[Peer] = &[
    ("zeros at 115,200", |line| flood(line, &[0; 8], 115_200)),
    ("zeros at 921,600", |line| flood(line, &[0; 8], 921_600)),
    ("ones at 115,200", |line| flood(line, &[0xff; 8], 115_200)),
    ("ones at 921,600", |line| flood(line, &[0xff; 8], 921_600)),
    ("a wrong speed at 115,200", |line| flood(line, &noise(1), 115_200)),
    ("a wrong speed at 921,600", |line| flood(line, &noise(2), 921_600)),
    ("as fast as it goes", |line| flood(line, &noise(3), u64::MAX / (1 << 40))),
    ("a log at 115,200", |line| flood(line, b"I (1234) wifi: state: run -> init\r\n", 115_200)),
    ("a log at 921,600", |line| flood(line, b"I (1234) wifi: state: run -> init\r\n", 921_600)),
    ("a log with zeros at 921,600", |line| flood(line, b"temperature=21\0", 921_600)),
    ("one byte without end", |line| flood(line, &[1], 115_200)),
    ("empty frames", |line| flood(line, &[1, 0], 921_600)),
    ("half frames", |line| flood(line, &[9, 1, 1, 0], 115_200)),
    ("whole frames of no question", |line| flood(line, &frame(0, &info("x")), 921_600)),
    ("damage reported for ever", |line| {
        flood(line, &frame(0, &Response::Refused(Refusal::Damaged)), 921_600)
    }),
    ("a trickle", |line| flood(line, &[7], 1000)),
    ("a trickle with zeros", |line| flood(line, &[7, 0], 2000)),
    ("silence", |mut line| {
        let _ = std::io::copy(&mut line, &mut std::io::sink());
    }),
    ("nobody reads", |line| {
        std::thread::sleep(LONGEST);
        drop(line);
    }),
    ("hangs up", drop),
    ("an echo", |mut line| {
        let _ = line.try_clone().map(|mut from| std::io::copy(&mut from, &mut line));
    }),
    ("another version", |line| {
        serve(line, |line, sequence, _| {
            let hello = Response::Hello { version: VERSION + 1, frame_bytes: 1, ahead_bytes: 1 };
            line.write_all(&frame(sequence, &hello))
        });
    }),
    ("answers of other sequence numbers", |line| {
        serve(line, |line, sequence, _| line.write_all(&frame(sequence + 1, &info("x")).repeat(3)));
    }),
    ("answers of another kind", |line| {
        serve(line, |line, sequence, _| {
            line.write_all(&frame(sequence, &Response::LastWords { message: "" }))
        });
    }),
    ("no room for frames", |line| {
        serve(line, |line, sequence, request| match request {
            Request::Hello { .. } => {
                let hello = Response::Hello { version: VERSION, frame_bytes: 0, ahead_bytes: 0 };
                line.write_all(&frame(sequence, &hello))
            }
            _ => Ok(()),
        });
    }),
    ("silent after its greeting", |line| greets(line, |_, _, _| Ok(()))),
    ("a flood after its greeting", |line| {
        greets(line, |line, _, _| {
            flood(line.try_clone()?, &noise(4), 921_600);
            Ok(())
        });
    }),
    ("counts to and fro", |line| {
        let mut turn = 0;
        counts(line, || {
            turn += 1;
            (turn % 2 * 16, 0)
        });
    }),
    ("counts that never rise", |line| counts(line, || (0, 0))),
    ("counts granule by granule", |line| {
        let mut bytes = 0;
        counts(line, || {
            std::thread::sleep(Duration::from_millis(40));
            bytes += 16;
            (bytes % PIXELS as u32, 0)
        });
    }),
    ("all of the window but the first", |line| counts(line, || (0, u64::MAX - 1))),
    ("more than all of the window", |line| counts(line, || (16, u64::MAX))),
    ("windows that turn", |line| {
        let mut ahead = 2u64;
        counts(line, || {
            ahead = ahead.rotate_left(1) & !1 | 2;
            (0, ahead)
        });
    }),
    ("more than there is", |line| counts(line, || (u32::MAX, u64::MAX))),
    ("always incomplete", |line| {
        loads(line, |line, sequence, _| {
            let refusal = Refusal::Incomplete { received: 0, expected: PIXELS as u32 };
            line.write_all(&frame(sequence, &Response::Refused(refusal)))
        });
    }),
    ("always wrong pixels", |line| {
        loads(line, |line, sequence, _| {
            line.write_all(&frame(sequence, &Response::Refused(Refusal::WrongPixels)))
        });
    }),
    ("endless parts of the first layer", |line| {
        loads(line, |line, sequence, _| {
            endless(line, |_| {
                let values = Values::new(&[1; 8]);
                frame(sequence, &Response::Layer { layer: 0, offset: 0, length: u32::MAX, values })
            })
        });
    }),
    ("an endless layer", |line| {
        loads(line, |line, sequence, _| {
            endless(line, |number| {
                let (offset, length) = (number * 8, u32::MAX);
                frame(sequence, &Response::Layer { layer: 0, offset, length, values: Values::new(&[1; 8]) })
            })
        });
    }),
    ("slow parts of a layer", |line| {
        loads(line, |line, sequence, _| {
            endless(line, |number| {
                std::thread::sleep(Duration::from_millis(50));
                let (offset, length) = (number * 8, u32::MAX);
                frame(sequence, &Response::Layer { layer: 0, offset, length, values: Values::new(&[1; 8]) })
            })
        });
    }),
    ("endless times of layers", |line| {
        loads(line, |line, sequence, _| {
            endless(line, |_| frame(sequence, &Response::LayerTicks { layer: 0, ticks: 1 }))
        });
    }),
    ("a class that there is not", |line| {
        loads(line, |line, sequence, request| {
            reply(line, sequence, request, u16::MAX, &[1; CLASSES as usize])
        });
    }),
    ("another class than the logits say", |line| {
        loads(line, |line, sequence, request| reply(line, sequence, request, 1, &[1; CLASSES as usize]));
    }),
    ("60,000 logits", |line| {
        loads(line, |line, sequence, request| reply(line, sequence, request, 0, &[1; 60_000]));
    }),
    ("no logits", |line| loads(line, |line, sequence, request| reply(line, sequence, request, 0, &[]))),
];

/// Answers a run.
fn reply(
    line: &mut UnixStream,
    sequence: u32,
    request: &Request,
    class: u16,
    logits: &[i8],
) -> std::io::Result<()> {
    let Request::Run { transfer, .. } = *request else { return Ok(()) };
    let (logits, ticks, parts) = (Values::new(logits), 1, 0);
    line.write_all(&frame(sequence, &Response::Answer { transfer, class, ticks, parts, logits }))
}

type Operation = (&'static str, fn(&mut Client<UnixStream>) -> Result<(), LinkError>);

const OPERATIONS: &[Operation] = &[
    ("infer", |client| client.infer(&[7; PIXELS]).map(drop)),
    ("infer_stream", |client| client.infer_stream([&[7; PIXELS][..]; 3], |_| ())),
    ("trace", |client| client.trace(&[7; PIXELS]).map(drop)),
    ("profile", |client| client.profile(&[7; PIXELS]).map(drop)),
    ("self_test", |client| client.self_test().map(drop)),
    ("last_words", |client| client.last_words().map(drop)),
    ("infer_picture", |client| client.infer_picture(Shape::new(20, 90, 3), &[7; 5400]).map(drop)),
    ("signed update", |client| client.update(&[7; 4096], Some(&[7; 176])).map(drop)),
    ("update", |client| client.update(&[7; 4096], None).map(drop)),
];

#[test]
fn every_operation_ends_whatever_is_at_the_other_end() {
    assert!(PEERS.len() >= 40, "{}", PEERS.len());
    let outcome = |peer: &Peer, operation: &Operation| {
        let (host, board) = UnixStream::pair().unwrap();
        host.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let behaves = peer.1;
        std::thread::spawn(move || behaves(board));
        let start = Instant::now();
        let outcome = Client::connect(host, PATIENCE).and_then(|mut client| {
            client.info()?;
            operation.1(&mut client)
        });
        (outcome, start.elapsed())
    };
    let (mut slow, mut unclear) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            PEERS.iter().flat_map(|peer| OPERATIONS.iter().map(move |operation| (peer, operation))).collect();
        // A few at a time: floods share the machine.
        for some in runs.chunks(24) {
            let started: Vec<_> = some
                .iter()
                .map(|&(peer, operation)| {
                    (peer.0, operation.0, scope.spawn(move || outcome(peer, operation)))
                })
                .collect();
            for (peer, operation, run) in started {
                let (outcome, took) = run.join().unwrap();
                if took > LONGEST {
                    slow.push(format!("{operation} with {peer}: {took:.1?}"));
                }
                let message = outcome.map_or_else(|error| error.to_string(), |()| "done".to_string());
                if message.is_empty() || message.chars().any(char::is_control) {
                    unclear.push(format!("{operation} with {peer}: {message:?}"));
                }
            }
        }
    });
    assert!(slow.is_empty() && unclear.is_empty(), "slow: {slow:#?}, unclear: {unclear:#?}");
}

fn error_of(name: &str) -> String {
    let behaves = PEERS.iter().find(|peer| peer.0 == name).expect("a peer of this name").1;
    let (host, board) = UnixStream::pair().unwrap();
    std::thread::spawn(move || behaves(board));
    let outcome = Client::connect(host, PATIENCE).and_then(|mut client| {
        client.info()?;
        client.infer(&[7; PIXELS])
    });
    outcome.expect_err("no peer gives a right answer").to_string()
}

#[test]
fn the_message_says_what_the_line_is() {
    let log = error_of("a log at 115,200");
    assert!(log.contains("no answer") && log.contains("speed"), "{log}");
    assert!(error_of("silence").contains("no answer from the board after"), "{}", error_of("silence"));
    assert!(error_of("zeros at 921,600").contains("no answer"), "{}", error_of("zeros at 921,600"));
    for (peer, says) in [
        ("a class that there is not", "class 65535"),
        ("another class than the logits say", "class 1, but"),
        ("60,000 logits", "60000 logits of 10 classes"),
    ] {
        let error = error_of(peer);
        assert!(error.contains(says), "{peer}: {error}");
    }
}

#[test]
fn a_terminal_does_not_act_on_what_a_board_says() {
    const WORDS: &str = "panicked\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m \u{202e}at line 3\nend";
    let (host, board) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        serve(board, |line, sequence, request| {
            let hello = Response::Hello { version: VERSION, frame_bytes: 4096, ahead_bytes: 4096 };
            let response = match request {
                Request::Hello { .. } => hello,
                Request::Info => info("mps2\u{1b}[31m"),
                _ => Response::LastWords { message: WORDS },
            };
            line.write_all(&frame(sequence, &response))
        });
    });
    let mut client = Client::connect(host, PATIENCE).unwrap();
    assert_eq!(client.info().unwrap().board, "mps2\\u{1b}[31m");
    let words = client.last_words().unwrap().unwrap();
    assert!(words.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{words:?}");
    assert!(words.starts_with("panicked\\u{1b}]0;owned") && words.ends_with("at line 3\nend"), "{words:?}");
}
