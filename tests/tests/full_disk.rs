//! A disk that is full before training starts, and one that fills up during it. The limit is that of a file's
//! size, which cuts a write off half-way as a full disk does.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use goldcrest_tests::{binary, goldcrest_fails, goldcrest_json, text};

// A rate that does not depend on the number of epochs.
const RECIPE: [&str; 8] =
    ["--data", "glyphs:500,50", "--batch", "25", "--augment", "flip", "--schedule", "constant"];

fn train<'a>(out: &'a Path, further: &[&'a str]) -> Vec<&'a str> {
    [&["train", "lenet5", "--out", text(out)][..], &RECIPE, further].concat()
}

/// Starts `goldcrest` so that a write beyond a limit is an error and does not end the process.
fn start(script: &str, arguments: &[&str]) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; {script}exec \"$@\""), "sh"]).arg(binary()).args(arguments);
    shell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a shell starts")
}

fn ends_with(process: Child, code: i32) -> String {
    let output = process.wait_with_output().expect("a process");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn epochs(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default().lines().count()
}

#[test]
fn a_full_disk_is_reported_before_training_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    // In blocks of 512 bytes: room for small files, not for a checkpoint.
    let stderr = ends_with(start("ulimit -f 500; ", &train(&run, &[])), 1);
    assert!(
        stderr.contains("cannot write in the run's folder") && stderr.contains("free some space"),
        "{stderr}"
    );
    assert!(!run.join("checkpoint").exists() && epochs(&run) == 0);
}

#[test]
fn a_disk_that_fills_up_leaves_the_last_checkpoint_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (run, whole) = (folder.path().join("run"), folder.path().join("whole"));
    let process = start("", &train(&run, &["--epochs", "5000", "--save-every", "0.0005"]));
    let started = Instant::now();
    while epochs(&run) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "no epoch in a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let limited = Command::new("prlimit")
        .args(["--pid", &process.id().to_string(), "--fsize=100000:100000"])
        .status()
        .expect("util-linux has prlimit");
    assert!(limited.success());
    let stderr = ends_with(process, 1);
    assert!(stderr.contains("cannot write"), "{stderr}");
    assert!(stderr.contains("the one before is untouched") || stderr.contains("--resume"), "{stderr}");

    // With room again it goes on, to the same bits as a run that never stopped.
    let done = (epochs(&run) + 1).to_string();
    goldcrest_json(&train(&run, &["--resume", "--epochs", &done]), 0);
    goldcrest_json(&train(&whole, &["--epochs", &done]), 0);
    let model = |run: &Path| std::fs::read(run.join("model.onnx")).expect("a model");
    assert_eq!(model(&run), model(&whole), "after {done} epochs");
    let left = std::fs::read_dir(&run).expect("a folder").filter_map(Result::ok);
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count(), 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named_before_training() {
    let stderr = goldcrest_fails(&train(Path::new("/dev/null/run"), &[]), "/dev/null/run");
    assert!(
        stderr.contains("cannot create the run's folder") && stderr.contains("another --out"),
        "{stderr}"
    );
    assert!(!stderr.contains("train loss"), "{stderr}");
}
