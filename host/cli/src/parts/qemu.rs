//! QEMU, which runs the firmware of the emulated boards.

use std::process::Command;

use super::{Check, Part, first_line};

pub(super) const ARM: Part = Part {
    name: "QEMU (Arm)",
    purpose: "running firmware on emulated Cortex-M boards",
    check: check_arm,
    fix: fix_arm,
};

pub(super) const RISCV: Part = Part {
    name: "QEMU (RISC-V)",
    purpose: "running firmware on emulated RISC-V boards",
    check: check_riscv,
    fix: fix_riscv,
};

fn check_arm() -> Check {
    check("qemu-system-arm", "qemu-system-arm")
}

fn fix_arm() -> Result<(), String> {
    system_install(&["qemu-system-arm"])
}

fn check_riscv() -> Check {
    check("qemu-system-riscv32", "qemu-system-misc")
}

fn fix_riscv() -> Result<(), String> {
    system_install(&["qemu-system-misc"])
}

fn check(program: &str, package: &str) -> Check {
    let line = first_line(program, &["--version"]).map_err(|_| {
        format!(
            "install {program}: `sudo apt-get install {package}` on Debian or Ubuntu, `brew install \
             qemu` on macOS"
        )
    })?;
    Ok(line.trim_start_matches("QEMU emulator version ").split(' ').next().unwrap_or_default().to_owned())
}

/// What apt knows of the first package: its versions and where they come from.
fn first_package_policy(packages: &[&str]) -> String {
    let output = Command::new("apt-cache").arg("policy").args(packages.first()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The release with backports in a policy such as `100 http://deb.debian.org/debian bookworm-backports/main
/// amd64`.
fn backports(policy: &str) -> Option<&str> {
    let mut words = policy.split_whitespace().filter_map(|word| word.split('/').next());
    words.find(|word| word.ends_with("-backports"))
}

/// Installs packages with the system's package manager, when that needs no password: as root, or
/// through `sudo -n`. Prefers Debian's backports where they are configured, because newer QEMUs know more
/// boards.
pub(super) fn system_install(packages: &[&str]) -> Result<(), String> {
    let root = first_line("id", &["-u"]).is_ok_and(|id| id == "0");
    if !root && first_line("sudo", &["-n", "true"]).is_err() {
        return Err("no permission to install packages".into());
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        let command = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        // The package manager's chatter belongs to standard error: standard output may carry JSON.
        let output = command.stdin(std::process::Stdio::null()).stdout(std::io::stderr()).status();
        match output {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("apt-get {}: {status}", arguments.join(" "))),
            Err(error) => Err(format!("apt-get cannot be run ({error})")),
        }
    };
    apt(&["update", "-qq"])?;
    let policy = first_package_policy(packages);
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    if let Some(release) = backports(&policy) {
        install.extend(["-t", release]);
    }
    install.extend_from_slice(packages);
    apt(&install)
}

#[cfg(test)]
mod tests {
    use super::backports;

    #[test]
    fn backports_are_found_where_they_are_configured() {
        let main = "*** 1:7.2 500\n 500 http://deb.debian.org/debian bookworm/main amd64 Packages\n";
        let both = format!(
            "1:10.0 100\n 100 http://deb.debian.org/debian bookworm-backports/main amd64 Packages\n{main}"
        );
        assert_eq!(backports(main), None);
        assert_eq!(backports(&both), Some("bookworm-backports"));
    }
}
