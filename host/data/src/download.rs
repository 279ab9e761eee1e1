//! CIFAR-10 from its home page: once, resumable, checked.
//!
//! What has arrived lies in a `.part` file beside the place of the whole one; a later call goes on
//! where it ends. Only a file with the right SHA-256 gets its final name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use ureq::{Agent, Body, http::Response};

use super::{
    Cache, Options,
    cache::hex,
    error::DatasetError,
    progress::{Event, Progress, Unit},
};

/// A file to fetch.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it is.
    pub url: String,
    /// The name to keep it under.
    pub file: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// A connection that breaks is taken up again so often without any progress.
const ATTEMPTS: usize = 3;
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// CIFAR-10's binary version at its authors' page (<https://www.cs.toronto.edu/~kriz/cifar.html>).
pub fn cifar10() -> Remote {
    Remote {
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned(),
        file: "cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd".to_owned(),
    }
}

/// The folder for downloads: also without a cache of pixels, a download is kept.
fn folder(options: &Options) -> Result<PathBuf, DatasetError> {
    let root = match &options.cache {
        Cache::Folder(folder) => folder.clone(),
        Cache::User | Cache::Off => goldcrest_files::cache_folder().ok_or(DatasetError::NoCacheFolder)?,
    };
    Ok(root.join("downloads"))
}

/// The file, if it was fetched before.
pub fn cached(remote: &Remote, options: &Options) -> Option<PathBuf> {
    let path = folder(options).ok()?.join(remote.file);
    // Files get this name after their checksum was found right.
    fs::metadata(&path).is_ok_and(|found| found.len() == remote.bytes).then_some(path)
}

/// The file, fetched if necessary, within [`Options::patience`].
///
/// # Errors
///
/// [`DatasetError::Download`] and [`DatasetError::Checksum`]; [`DatasetError::Io`] for the disk.
pub fn fetch(remote: &Remote, options: &Options) -> Result<PathBuf, DatasetError> {
    if let Some(path) = cached(remote, options) {
        return Ok(path);
    }
    let folder = folder(options)?;
    fs::create_dir_all(&folder).map_err(DatasetError::io(&folder))?;
    let (path, part) = (folder.join(remote.file), folder.join(format!("{}.part", remote.file)));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&part)
        .map_err(DatasetError::io(&part))?;
    // Another process may be fetching the same file: wait for it, then look again.
    file.lock().map_err(DatasetError::io(&part))?;
    if let Some(path) = cached(remote, options) {
        return Ok(path);
    }
    let mut transfer = Transfer::new(remote, options, &part);
    transfer.run(&mut file)?;
    check(remote, &part, &mut file)?;
    fs::rename(&part, &path).map_err(DatasetError::io(&path))?;
    Ok(path)
}

fn check(remote: &Remote, part: &Path, file: &mut File) -> Result<(), DatasetError> {
    file.seek(SeekFrom::Start(0)).map_err(DatasetError::io(part))?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(DatasetError::io(part))? {
            0 => break,
            count => sum.update(&buffer[..count]),
        }
    }
    let found = hex(&sum.finalize());
    if found != remote.sha256 {
        fs::remove_file(part).map_err(DatasetError::io(part))?;
        let (url, expected) = (remote.url.clone(), remote.sha256.clone());
        return Err(DatasetError::Checksum { url, found, expected });
    }
    Ok(())
}

struct Transfer<'a> {
    remote: &'a Remote,
    part: &'a Path,
    agent: Agent,
    deadline: Option<(Instant, Duration)>,
    progress: Progress,
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        (self.progress)(&Event::End);
    }
}

/// Why a connection ended before the file did.
enum Stop {
    /// Worth another try.
    Broken(String),
    Fatal(DatasetError),
}

impl<'a> Transfer<'a> {
    fn new(remote: &'a Remote, options: &Options, part: &'a Path) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(options.patience.map_or(CONNECT, |patience| patience.min(CONNECT))))
            .timeout_resolve(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_global(options.patience)
            .http_status_as_error(false)
            .user_agent(concat!("goldcrest/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let deadline = options.patience.map(|patience| (Instant::now() + patience, patience));
        let progress = options.progress;
        progress(&Event::Begin { what: "downloading", length: remote.bytes, unit: Unit::Bytes });
        Self { remote, part, agent, deadline, progress }
    }

    /// Fetches what is missing.
    fn run(&mut self, file: &mut File) -> Result<(), DatasetError> {
        let mut failures = 0;
        loop {
            let have = file.seek(SeekFrom::End(0)).map_err(DatasetError::io(self.part))?;
            if have == self.remote.bytes {
                return Ok(());
            }
            let outcome = if have > self.remote.bytes {
                self.restart(file).map_err(Stop::Fatal)
            } else {
                self.connect(file, have)
            };
            match outcome {
                Ok(()) => {}
                Err(Stop::Fatal(error)) => return Err(error),
                Err(Stop::Broken(reason)) => {
                    let now = file.seek(SeekFrom::End(0)).map_err(DatasetError::io(self.part))?;
                    failures = if now > have { 1 } else { failures + 1 };
                    if failures >= ATTEMPTS || self.is_late() {
                        return Err(self.failed(reason, now));
                    }
                }
            }
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|(end, _)| Instant::now() >= end)
    }

    fn failed(&self, reason: String, have: u64) -> DatasetError {
        let reason = match self.deadline {
            Some((_, patience)) if self.is_late() => {
                format!("not fetched within {} s", patience.as_secs_f32())
            }
            _ => reason,
        };
        let total = self.remote.bytes;
        let resume = match have {
            0 => "check the network".to_owned(),
            _ => format!("{have} of {total} bytes are kept and the next try goes on from there"),
        };
        let next = format!("{resume}, or fetch the file by hand and pass its path");
        DatasetError::Download { url: self.remote.url.clone(), reason, next }
    }

    /// Throws away what has arrived.
    fn restart(&self, file: &mut File) -> Result<(), DatasetError> {
        file.set_len(0).map_err(DatasetError::io(self.part))
    }

    /// Makes one request for what comes after the first `have` bytes and reads its answer.
    fn connect(&self, file: &mut File, have: u64) -> Result<(), Stop> {
        let mut request = self.agent.get(&self.remote.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| Stop::Broken(error.to_string()))?;
        let have = match response.status().as_u16() {
            206 if resumes_at(&response, have) => have,
            // The whole file: the server does not resume.
            200 => {
                self.restart(file).map_err(Stop::Fatal)?;
                0
            }
            // The server cannot go on from here: take all of it.
            206 | 416 if have > 0 => return self.restart(file).map_err(Stop::Fatal),
            status @ 500..=599 => return Err(Stop::Broken(format!("the server answered {status}"))),
            status => return Err(Stop::Fatal(self.failed(format!("the server answered {status}"), have))),
        };
        file.seek(SeekFrom::Start(have)).map_err(|error| self.disk(error))?;
        (self.progress)(&Event::At(have));
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let (mut buffer, mut at) = (vec![0; 64 << 10], have);
        loop {
            let count = body.read(&mut buffer).map_err(|error| Stop::Broken(error.to_string()))?;
            if count == 0 {
                break;
            }
            at += count as u64;
            if at > self.remote.bytes {
                self.restart(file).map_err(Stop::Fatal)?;
                let reason = format!("the server sends more than the expected {} bytes", self.remote.bytes);
                return Err(Stop::Fatal(self.failed(reason, 0)));
            }
            file.write_all(&buffer[..count]).map_err(|error| self.disk(error))?;
            (self.progress)(&Event::At(at));
            if self.is_late() {
                return Err(Stop::Broken("out of time".to_owned()));
            }
        }
        match at == self.remote.bytes {
            true => Ok(()),
            false => Err(Stop::Broken("the connection ended early".to_owned())),
        }
    }

    fn disk(&self, error: io::Error) -> Stop {
        Stop::Fatal(DatasetError::io(self.part)(error))
    }
}

/// True when a partial answer begins at this byte.
fn resumes_at(response: &Response<Body>, have: u64) -> bool {
    response
        .headers()
        .get("content-range")
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split('-').next()?.parse::<u64>().ok())
        == Some(have)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What the server does with one connection.
    #[derive(Clone, Copy)]
    enum Manner {
        Whole,
        /// Announces everything, sends that many bytes and hangs up.
        HangUpAfter(usize),
        IgnoreRange,
        Status(u16),
        TooMuch,
        Stall,
    }

    struct Server {
        url: String,
        /// The `Range` header of each request.
        ranges: Arc<Mutex<Vec<Option<String>>>>,
    }

    /// Serves one connection per manner on the loopback interface.
    fn serve(content: Vec<u8>, manners: Vec<Manner>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for manner in manners {
                let (mut stream, _) = listener.accept().unwrap();
                let mut range = None;
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let line = line.unwrap();
                    if line.is_empty() {
                        break;
                    }
                    if let Some((name, value)) = line.split_once(':')
                        && name.eq_ignore_ascii_case("range")
                    {
                        range = Some(value.trim().to_owned());
                    }
                }
                let first: Option<usize> = range
                    .as_ref()
                    .map(|r| r.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
                seen.lock().unwrap().push(range);
                let (status, body, length) = match (manner, first) {
                    (Manner::Status(status), _) => (status, Vec::new(), 0),
                    (Manner::TooMuch, _) => (200, [&content[..], b"more"].concat(), content.len() + 4),
                    (Manner::IgnoreRange, _) | (_, None) => (200, content.clone(), content.len()),
                    (_, Some(first)) => (206, content[first..].to_vec(), content.len() - first),
                };
                let from = content.len() - length.min(content.len());
                let range = match status {
                    206 => format!("Content-Range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len()),
                    _ => String::new(),
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n"
                );
                let body = match manner {
                    Manner::HangUpAfter(count) => &body[..count.min(body.len())],
                    Manner::Stall => &body[..10],
                    _ => &body[..],
                };
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
                if matches!(manner, Manner::Stall) {
                    std::thread::sleep(Duration::from_secs(5));
                }
            }
        });
        Server { url, ranges }
    }

    fn content() -> Vec<u8> {
        (0..300_000u32).map(|n| ((n * n) >> 7) as u8).collect()
    }

    fn remote(server: &Server) -> Remote {
        let sha256 = hex(&Sha256::digest(content()));
        Remote { url: server.url.clone(), file: "file.bin", bytes: content().len() as u64, sha256 }
    }

    fn options(folder: &Path) -> Options {
        Options { cache: Cache::Folder(folder.to_owned()), ..Options::default() }
    }

    fn ranges(server: &Server) -> Vec<Option<String>> {
        server.ranges.lock().unwrap().clone()
    }

    #[test]
    fn fetches_once() {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(content(), vec![Manner::Whole]);
        let options = options(folder.path());
        assert!(cached(&remote(&server), &options).is_none());
        let path = fetch(&remote(&server), &options).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content());
        assert_eq!(fetch(&remote(&server), &options).unwrap(), path);
        assert_eq!(ranges(&server), [None]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no part file is left");
    }

    #[test]
    fn goes_on_after_a_broken_connection() {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(content(), vec![Manner::HangUpAfter(100_000), Manner::Whole]);
        let path = fetch(&remote(&server), &options(folder.path())).unwrap();
        assert_eq!(fs::read(path).unwrap(), content());
        let asked = ranges(&server);
        assert_eq!(asked.len(), 2);
        assert!(
            asked[1].as_ref().is_some_and(|range| range.starts_with("bytes=") && range != "bytes=0-"),
            "{asked:?}"
        );
    }

    #[test]
    fn a_later_call_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let downloads = folder.path().join("downloads");
        fs::create_dir_all(&downloads).unwrap();
        fs::write(downloads.join("file.bin.part"), &content()[..1234]).unwrap();
        let server = serve(content(), vec![Manner::Whole]);
        let path = fetch(&remote(&server), &options(folder.path())).unwrap();
        assert_eq!(fs::read(path).unwrap(), content());
        assert_eq!(ranges(&server), [Some("bytes=1234-".to_owned())]);
    }

    #[test]
    fn starts_over_where_a_server_cannot_resume() {
        for manners in [vec![Manner::IgnoreRange], vec![Manner::Status(416), Manner::Whole]] {
            let folder = tempfile::tempdir().unwrap();
            let downloads = folder.path().join("downloads");
            fs::create_dir_all(&downloads).unwrap();
            fs::write(downloads.join("file.bin.part"), [9; 5000]).unwrap();
            let server = serve(content(), manners);
            let path = fetch(&remote(&server), &options(folder.path())).unwrap();
            assert_eq!(fs::read(path).unwrap(), content());
        }
    }

    #[test]
    fn wrong_content_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let mut damaged = content();
        damaged[777] ^= 1;
        let server = serve(damaged, vec![Manner::Whole, Manner::Whole]);
        let error = fetch(&remote(&server), &options(folder.path())).unwrap_err();
        assert!(matches!(error, DatasetError::Checksum { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("downloads")).unwrap().count(), 0);
    }

    #[test]
    fn says_why_it_failed() {
        let cases = [
            (vec![Manner::Status(404)], "the server answered 404; check the network"),
            (vec![Manner::Status(503); 3], "the server answered 503"),
            (vec![Manner::TooMuch], "the server sends more than the expected 300000 bytes"),
        ];
        for (manners, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let server = serve(content(), manners);
            let error = fetch(&remote(&server), &options(folder.path())).unwrap_err().to_string();
            assert!(error.starts_with(&server.url) && error.contains(expected), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let nobody = Remote { url: "http://127.0.0.1:1/file".to_owned(), ..cifar10() };
        let error = fetch(&nobody, &options(folder.path())).unwrap_err().to_string();
        assert!(error.contains("check the network, or fetch the file by hand and pass its path"), "{error}");
    }

    #[test]
    fn gives_up_after_its_patience_and_keeps_what_came() {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(content(), vec![Manner::Stall, Manner::Stall]);
        let options = Options { patience: Some(Duration::from_millis(300)), ..options(folder.path()) };
        let start = Instant::now();
        let error = fetch(&remote(&server), &options).unwrap_err().to_string();
        assert!(start.elapsed() < Duration::from_secs(3));
        assert!(error.contains("not fetched within 0.3 s; 10 of 300000 bytes are kept"), "{error}");
    }
}
