//! Ports that a board is reached through: serial ports, and the sockets of emulators and of programs that
//! pass a serial port on.

use std::convert::Infallible;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serial2::SerialPort;

use super::client::{Patience, Transport, write_within};

/// Where a board is, in the words of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial port: `/dev/ttyACM0`, `COM3`.
    Serial(String),
    /// `tcp:HOST:PORT`.
    Tcp(String),
    /// `unix:PATH`.
    Unix(String),
}

impl FromStr for Port {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once(':') {
            Some(("tcp", address)) => Self::Tcp(address.to_string()),
            Some(("unix", path)) => Self::Unix(path.to_string()),
            _ => Self::Serial(text.to_string()),
        })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serial(path) => write!(f, "{path}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// No such serial port.
    #[error("{port}: no such serial port; {}", names(.found))]
    Missing {
        /// The port asked for.
        port: String,
        /// Ports that are there.
        found: Vec<String>,
    },
    /// Serial ports belong to a group.
    #[error(
        "{port}: no permission; run `sudo usermod -aG {group} $USER` and log in again, or add this line to \
         /etc/udev/rules.d/70-goldcrest.rules: SUBSYSTEM==\"tty\", TAG+=\"uaccess\""
    )]
    Permission {
        /// The port.
        port: String,
        /// The group that may use it.
        group: String,
    },
    /// Another program has it.
    #[error("{port}: another program uses it; close its terminal or monitor")]
    Busy {
        /// The port.
        port: String,
    },
    /// The socket of an emulator.
    #[error("{port}: {error}; is the emulator running, with its serial line there?")]
    Socket {
        /// The port.
        port: String,
        /// Why.
        error: io::Error,
    },
    /// Something else.
    #[error("{port}: {error}")]
    Other {
        /// The port.
        port: String,
        /// What the operating system said.
        error: io::Error,
    },
}

fn names(ports: &[String]) -> String {
    if ports.is_empty() {
        return "none was found: is the board plugged in, with a cable that carries data?".to_string();
    }
    format!("found: {}", ports.join(", "))
}

/// How long a write may take: a board that reads nothing is gone.
const WRITE: Duration = Duration::from_secs(10);
/// How long a socket on the network may take to answer.
const CONNECT: Duration = Duration::from_secs(10);

/// Connects to the first address of a host that answers.
fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Time of `bytes` at a speed: ten bits each.
fn line_time(bytes: usize, baud: u32) -> Duration {
    Duration::from_secs(10).saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)) / baud.max(1)
}

impl Port {
    /// Opens the port; `baud` counts for serial ports only: 8 bits, no parity, 1 stop bit.
    pub fn open(&self, baud: u32) -> Result<Line, PortError> {
        let port = self.to_string();
        let socket = |error| PortError::Socket { port: port.clone(), error };
        match self {
            Self::Serial(path) => {
                let open = SerialPort::open(path, baud).and_then(|mut port| {
                    port.set_write_timeout(WRITE)?;
                    Ok(port)
                });
                let port = open.map_err(|error| serial_error(path, error))?;
                Ok(Line(Kind::Serial { port, baud }))
            }
            Self::Tcp(address) => {
                let stream = connect(address).map_err(socket)?;
                let ready = stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(WRITE)));
                ready.map_err(socket)?;
                Ok(Line(Kind::Tcp(stream)))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).map_err(socket)?;
                stream.set_write_timeout(Some(WRITE)).map_err(socket)?;
                Ok(Line(Kind::Unix(stream)))
            }
            #[cfg(not(unix))]
            Self::Unix(_) => Err(socket(io::ErrorKind::Unsupported.into())),
        }
    }

    /// How long to wait for a board behind this port: as long as its bytes take, at least.
    pub fn patience(&self, baud: u32) -> Patience {
        let standard = Patience { boot: Duration::from_secs(6), ..Patience::default() };
        match self {
            // A frame of 4,096 bytes; and blocks as slow as a line is that loses most of them.
            Self::Serial(_) => Patience {
                answer: standard.answer + line_time(4096, baud),
                byte: standard.byte.max(line_time(20, baud)),
                ..standard
            },
            _ => standard,
        }
    }
}

fn serial_error(path: &str, error: io::Error) -> PortError {
    let port = path.to_string();
    match error.kind() {
        io::ErrorKind::PermissionDenied => PortError::Permission { port, group: group_of(path) },
        io::ErrorKind::ResourceBusy => PortError::Busy { port },
        io::ErrorKind::NotFound => {
            PortError::Missing { port, found: list().into_iter().map(|found| found.name).collect() }
        }
        _ => PortError::Other { port, error },
    }
}

/// The group of a serial port, such as `dialout` or `uucp`.
fn group_of(path: &str) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let number = std::fs::metadata(path).map(|file| file.gid()).ok();
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let name = groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, found) = (fields.next()?, fields.nth(1)?);
            (found.parse().ok() == number).then_some(name)
        });
        if let Some(name) = name {
            return name.to_string();
        }
    }
    let _ = path;
    "dialout".to_string()
}

/// An open port.
pub struct Line(Kind);

enum Kind {
    Serial {
        port: SerialPort,
        baud: u32,
    },
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Transport for Line {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Kind::Serial { port, baud } => {
                write_within(&*port, bytes, WRITE + 2 * line_time(bytes.len(), *baud))
            }
            Kind::Tcp(stream) => stream.send(bytes),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.send(bytes),
        }
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Serial { port, .. } => {
                port.set_read_timeout(timeout)?;
                port.read(buffer)
            }
            Kind::Tcp(stream) => stream.receive(buffer, timeout),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.receive(buffer, timeout),
        }
    }
}

/// A serial port of this computer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Its name, as [`Port`] takes it.
    pub name: String,
    /// What is known of the device behind it.
    pub device: Option<String>,
    /// USB vendor and product number, in hexadecimal: `2e8a:000a`.
    pub usb: Option<String>,
    /// Serial number of the USB device.
    pub serial: Option<String>,
}

/// The serial ports of this computer, by name. None where the system does not tell.
pub fn list() -> Vec<Found> {
    let mut paths = SerialPort::available_ports().unwrap_or_default();
    paths.sort();
    paths.into_iter().map(|path| describe(&path, Path::new("/sys/class/tty"))).collect()
}

/// What Linux tells of the USB device behind a port, in files; nothing elsewhere.
fn describe(port: &Path, class: &Path) -> Found {
    let name = port.display().to_string();
    let unknown = Found { name, device: None, usb: None, serial: None };
    let folder = port.file_name().and_then(|name| class.join(name).join("device").canonicalize().ok());
    // The port belongs to an interface, which is a folder in the device's; converters have one more between.
    let device = folder.as_deref().and_then(|folder| {
        folder.ancestors().take(4).find(|folder| folder.join("idVendor").is_file()).map(PathBuf::from)
    });
    let Some(device) = device else {
        return unknown;
    };
    let text = |file: &str| {
        let text = std::fs::read_to_string(device.join(file)).ok()?;
        Some(text.trim().to_string()).filter(|text| !text.is_empty())
    };
    let usb = text("idVendor").zip(text("idProduct")).map(|(vendor, product)| format!("{vendor}:{product}"));
    Found { device: text("product").or(text("manufacturer")), usb, serial: text("serial"), ..unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Port {
        let Ok(port) = text.parse();
        port
    }

    #[test]
    fn ports_are_read_and_written_alike() {
        assert_eq!(port("/dev/ttyACM0"), Port::Serial("/dev/ttyACM0".into()));
        assert_eq!(port("tcp:localhost:4000"), Port::Tcp("localhost:4000".into()));
        assert_eq!(port("unix:/run/board"), Port::Unix("/run/board".into()));
        for text in ["COM3", "tcp:[::1]:4000", "unix:a:b"] {
            assert_eq!(port(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let message = |text: &str| port(text).open(115_200).err().expect("nothing is there").to_string();
        let missing = message("/dev/ttyGOLDCREST9");
        assert!(missing.starts_with("/dev/ttyGOLDCREST9: no such serial port; "), "{missing}");
        let socket = message("unix:/nowhere/serial");
        assert!(socket.starts_with("unix:/nowhere/serial: ") && socket.contains("emulator"), "{socket}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let no_port = message(file.path().to_str().unwrap());
        assert!(no_port.starts_with(file.path().to_str().unwrap()), "{no_port}");
    }

    #[cfg(unix)]
    #[test]
    fn usb_devices_are_described_as_linux_lays_them_out() {
        let folder = tempfile::tempdir().unwrap();
        let (class, usb) = (folder.path().join("class"), folder.path().join("devices/usb1/1-2"));
        let converter = usb.join("1-2:1.0/ttyUSB0");
        for folder in [class.join("ttyACM0"), class.join("ttyUSB0"), class.join("ttyS0"), converter.clone()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for (file, text) in [
            ("idVendor", "0483\n"),
            ("idProduct", "374b\n"),
            ("product", "STM32 STLink\n"),
            ("serial", "066D\n"),
        ] {
            std::fs::write(usb.join(file), text).unwrap();
        }
        std::os::unix::fs::symlink(usb.join("1-2:1.0"), class.join("ttyACM0/device")).unwrap();
        std::os::unix::fs::symlink(converter, class.join("ttyUSB0/device")).unwrap();
        for port in ["/dev/ttyACM0", "/dev/ttyUSB0"] {
            let found = describe(Path::new(port), &class);
            assert_eq!((found.name.as_str(), found.device.as_deref()), (port, Some("STM32 STLink")));
            assert_eq!((found.usb.as_deref(), found.serial.as_deref()), (Some("0483:374b"), Some("066D")));
        }
        assert_eq!(describe(Path::new("/dev/ttyS0"), &class).usb, None);
    }

    #[test]
    fn a_slow_line_is_waited_for() {
        let slow = port("/dev/ttyUSB0").patience(9600).answer;
        assert!(slow >= Duration::from_millis(4096 * 10 * 1000 / 9600), "{slow:?}");
    }
}
