//! The firmware's defmt logs: decoded, kept for error messages, shown when asked.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use defmt_decoder::{DecodeError, Table};

/// Lines kept for error messages.
const KEPT: usize = 20;

/// The last lines that a board, or its emulator, logged.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    listener: Listener,
}

/// Hears each line as it comes.
pub type Listener = fn(&str);

impl Log {
    /// An empty log.
    pub fn new(listener: Listener) -> Self {
        Self { lines: Arc::default(), listener }
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, line: String) {
        (self.listener)(&line);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Collects text lines until the stream ends.
    pub fn collect_text(&self, stream: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                // QEMU's remark on a network card that nothing is plugged into.
                if !line.ends_with("has no peer") {
                    log.add(line);
                }
            }
        })
    }

    /// Collects the defmt frames of a firmware until the stream ends.
    pub fn collect_defmt(&self, elf: &Path, stream: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let log = self.clone();
        let table = table(elf);
        let elf = elf.display().to_string();
        thread::spawn(move || match table {
            Ok(table) => {
                // A pipe that fails has ended.
                let _ = decode(&table, stream, |line| {
                    log.add(line);
                    ControlFlow::Continue(())
                });
            }
            Err(error) => {
                log.add(format!("logs of {elf} cannot be decoded: {error}"));
                // Drained all the same: a full pipe would stop the board.
                let _ = std::io::copy(&mut { stream }, &mut std::io::sink());
            }
        })
    }
}

/// What the frames of a firmware's logs mean, from its ELF file.
///
/// # Errors
/// Why the file has no such table.
pub fn table(elf: &Path) -> Result<Table, String> {
    let bytes = std::fs::read(elf).map_err(|error| error.to_string())?;
    let table = Table::parse(&bytes).map_err(|error| format!("{error:#}"))?;
    table.ok_or_else(|| "it has no .defmt section".to_string())
}

/// A frame that is damaged, or that began before the first byte came.
pub const DAMAGED: &str = "(a damaged log frame)";

/// Decodes the defmt frames of a stream and hands each as a line to `each`, until that says stop or the
/// stream ends.
///
/// # Errors
/// What the stream reports.
pub fn decode(
    table: &Table,
    mut stream: impl Read,
    mut each: impl FnMut(String) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut decoder = table.new_stream_decoder();
    let mut buffer = [0; 4096];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        decoder.received(&buffer[..count]);
        loop {
            let line = match decoder.decode() {
                Ok(frame) => frame.display(false).to_string(),
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) if table.encoding().can_recover() => DAMAGED.to_string(),
                // Without marks between frames nobody knows where the next one begins.
                Err(DecodeError::Malformed) => return Err(io::ErrorKind::InvalidData.into()),
            };
            if each(line).is_break() {
                return Ok(());
            }
        }
    }
}

/// Log lines as the end of an error message.
pub(super) fn quoted(lines: &[String]) -> String {
    if lines.is_empty() {
        return "it logged nothing".to_string();
    }
    format!("its last log lines:\n  {}", lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let log = Log::new(|_| ());
        let text: String = (0..KEPT + 5).map(|line| format!("line {line}\n")).collect();
        log.collect_text(std::io::Cursor::new(text)).join().unwrap();
        let tail = log.tail();
        assert_eq!(tail.len(), KEPT);
        assert_eq!((tail[0].as_str(), tail[KEPT - 1].as_str()), ("line 5", "line 24"));
    }

    #[test]
    fn logs_without_a_table_are_drained_and_the_reason_is_kept() {
        let log = Log::new(|_| ());
        let elf = tempfile::NamedTempFile::new().unwrap();
        log.collect_defmt(elf.path(), std::io::Cursor::new(vec![1; 100_000])).join().unwrap();
        assert!(log.tail()[0].contains("cannot be decoded"), "{:?}", log.tail());
    }
}
