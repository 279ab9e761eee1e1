//! A training that is killed at random moments ends with the same bits as one that is not.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use goldcrest_tests::{binary, goldcrest_json, text};

const RECIPE: [&str; 14] = [
    "--data",
    "glyphs:1000,100",
    "--epochs",
    "6",
    "--batch",
    "25",
    "--momentum",
    "0.9",
    "--augment",
    "flip,crop=4,mixup=0.2,cutmix=1",
    "--ema",
    "0.99",
    // Minutes: after every few steps.
    "--save-every",
    "0.0005",
];

fn train(out: &Path, further: &[&str]) -> Vec<String> {
    let arguments = ["train", "lenet5", "--out", text(out)];
    let arguments = arguments.iter().chain(&RECIPE).chain(further);
    arguments.map(|argument| (*argument).to_owned()).collect()
}

#[test]
fn killed_trainings_end_with_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let started = Instant::now();
    let arguments = train(&whole, &[]);
    goldcrest_json(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 0);
    let takes = started.elapsed();

    // Moments differ from run to run: all of them must do.
    let mut seed = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_nanos() as u64;
    let (mut kills, mut resumed) = (0, false);
    loop {
        let further = if resumed { "--resume" } else { "--overwrite" };
        let mut process = Command::new(binary())
            .args(train(&killed, &[further]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command starts");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = takes.mul_f64((seed >> 40) as f64 / (1u64 << 24) as f64);
        // After some kills it may come to its end.
        if kills < 6 {
            std::thread::sleep(moment.max(Duration::from_millis(20)));
            if process.try_wait().expect("a process").is_none() {
                process.kill().expect("a running process can be killed");
                kills += 1;
            }
        }
        let status = process.wait().expect("a process");
        resumed = killed.join("checkpoint").exists();
        if status.success() {
            break;
        }
        assert!(status.code().is_none(), "the training failed by itself: {status}");
    }
    println!("{kills} kills of a training of {takes:.1?}");
    for file in ["model.onnx", "best.onnx"] {
        let read = |run: &Path| std::fs::read(run.join(file)).expect("both runs have their models");
        assert_eq!(read(&whole), read(&killed), "{file}");
    }
    let epochs = |run: &Path| {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
        text.lines().count()
    };
    assert_eq!((epochs(&whole), epochs(&killed)), (6, 6));
    let left = std::fs::read_dir(&killed).expect("a folder").filter_map(Result::ok);
    let drafts = left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count();
    assert_eq!(drafts, 0, "half-written files are cleared away");
}
