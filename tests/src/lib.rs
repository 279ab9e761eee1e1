//! What the end-to-end tests share: running the real `goldcrest` command.

pub mod allocations;

use std::path::PathBuf;
use std::process::{Command, Output};

/// The `goldcrest` command, built by `make build` beside these tests.
pub fn goldcrest(arguments: &[&str]) -> Output {
    let binary = binary();
    assert!(binary.exists(), "{} is missing: run `make build` first", binary.display());
    Command::new(binary).args(arguments).output().expect("the command starts")
}

/// Runs `goldcrest` with `--json` and returns the object it printed. Panics with everything it said unless
/// it ended with `code`.
pub fn goldcrest_json(arguments: &[&str], code: i32) -> serde_json::Value {
    let output = goldcrest(&[arguments, &["--json"]].concat());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "goldcrest {arguments:?}\n{stdout}\n{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("goldcrest {arguments:?}: {error}\n{stdout}"))
}

/// Runs `goldcrest`, asserts that it failed with exit code 1 or 2 and one clear message that contains `says`,
/// and returns the message.
pub fn goldcrest_fails(arguments: &[&str], says: &str) -> String {
    let output = goldcrest(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 2)), "goldcrest {arguments:?} ended with {code:?}\n{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("stack backtrace"), "{arguments:?}\n{stderr}");
    assert!(stderr.contains(says), "goldcrest {arguments:?} does not say `{says}`:\n{stderr}");
    stderr
}

/// `target/release/goldcrest`, found from the running test in `target/release/deps`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let release = test.ancestors().nth(2).expect("tests run in target/PROFILE/deps");
    release.join(format!("goldcrest{}", std::env::consts::EXE_SUFFIX))
}

/// A path as the command line takes it.
pub fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}
