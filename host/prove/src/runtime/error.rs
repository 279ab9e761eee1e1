//! What can go wrong between a name and a loaded ONNX Runtime, and what to do about it.

use std::path::PathBuf;

/// Why the ONNX Runtime could not be found, installed or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The system names no cache folder.
    #[error("this system names no cache folder; set GOLDCREST_CACHE to a folder that can be written")]
    NoCacheFolder,
    /// Nothing in the cache folder.
    #[error(
        "the ONNX Runtime with the training API is not installed (looked for {path}); run `goldcrest doctor \
         --fix`"
    )]
    NotInstalled { path: PathBuf },
    /// Nothing for GPUs in the cache folder.
    #[error(
        "the ONNX Runtime for GPUs and its CUDA libraries are not installed (looked for {path}); run \
         `goldcrest doctor --cuda`, or pass --device cpu"
    )]
    CudaNotInstalled { path: PathBuf },
    /// The user named a file that is not there.
    #[error(
        "{by} names {path}, but there is no such file; name a libonnxruntime.so, or leave it out to use the \
         installed one"
    )]
    NamedLibraryMissing { path: PathBuf, by: &'static str },
    /// The wheel exists for one kind of host only.
    #[error(
        "the ONNX Runtime training wheel exists for x86_64 Linux only, this is {arch} {os}; set \
         ORT_DYLIB_PATH to an ONNX Runtime library of this system"
    )]
    UnsupportedHost { arch: &'static str, os: &'static str },
    /// No pip answers.
    #[error(
        "no pip found (tried {tried}); it is only needed to download the ONNX Runtime: install it (Debian: \
         `apt install python3-pip`), then run `goldcrest doctor --fix` again"
    )]
    NoPip { tried: String },
    /// pip ended with an error.
    #[error("`{command}` failed: {output}; {}, then run `goldcrest doctor --fix` again", pip_advice(.output))]
    Pip { command: String, output: String },
    /// pip succeeded without leaving the one wheel.
    #[error("pip left {found} wheel(s) in {folder}, expected one")]
    NoWheel { folder: PathBuf, found: usize },
    /// The file is not the pinned one.
    #[error(
        "{path}: sha256 is {found}, expected {expected}: the file is damaged or not the pinned one; remove \
         it and run `goldcrest doctor --fix`"
    )]
    Hash { path: PathBuf, found: String, expected: String },
    /// The wheel cannot be read as a zip archive.
    #[error("{path}: cannot read the wheel: {source}; remove it and run `goldcrest doctor --fix`")]
    Wheel { path: PathBuf, source: zip::result::ZipError },
    /// The wheel holds no such member.
    #[error("{path}: the wheel holds no {member}")]
    Member { path: PathBuf, member: &'static str },
    /// A file operation failed.
    #[error("{path}: {action}: {source}{}", file_advice(.action))]
    File { path: PathBuf, action: &'static str, source: std::io::Error },
    /// The file is not a shared library for this host.
    #[error("{path}: not a shared library for this system: {problem}")]
    NotALibrary { path: PathBuf, problem: String },
    /// The loader refused the library.
    #[error("{path}: cannot load: {source}")]
    Load { path: PathBuf, source: libloading::Error },
    /// The library is something else than ONNX Runtime's.
    #[error(
        "{path}: exports no OrtGetApiBase; name the libonnxruntime.so of an ONNX Runtime release, not its \
         Python module"
    )]
    NoApi { path: PathBuf },
    /// The library hides its entry point in a way that is not known.
    #[error(
        "{path}: found {found} candidates for ONNX Runtime's entry point, expected one; run `goldcrest \
         doctor --fix` to install the pinned build again"
    )]
    EntryPoint { path: PathBuf, found: usize },
    /// The library is too old.
    #[error(
        "{path}: ONNX Runtime {version} has no C API version {wanted}; version 1.{wanted} or later is needed"
    )]
    TooOld { path: PathBuf, version: String, wanted: u32 },
    /// Another library was asked for than the one in use.
    #[error("{loaded} is already loaded, {asked} cannot be loaded beside it")]
    AlreadyLoaded { loaded: PathBuf, asked: PathBuf },
    /// No CUDA driver.
    #[error("no CUDA driver on this machine ({source}); install the GPU's driver, or pass --device cpu")]
    NoDriver { source: libloading::Error },
    /// A driver without a GPU.
    #[error("the CUDA driver finds no GPU (status {status}); check `nvidia-smi`, or pass --device cpu")]
    NoGpu { status: i32 },
    /// A library without the provider.
    #[error(
        "{path}: this ONNX Runtime {version} has no CUDA provider; pass --runtime with the library of a GPU \
         build, or --device cpu"
    )]
    NoCuda { path: PathBuf, version: String },
    /// [`load`](super::load) was not called.
    #[error("no ONNX Runtime is loaded yet (a defect: `runtime::load` comes first)")]
    NotLoaded,
    /// ONNX Runtime refused to create its environment.
    #[error("{path}: ONNX Runtime cannot start: {source}")]
    Environment { path: PathBuf, source: ort::Error },
    /// ONNX Runtime refused to create session options.
    #[error("ONNX Runtime cannot create a session: {0}")]
    Session(ort::Error),
}

/// What pip refuses by its own settings is no matter of the network.
fn pip_advice(output: &str) -> &'static str {
    match () {
        () if output.contains("virtualenv") => {
            "pip is set to work in virtual environments only: activate one, or unset PIP_REQUIRE_VIRTUALENV"
        }
        () if output.contains("externally-managed") => "use the pip of a virtual environment",
        () => "check the network",
    }
}

fn file_advice(action: &str) -> &'static str {
    match action.starts_with("cannot create") || action.starts_with("cannot write") {
        true => "; set GOLDCREST_CACHE to a folder that can be written and has room",
        false => "",
    }
}
