//! `goldcrest flash` with the real firmware, and tools on the search path that write down what they are asked
//! and say what the real ones say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use goldcrest_board::firmware::Firmware;
use goldcrest_board::payload::Payload;
use goldcrest_board::table;
use goldcrest_engine::ImageBuf;
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::random::{self, Random};
use goldcrest_tests::{binary, text};
use serde_json::Value;

const BOARD: &str = "nucleo-f446re";

/// A folder with a model, and tools that come first on the search path. One at a time: the files that are
/// made stand beside the firmware, which all tests share.
struct Desk(tempfile::TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Desk {
    fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = Self(tempfile::tempdir().unwrap(), turn);
        let family = table::find(BOARD).unwrap().family;
        let options =
            PackOptions { family, golden: vec![Random::new(3).pixels(3072)], ..PackOptions::default() };
        let payload = Payload::pack(&random::lenet5(1), &options).unwrap();
        fs::write(desk.model(), payload.image.bytes()).unwrap();
        fs::create_dir(desk.path("bin")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.path("model.gci")
    }

    /// A tool that writes its arguments to `NAME.log` and then does what the script says.
    fn tool(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let log = self.path(&format!("{name}.log"));
        fs::write(&path, format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", log.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a tool was asked for, one line each; forgotten then.
    fn asked(&self, name: &str) -> Vec<String> {
        let path = self.path(&format!("{name}.log"));
        let lines = fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_string).collect();
        let _ = fs::remove_file(path);
        lines
    }

    fn flash(&self, arguments: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new(binary())
            .args(["flash", "--json"])
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.flash(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Flashing fails with this exit code and one line that contains `says`.
    fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.flash(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stderr}");
        let errors: Vec<_> = stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        assert!(
            errors.len() == 1 && errors[0].contains(says),
            "{arguments:?} does not say `{says}`:\n{stderr}"
        );
    }
}

/// Address and byte of every data record of an Intel HEX file.
fn hex(path: &Path) -> Vec<(u32, u8)> {
    let mut upper = 0;
    let mut found = Vec::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let bytes: Vec<u8> =
            (1..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
        match bytes[3] {
            0 => {
                let start = upper << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
                found.extend((start..).zip(bytes[4..bytes.len() - 1].iter().copied()));
            }
            4 => upper = u32::from(bytes[4]) << 8 | u32::from(bytes[5]),
            kind => assert_eq!(kind, 1, "{line}"),
        }
    }
    found
}

/// Address and byte of every page of a UF2 file for a family; checks the blocks as the specification has
/// them.
fn uf2(path: &Path, family: u32) -> Vec<(u32, u8)> {
    let file = fs::read(path).unwrap();
    assert_eq!(file.len() % 512, 0);
    let mut found = Vec::new();
    for (number, block) in file.chunks(512).enumerate() {
        let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
        let head = [word(0), word(4), word(8), word(16), word(20), word(24), word(28), word(508)];
        let blocks = (file.len() / 512) as u32;
        let expected = [0x0a32_4655, 0x9e5d_5157, 0x2000, 256, number as u32, blocks, family, 0x0ab1_6f30];
        assert_eq!(head, expected, "block {number}");
        found.extend((word(12)..).zip(block[32..288].iter().copied()));
    }
    assert!(found.is_sorted_by(|one, other| one.0 < other.0), "pages go up and share nothing");
    found
}

/// The bytes that a file must write: the loadable segments of the ELF file, as objcopy makes them.
fn objcopy(elf: &Path) -> Vec<(u32, u8)> {
    let bytes = fs::read(elf).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let half = |at: usize| usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()));
    let (headers, size, count) = (word(28) as usize, half(42), half(44));
    let mut found = Vec::new();
    for header in (0..count).map(|index| headers + index * size) {
        let (kind, offset, address, length) =
            (word(header), word(header + 4) as usize, word(header + 12), word(header + 16) as usize);
        if kind == 1 {
            found.extend((address..).zip(bytes[offset..offset + length].iter().copied()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_probe_writes_firmware_and_model_and_reads_them_back() {
    let desk = Desk::new();
    desk.tool("probe-rs", "case $1 in verify) echo 'Verification successful';; esac");
    let model = desk.model();
    let arguments = ["--board", BOARD, "--model", text(&model)];
    let report = desk.done(&arguments);
    let file = PathBuf::from(report["files"][0].as_str().unwrap());
    let common = "--non-interactive --chip STM32F446RETx";
    let download =
        format!("download {common} --disable-progressbars --verify --binary-format hex {}", file.display());
    assert_eq!(desk.asked("probe-rs"), [download, format!("reset {common}")]);
    assert_eq!((&report["written"], &report["verified"]), (&true.into(), &true.into()));

    assert_eq!(hex(&file), expected(&report, &model));

    let report = desk.done(&[&arguments[..], &["--verify-only", "--probe", "0483:374b:066D"]].concat());
    assert_eq!(report["written"], false);
    let verify = format!("verify {common} --probe 0483:374b:066D --binary-format hex {}", file.display());
    assert_eq!(desk.asked("probe-rs"), [verify]);

    let report = desk.done(&[&arguments[..], &["--model-only", "--dry-run"]].concat());
    assert_eq!((&report["firmware_bytes"], &report["written"]), (&0.into(), &false.into()));
    assert!(desk.asked("probe-rs").is_empty(), "a dry run runs nothing");
    let firmware = Firmware::open(Path::new(report["elf"].as_str().unwrap())).unwrap();
    assert!(hex(&file).iter().all(|&(address, _)| u64::from(address) >= firmware.slot_start));
}

/// Firmware, model and the erased ends of the slots.
fn expected(report: &Value, model: &Path) -> Vec<(u32, u8)> {
    let elf = PathBuf::from(report["elf"].as_str().unwrap());
    let firmware = Firmware::open(&elf).unwrap();
    let mut expected = objcopy(&elf);
    expected.extend((firmware.slot_start as u32..).zip(fs::read(model).unwrap()));
    for slot in firmware.slots() {
        let end = (slot + firmware.slot_bytes) as u32;
        expected.extend((end - 256..end).map(|address| (address, 0xff)));
    }
    expected.sort();
    expected
}

/// The name of a file that is made from the firmware's, which begins with the board's.
fn file_name(report: &Value, extension: &str) -> PathBuf {
    let elf = Path::new(report["elf"].as_str().unwrap());
    let name = PathBuf::from(elf.with_extension(extension).file_name().unwrap());
    assert!(name.to_str().unwrap().starts_with(report["board"].as_str().unwrap()), "{name:?}");
    name
}

#[test]
fn boot_loaders_of_the_picos_get_the_file_of_their_part() {
    let desk = Desk::new();
    let model = desk.model();
    for (board, id, family) in [("pico", "RPI-RP2", 0xe48b_ff56), ("pico2", "RP2350", 0xe48b_ff59)] {
        let drive = desk.path(board);
        fs::create_dir(&drive).unwrap();
        fs::write(drive.join("INFO_UF2.TXT"), format!("UF2 Bootloader v1.0\r\nBoard-ID: {id}\r\n")).unwrap();
        let report = desk.done(&["--board", board, "--model", text(&model), "--drive", text(&drive)]);
        assert_eq!(
            (&report["method"], &report["written"], &report["verified"]),
            (&"uf2".into(), &true.into(), &false.into())
        );
        let written = uf2(&drive.join(file_name(&report, "uf2")), family);
        let expected = expected(&report, &model);
        assert!(written.len() < expected.len() + 64 * 256, "pages hold little else");
        let mut written = written.into_iter().peekable();
        for (address, byte) in expected {
            // What fills pages up is as erased flash is.
            while written.next_if(|&(at, filler)| at < address && filler == 0xff).is_some() {}
            assert_eq!(written.next(), Some((address, byte)), "{board}");
        }
    }
    let (pico, pico2) = (desk.path("pico"), desk.path("pico2"));
    desk.fails(&["--board", "pico", "--drive", text(&pico2)], 1, "RP2350");
    desk.fails(&["--board", "pico", "--drive", text(desk.0.path())], 2, "BOOTSEL");
    desk.fails(&["--board", "pico", "--drive", text(&pico), "--verify-only"], 2, "cannot be read back");
}

#[test]
fn a_microbit_takes_hex_on_its_drive() {
    let desk = Desk::new();
    let (model, drive) = (desk.model(), desk.path("MICROBIT"));
    fs::create_dir(&drive).unwrap();
    fs::write(drive.join("DETAILS.TXT"), "# DAPLink Firmware\r\nUnique ID: 9904360258824e45\r\n").unwrap();
    let arguments =
        ["--board", "microbit-v2", "--method", "hex", "--model", text(&model), "--drive", text(&drive)];
    let report = desk.done(&arguments);
    assert_eq!(hex(&drive.join(file_name(&report, "hex"))), expected(&report, &model));
}

#[test]
fn espflash_writes_the_firmware_and_the_model_at_its_offset() {
    let desk = Desk::new();
    desk.tool(
        "espflash",
        r#"case $1 in
            read-flash) cp "${9%.read}.bin" "$9";;
            save-image) for last; do :; done; echo image > "$last";;
        esac"#,
    );
    let model = desk.model();
    let arguments = ["--board", "esp32c3-devkit", "--model", text(&model), "--port", "/dev/ttyUSB7"];
    let report = desk.done(&arguments);
    let elf = report["elf"].as_str().unwrap();
    let files: Vec<_> =
        report["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    let common = "--non-interactive --chip esp32c3 --port /dev/ttyUSB7";
    let asked = desk.asked("espflash");
    assert_eq!(asked[0], format!("flash {common} {elf}"));
    assert_eq!(asked[1], format!("write-bin {common} 0x100000 {}", files[0]));
    // The sectors with the records of updates, at the ends of both slots.
    assert_eq!(
        asked[2..],
        [
            format!("write-bin {common} 0x27f000 {}", files[1]),
            format!("write-bin {common} 0x3ff000 {}", files[2]),
        ]
    );
    let (written, image) = (fs::read(files[0]).unwrap(), fs::read(&model).unwrap());
    assert_eq!((&written[..image.len()], written.len() % 4096), (&image[..], 0));
    assert!(written[image.len()..].iter().all(|&byte| byte == 0xff));
    assert!(files[1..].iter().all(|file| fs::read(file).unwrap() == [0xff; 4096]));

    let verify = [&arguments[..], &["--verify-only"]].concat();
    desk.done(&verify);
    let asked = desk.asked("espflash");
    assert!(asked[0].starts_with("save-image --chip esp32c3 --merge --skip-padding"), "{asked:?}");
    assert!(asked[1].starts_with(&format!("read-flash {common} 0x0 6 ")), "{asked:?}");
    assert!(asked[2].starts_with(&format!("read-flash {common} 0x100000 {} ", written.len())), "{asked:?}");
    let zeros = r#"case $1 in
        read-flash) head -c "$8" /dev/zero > "$9";;
        save-image) for last; do :; done; echo image > "$last";;
    esac"#;
    desk.tool("espflash", zeros);
    desk.fails(&verify, 1, "does not hold what was built");
    desk.fails(&arguments[..4], 2, "--port");
    // What is only shown needs no port.
    let shown = desk.done(&[&arguments[..4], &["--dry-run"]].concat());
    assert!(shown["actions"][0].as_str().unwrap().contains("--port PORT"), "{shown}");
    desk.tool(
        "espflash",
        "echo 'Error: espflash::chip_mismatch' >&2; echo '  × Chip provided with \
         `-c/--chip` (esp32c3) does not match the detected chip (esp32s3)' >&2; exit 1",
    );
    desk.fails(&arguments, 1, "esp32s3");
}

#[test]
fn logs_come_through_the_probe_of_the_very_firmware_that_is_flashed() {
    let desk = Desk::new();
    desk.tool("probe-rs", "[ $1 = attach ] && echo 'INFO  model 12345678'");
    let report = desk.done(&["--board", BOARD, "--dry-run"]);
    let path = format!("{}:{}", desk.path("bin").display(), std::env::var("PATH").unwrap());
    let monitor = |arguments: &[&str]| {
        Command::new(binary()).arg("monitor").args(arguments).env("PATH", &path).output().unwrap()
    };
    let output = monitor(&["--board", BOARD]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "INFO  model 12345678\n");
    let elf = report["elf"].as_str().unwrap();
    assert_eq!(desk.asked("probe-rs"), [format!("attach --non-interactive --chip STM32F446RETx {elf}")]);
    let emulated = monitor(&["--board", "mps2-an386"]);
    assert_eq!(emulated.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&emulated.stderr).contains("goldcrest emulate --board mps2-an386 --log"));
    assert_eq!(monitor(&[]).status.code(), Some(2), "neither a board nor a port");
}

#[test]
fn what_goes_wrong_with_a_probe_is_said_with_what_to_do() {
    let desk = Desk::new();
    let board = ["--board", BOARD];
    let listed =
        "[ $1 = list ] && { echo '[0]: STLink V2-1 -- 0483:374b:066D (ST-LINK) (inaccessible)'; exit 0; }";
    for (script, code, says) in [
        ("echo 'Error: Probe not found' >&2; [ $1 = list ] || exit 1", 2, "no debug probe was found"),
        (
            "[ $1 = list ] && exit 0; echo 'Error: Failed to open probe' >&2; echo 'Caused by: 0: The \
             firmware on the probe is outdated' >&2; exit 1",
            2,
            "The firmware on the probe is outdated",
        ),
        (
            &format!("{listed}; echo 'Error: Probe not found' >&2; exit 1"),
            2,
            "ATTRS{idVendor}==\"0483\", TAG+=\"uaccess\"",
        ),
        (
            "echo 'Error: Connecting to the chip was unsuccessful: An ARM specific error occurred.: An \
             operation could not be performed because it lacked the permission to do so: erase_all' >&2; \
             exit 1",
            1,
            "probe-rs erase --chip STM32F446RETx --allow-erase-all",
        ),
        (
            "echo 'Error: Connecting to the chip was unsuccessful: An error with the usage of the probe \
             occurred: Failed to find or attach to the target. Please check the wiring before retrying.' \
             >&2; exit 1",
            1,
            "this is not the expected STM32F446RETx",
        ),
        ("echo 'Error: Flash content verification failed.' >&2; exit 1", 1, "does not hold what was built"),
    ] {
        desk.tool("probe-rs", script);
        desk.fails(&board, code, says);
    }
    // probe-rs ends with 0 when the flash differs.
    desk.tool("probe-rs", "echo 'Verification failed: contents do not match'");
    desk.fails(&[&board[..], &["--verify-only"]].concat(), 1, "does not hold what was built");
}

#[test]
fn wrong_usage_is_named_before_anything_is_written() {
    let desk = Desk::new();
    desk.tool("probe-rs", "");
    desk.fails(&["--board", "mps2-an386"], 2, "goldcrest emulate --board mps2-an386");
    desk.fails(&["--board", BOARD, "--method", "uf2"], 2, "it can by probe");
    desk.fails(&["--board", "mps9"], 2, "mps9");
    assert_eq!(desk.flash(&["--board", BOARD, "--model-only"]).status.code(), Some(2), "without a model");
    let large = desk.path("large.gci");
    fs::write(&large, "no model").unwrap();
    desk.fails(&["--board", BOARD, "--model", text(&large)], 1, "large.gci");
    assert!(desk.asked("probe-rs").is_empty());

    let image = fs::read(desk.model()).unwrap();
    assert!(ImageBuf::new_checked(&image).is_ok());
    let output = Command::new(binary())
        .args(["flash", "--board", BOARD])
        .env("PATH", format!("{}:/usr/bin:/bin", PathBuf::from(env!("CARGO")).parent().unwrap().display()))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("cargo install probe-rs-tools --locked"), "{message}");
    assert!(!message.contains("building the firmware"), "it is looked for first: {message}");
}

#[test]
fn a_key_once_built_in_is_built_in_again() {
    let desk = Desk::new();
    let project = desk.path("project");
    fs::create_dir(&project).unwrap();
    let key = desk.path("key.pem");
    let made = Command::new(binary()).args(["keys", "new", text(&key), "--json"]).output().unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let flash = |variable: &str| {
        let output = Command::new(binary())
            .args(["flash", "--board", BOARD, "--dry-run", "--json"])
            .current_dir(&project)
            .env("GOLDCREST_UPDATE_KEY", variable)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, first) = flash(made["public_key"].as_str().unwrap());
    let report: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((code, &report["update_key"]), (Some(0), &made["fingerprint"]), "{first}");
    let file = fs::read_to_string(project.join("goldcrest.toml")).unwrap();
    assert!(file.contains(made["public_key"].as_str().unwrap()), "{file}");
    // Without the variable it is the same firmware.
    let (code, again) = flash("");
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((code, &again["update_key"], &again["elf"]), (Some(0), &made["fingerprint"], &report["elf"]));
    // Another key is an error before anything is built.
    let (code, other) = flash("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert!(code == Some(2) && other.contains("goldcrest.toml"), "{other}");
}
