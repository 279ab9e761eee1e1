//! Builds the C library of a core: an archive with one object.

use std::io::{self, Cursor};
use std::path::PathBuf;
use std::{fs, str};

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use goldcrest_board::cargo;
use goldcrest_board::sources::{self, SourcesError};
use goldcrest_engine::AlignedBytes;
use goldcrest_engine::kernels;
use object::read::archive::ArchiveFile;

use crate::cores::Core;
use crate::object_file::{needed, tidy};

/// The C library of a core.
#[derive(Clone, Debug)]
pub struct Library {
    /// The core.
    pub core: &'static Core,
    /// `libgoldcrest-CORE.a`.
    pub archive: Vec<u8>,
    /// `goldcrest.h`.
    pub header: String,
    /// The object in the archive.
    object: AlignedBytes,
}

impl Library {
    /// Bytes of code and constants that a program links: of the engine, without what only some programs call,
    /// and of those kernels.
    pub fn code_bytes(&self, kernels: &[&str]) -> u64 {
        let symbols: Vec<_> = kernels.iter().map(|kernel| kernel_symbol(kernel)).collect();
        let is_used = |name: &[u8]| {
            let name = str::from_utf8(name).unwrap_or_default();
            symbols.iter().any(|symbol| symbol == name) || CALLED.contains(&name)
        };
        // The builder wrote the object: it can be read.
        needed(&self.object, is_used).unwrap_or_default()
    }
}

/// What the exported program calls.
const CALLED: [&str; 6] = ["gc_open", "gc_selftest", "gc_input", "gc_step", "gc_best", "gc_status_text"];

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The sources cannot be had.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// No cargo.
    #[error(
        "cargo could not be started ({0}); the library is built with it: install Rust from https://rustup.rs"
    )]
    NoCargo(io::Error),
    /// The compiler's target is not installed.
    #[error("the compiler has no target {target}, which {core} needs; run: rustup target add {target}")]
    NoTarget {
        /// The core.
        core: &'static str,
        /// Target triple.
        target: &'static str,
    },
    /// The compiler refused.
    #[error("cargo failed to build the library of {core}:\n{output}")]
    Failed {
        /// The core.
        core: &'static str,
        /// What the compiler said.
        output: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The compiler's archive is not what is expected.
    #[error("{}: {problem}; please report it with the compiler's version (rustc -vV)", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// What the names of the interface begin with.
const PREFIX: &str = "gc_";
const KERNEL_PREFIX: &str = "gc_kernel_";

/// The name of a kernel in C: `gc_kernel_dsp_conv` of `dsp-conv`.
pub fn kernel_symbol(kernel: &str) -> String {
    format!("{KERNEL_PREFIX}{}", kernel.replace('-', "_"))
}

impl Core {
    /// Whether its library has a name of the interface: all of them, but of kernels only those that the core
    /// has instructions for. A model for another core then does not link.
    fn has(&self, name: &[u8]) -> bool {
        match str::from_utf8(name) {
            Ok(name) if name.starts_with(KERNEL_PREFIX) => kernels::ALL
                .iter()
                .any(|kernel| kernel_symbol(kernel.name()) == name && kernel.family() <= self.family),
            Ok(name) => name.starts_with(PREFIX),
            Err(_) => false,
        }
    }
}

/// Builds the library of a core, `small` for little code rather than speed. Quick when nothing changed.
///
/// # Errors
/// When cargo, its target or the sources are missing, the build fails, or the compiler's archive cannot be
/// read.
pub fn build(core: &'static Core, small: bool) -> Result<Library, LibraryError> {
    let root = sources::root()?;
    let target_folder = cargo::target_folder(&root);
    let file = |path: PathBuf| move |error| LibraryError::File { path, error };
    fs::create_dir_all(&target_folder).map_err(file(target_folder.clone()))?;
    // Cores of one target share the path that cargo puts the archive at.
    let lock = target_folder.join(format!(".c-library-{}.lock", core.target));
    let _lock = cargo::lock_file(&lock).map_err(file(lock.clone()))?;
    let mut command = cargo::command(&root, core.rustflags);
    command
        .args(["rustc", "--package", "goldcrest-c", "--lib", "--crate-type", "staticlib"])
        .args(["--profile", if small { "library-small" } else { "library" }, "--target", core.target])
        .args(["--features", if small { "library,small" } else { "library" }])
        .arg("--message-format=json-render-diagnostics");
    let output = command.output().map_err(LibraryError::NoCargo)?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim_end().to_string();
        return Err(match cargo::lacks_target(&output) {
            true => LibraryError::NoTarget { core: core.name, target: core.target },
            false => LibraryError::Failed { core: core.name, output },
        });
    }
    let Some(path) = cargo::artifact(&output.stdout, "goldcrest_c", ".a") else {
        let output = "no archive came out of a successful build".to_string();
        return Err(LibraryError::Failed { core: core.name, output });
    };
    let bytes = fs::read(&path).map_err(file(path.clone()))?;
    let (archive, object) =
        archive(core, &bytes).map_err(|problem| LibraryError::Archive { path: path.clone(), problem })?;
    let header = root.join("shared/c/goldcrest.h");
    let header = fs::read_to_string(&header).map_err(file(header.clone()))?;
    Ok(Library { core, archive, header, object })
}

/// The library out of the compiler's archive, whose other members are Rust's replacements of the C library.
fn archive(core: &Core, bytes: &[u8]) -> Result<(Vec<u8>, AlignedBytes), String> {
    let from = ArchiveFile::parse(bytes).map_err(|error| error.to_string())?;
    let mut objects = Vec::new();
    for member in from.members() {
        let member = member.map_err(|error| error.to_string())?;
        if member.name().starts_with(b"goldcrest_c-") {
            objects.push(member.data(bytes).map_err(|error| error.to_string())?);
        }
    }
    let [object] = objects[..] else {
        return Err(format!(
            "{} objects of the interface, where link-time optimization makes one",
            objects.len()
        ));
    };
    // The reader of objects wants them aligned, as members of an archive need not be.
    let object = AlignedBytes::from(object);
    let object = tidy(&object, |name| core.has(name)).map_err(|error| error.to_string())?;
    let member = NewArchiveMember::new(&object, &DEFAULT_OBJECT_READER, "goldcrest.o".to_string());
    let mut archive = Cursor::new(Vec::new());
    write_archive_to_stream(&mut archive, &[member], ArchiveKind::Gnu, false, None)
        .map_err(|error| error.to_string())?;
    let object = AlignedBytes::from(&object[..]);
    Ok((archive.into_inner(), object))
}
