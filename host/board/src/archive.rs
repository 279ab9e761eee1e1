// The firmware's sources as one archive; also a module of the build script.

use std::io::{self, Write};
use std::path::Path;
use std::{fs, str};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Files and folders of a checkout that a firmware is built from.
pub const SOURCES: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "firmware",
    "rust-toolchain.toml",
    "shared/c",
    "shared/engine",
    "shared/link",
    "shared/quantize",
];

/// The archive of a checkout's sources. The same sources give the same bytes.
pub fn pack(checkout: &Path) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for path in SOURCES {
        add(&mut tar, checkout, path)?;
    }
    tar.into_inner()?.finish()
}

fn add(tar: &mut tar::Builder<impl Write>, checkout: &Path, name: &str) -> io::Result<()> {
    let path = checkout.join(name);
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(&path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file = entry.file_name();
            let file = file.to_str().ok_or_else(|| io::Error::other("a file name that is not UTF-8"))?;
            if file != "target" {
                add(tar, checkout, &format!("{name}/{file}"))?;
            }
        }
        return Ok(());
    }
    let mut bytes = fs::read(&path)?;
    if name == "Cargo.toml" {
        bytes = workspace(str::from_utf8(&bytes).map_err(io::Error::other)?).into_bytes();
    }
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, &*bytes)
}

/// The members of the archive's workspace.
const MEMBERS: &str =
    r#"members = ["firmware", "shared/c", "shared/engine", "shared/link", "shared/quantize"]"#;

/// The workspace's manifest with no members but those in the archive.
fn workspace(manifest: &str) -> String {
    let mut lines = Vec::new();
    for line in manifest.lines() {
        match line.split_once(" = ") {
            Some(("members", _)) => {
                lines.push(MEMBERS);
            }
            Some(("default-members", _)) => {}
            _ => lines.push(line),
        }
    }
    lines.join("\n") + "\n"
}
