//! A board takes the next image while it computes: the bytes leave the line before the answer comes.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use goldcrest_board::emulator::{Emulator, Options};
use goldcrest_board::payload::Payload;
use goldcrest_board::table;
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::random::{self, Random};

/// Bytes of the host that the board's UART has not taken, when the last answer came.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Bytes that were written to a socket and not yet read at its other end.
fn unread(socket: &UnixStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    bytes as usize
}

/// A serial line of 115,200 baud towards the board, which notes what waits at each answer.
fn line(board: UnixStream) -> io::Result<UnixStream> {
    let (host, ours) = UnixStream::pair()?;
    let (mut from_host, mut to_board) = (ours.try_clone()?, board.try_clone()?);
    thread::spawn(move || {
        let (mut bytes, mut due) = ([0; 12], Instant::now());
        while let Ok(count @ 1..) = from_host.read(&mut bytes) {
            due = due.max(Instant::now()) + Duration::from_secs(count as u64) * 10 / 115_200;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to_board.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    });
    let (mut from_board, mut to_host) = (board, ours);
    thread::spawn(move || {
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = from_board.read(&mut bytes) {
            WAITING.store(unread(&from_board), Ordering::SeqCst);
            if to_host.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    });
    Ok(host)
}

#[test]
fn the_next_image_comes_in_while_the_board_computes() {
    let board = table::find("mps2-an386").unwrap();
    let options = PackOptions { family: board.family, ..PackOptions::default() };
    let payload = Payload::pack(&random::resnet8(3), &options).unwrap();
    let options = Options { through: Some(line), ..Options::default() };
    let mut emulator =
        Emulator::start(board, payload.image.bytes(), options).unwrap_or_else(|error| panic!("{error}"));
    let images: Vec<_> = (0..4).map(|seed| Random::new(seed).pixels(3072)).collect();

    let start = Instant::now();
    let alone: Vec<_> = images.iter().map(|pixels| emulator.client().infer(pixels).unwrap().logits).collect();
    let one_by_one = start.elapsed();

    let (start, mut streamed, mut waiting) = (Instant::now(), Vec::new(), Vec::new());
    let each = |answer: goldcrest_board::client::Classification| {
        streamed.push(answer.logits);
        waiting.push(WAITING.load(Ordering::SeqCst));
    };
    emulator.client().infer_stream(images.iter().map(Vec::as_slice), each).unwrap();
    eprintln!("{} images: {one_by_one:.2?} one by one, {:.2?} as a stream", images.len(), start.elapsed());

    assert_eq!(streamed, alone);
    // A board that does not listen while it computes leaves an image's 3 KB in the line.
    assert!(waiting.iter().all(|&bytes| bytes < 1024), "bytes that waited: {waiting:?}");
}
