//! A board that faults starts anew and tells the host where: the firmware for real boards, in an emulator
//! whose debugger sends the processor where there is no memory.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use goldcrest_board::client::{Client, Patience};
use goldcrest_board::firmware::{self, Program, Recipe};
use goldcrest_board::table;

/// Ended when dropped.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(path: &Path) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) if Instant::now() > deadline => panic!("{}: {error}", path.display()),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Sends a packet of GDB's remote protocol.
fn tell(debugger: &mut UnixStream, packet: &str) {
    let sum = packet.bytes().fold(0u8, u8::wrapping_add);
    debugger.write_all(format!("${packet}#{sum:02x}").as_bytes()).unwrap();
}

/// Hears the next packet whose text is as wanted, and confirms those before it.
fn hear(debugger: &mut UnixStream, wanted: impl Fn(&str) -> bool) -> String {
    let mut heard = String::new();
    loop {
        let mut bytes = [0; 1024];
        let count = debugger.read(&mut bytes).unwrap();
        assert!(count > 0, "the debugger hung up after {heard:?}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        while let Some((packet, rest)) = heard.split_once('#').filter(|(_, sum)| sum.len() >= 2) {
            let text = packet.trim_start_matches(['+', '$']).to_string();
            heard = rest[2..].to_string();
            debugger.write_all(b"+").unwrap();
            if wanted(&text) {
                return text;
            }
        }
    }
}

#[test]
fn a_fault_is_told_after_the_restart() {
    let board = table::find("mps2-an386").unwrap();
    let recipe = Recipe { program: Program::Flashed, ..Recipe::default() };
    let firmware = firmware::build_as(board, &recipe).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let (serial, gdb) = (folder.path().join("serial"), folder.path().join("gdb"));
    let listener = UnixListener::bind(&serial).unwrap();
    let machine = board.machine.as_ref().unwrap();
    let emulator = Command::new(machine.program)
        .args(machine.arguments)
        .args(["-nodefaults", "-display", "none", "-monitor", "none", "-kernel"])
        .arg(&firmware.elf)
        .args(["-serial", &format!("unix:{}", serial.display())])
        .args(["-chardev", &format!("socket,id=gdb,path={},server=on,wait=off", gdb.display())])
        .args(["-gdb", "chardev:gdb"])
        // As every emulation here: QEMU 7.2 without it sleeps through the UART's interrupt.
        .args(["-icount", "shift=8"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _emulator = Emulator(emulator.unwrap());
    let (line, _) = listener.accept().unwrap();
    let mut client = Client::connect(line, Patience::default()).unwrap();
    assert_eq!(client.last_words().unwrap(), None);

    let mut debugger = connect(&gdb);
    debugger.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // All registers as one row of hexadecimal digits; the sixteenth is the program counter.
    tell(&mut debugger, "g");
    let registers = hear(&mut debugger, |text| text.len() > 128);
    let (before, after) = (&registers[..120], &registers[128..]);
    tell(&mut debugger, &format!("G{before}000000f0{after}"));
    hear(&mut debugger, |text| text == "OK");
    tell(&mut debugger, "c");
    let message = client.last_words().unwrap().expect("a message");
    assert!(message.contains("hard fault at 0xf0000000"), "{message}");
    assert!(client.info().unwrap().model.is_err(), "no model was loaded");
}
