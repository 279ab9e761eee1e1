//! A run on an emulated board that is ended at any moment, by any signal, leaves no process and no file
//! behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use goldcrest_board::{firmware, table};
use goldcrest_onnx::int8;
use goldcrest_quantize::random::{self, Random};
use goldcrest_tests::{binary, text};

const BOARD: &str = "mps2-an386";
const RUNS: u64 = 30;
const SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGKILL];
/// How long what was left may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Processes with a variable in their environment, which children inherit: number and command.
fn marked(mark: &str) -> Vec<(String, String)> {
    let found = |entry: fs::DirEntry| {
        let number = entry.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok())?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let has = environment.split(|&byte| byte == 0).any(|one| one == mark.as_bytes());
        let command = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        has.then(|| (number, command.trim().to_owned()))
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(found).collect()
}

/// The command, with the signals as they are for a person's: a shell in the background has SIGINT ignored, and
/// whatever it starts inherits that.
fn command() -> Command {
    let mut command = Command::new(binary());
    let reset = || {
        for signal in SIGNALS {
            // SAFETY: no handler is set, and `signal` may be called between fork and exec.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the function calls nothing else.
    unsafe { command.pre_exec(reset) };
    command
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
}

/// Waits for what a variable marks to be as expected.
fn wait_for(mark: &str, patience: Duration, expected: impl Fn(&[(String, String)]) -> bool) {
    let start = Instant::now();
    loop {
        let found = marked(mark);
        if expected(&found) {
            break;
        }
        assert!(start.elapsed() < patience, "{found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_is_ended_while_it_builds_the_firmware_ends_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let (model, cargo) = (folder.path().join("model.onnx"), folder.path().join("cargo"));
    int8::write(&random::lenet5(1)).write(&model).unwrap();
    // A build that takes longer than the test may.
    fs::write(&cargo, "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let mark = format!("GOLDCREST_TEST_RUN={}-build", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    for signal in SIGNALS {
        let mut child = command()
            .args(["emulate", "--board", BOARD, "--model", text(&model), "--data", "glyphs:100,100"])
            .arg("--by-position")
            .env("CARGO", &cargo)
            .env(name, value)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&mark, 20 * PATIENCE, |found| found.iter().any(|(_, command)| command == "sleep"));
        // SAFETY: kill takes any number; the child is not waited for before, so the number is its own.
        assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
        child.wait().unwrap();
        wait_for(&mark, PATIENCE, <[_]>::is_empty);
    }
}

#[test]
fn a_run_that_is_ended_leaves_nothing_behind() {
    // Built before, so that the moments fall into the emulation.
    firmware::build(table::find(BOARD).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let model = folder.path().join("model.onnx");
    int8::write(&random::lenet5(1)).write(&model).unwrap();
    let commands = [
        &["emulate", "--board", BOARD, "--model", text(&model), "--data", "glyphs:100,2000"][..],
        &["verify", text(&model), "--data", "glyphs:100,2000", "--board", BOARD, "--board-images", "2000"],
    ];
    let mut random = Random::new(u64::from(std::process::id()));
    let (mut emulating, mut cut) = (0, 0);
    for run in 0..RUNS {
        let mark = format!("GOLDCREST_TEST_RUN={}-{run}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let arguments = commands[run as usize % 2];
        let mut child = command()
            .args(arguments)
            .args(["--by-position"])
            .env("TMPDIR", &temporary)
            .env(name, value)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Half of the runs are ended at any moment, the others while the board works; each signal meets both.
        let is_emulating = || marked(&mark).iter().any(|(_, command)| command.starts_with("qemu-system"));
        let start = Instant::now();
        while run % 16 >= 8 && !is_emulating() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(random.bits() % 1500));
        emulating += usize::from(is_emulating());
        let signal = SIGNALS[(run / 2) as usize % SIGNALS.len()];
        // SAFETY: kill takes any number; the child is not waited for before, so the number is its own.
        assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
        let status = child.wait().unwrap();
        cut += usize::from(status.signal().is_some());
        let ended = Instant::now();
        loop {
            let (left, files) = (marked(&mark), names(&temporary));
            if left.is_empty() && files.is_empty() {
                break;
            }
            let all = format!("{arguments:?}, signal {signal}: {left:?}, {files:?}");
            assert!(ended.elapsed() < PATIENCE, "{all}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(emulating >= 10 && cut >= 20, "{emulating} of {RUNS} were emulating, {cut} were cut short");
}
