//! The ONNX Runtime: found, installed and loaded while the program runs, never linked.
//!
//! In order: the library that [`Choice::library`] names, the one that `ORT_DYLIB_PATH` names, the
//! training wheel in the cache folder, for the processor or for GPUs. The wheel is a Python package that
//! holds the only published build with the training API; no Python runs (see `python_module` for how it is
//! loaded).
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! goldcrest_prove::runtime::load(&Default::default())?;
//! let session = goldcrest_prove::runtime::session()?.with_intra_threads(1);
//! # Ok(()) }
//! ```

mod cuda;
mod cuda_libraries;
mod elf;
mod error;
mod library;
mod python_module;
mod wheel;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;

pub use cuda::{Device, WantedDevice, probe as probe_cuda};
pub use error::RuntimeError;
pub use wheel::{CPU_TRAINING, CUDA_TRAINING, Package, Wheel};

/// The environment variable that names the user's own ONNX Runtime library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Which ONNX Runtime to load; the default is automatic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// This library and no other.
    pub library: Option<PathBuf>,
    /// Where none is named: the wheel for GPUs.
    pub cuda: bool,
}

/// The loaded ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// As the library says it, such as `1.19.2`.
    pub version: String,
    /// The file that was loaded.
    pub path: PathBuf,
    /// The library has the training API.
    pub has_training: bool,
}

/// Where an ONNX Runtime was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A library with the C API, named by the user.
    Library(PathBuf),
    /// A training wheel's library in the cache folder.
    Wheel(PathBuf, &'static Wheel),
}

impl Found {
    /// The library's file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Library(path) | Self::Wheel(path, _) => path,
        }
    }
}

struct Loaded {
    info: Info,
    environment: Environment,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The folder for what is fetched once.
fn cache_dir() -> Result<PathBuf, RuntimeError> {
    goldcrest_files::cache_folder().ok_or(RuntimeError::NoCacheFolder)
}

/// Finds the ONNX Runtime that [`load`] would load, without loading it.
pub fn find(choice: &Choice) -> Result<Found, RuntimeError> {
    let variable = std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    find_in(choice, variable, &cache_dir()?)
}

fn find_in(choice: &Choice, variable: Option<PathBuf>, cache: &Path) -> Result<Found, RuntimeError> {
    let named = match &choice.library {
        Some(path) => Some((path.clone(), "--runtime")),
        None => variable.map(|path| (path, LIBRARY_VARIABLE)),
    };
    if let Some((path, by)) = named {
        return if path.is_file() {
            Ok(Found::Library(path))
        } else {
            Err(RuntimeError::NamedLibraryMissing { path, by })
        };
    }
    let wheel = if choice.cuda { &CUDA_TRAINING } else { &CPU_TRAINING };
    let path = wheel.library_path(cache);
    match (path.is_file(), choice.cuda) {
        (true, false) => Ok(Found::Wheel(path, wheel)),
        (true, true) if cuda_libraries::installed(cache) => Ok(Found::Wheel(path, wheel)),
        (false, false) => Err(RuntimeError::NotInstalled { path }),
        (_, true) => Err(RuntimeError::CudaNotInstalled { path }),
    }
}

/// Downloads the training wheel with pip and prepares its library in the cache folder; done at
/// once when it is there already. `progress` is told what happens, a line at a time.
pub fn install(progress: &mut dyn FnMut(&str)) -> Result<PathBuf, RuntimeError> {
    wheel::supported_host()?;
    CPU_TRAINING.install(&cache_dir()?, wheel::PIP, progress)
}

/// Downloads ONNX Runtime's training build for GPUs and NVIDIA's libraries with pip, prepared in the cache
/// folder; done at once when they are there already.
pub fn install_cuda(progress: &mut dyn FnMut(&str)) -> Result<PathBuf, RuntimeError> {
    wheel::supported_host()?;
    let cache = cache_dir()?;
    cuda_libraries::install(&cache, wheel::PIP, progress)?;
    CUDA_TRAINING.install(&cache, wheel::PIP, progress)
}

/// Loads the ONNX Runtime for the wanted device, from `library` where one is named, and says where it
/// computes.
///
/// # Errors
/// When what the device needs is missing, or as [`load`].
pub fn load_for(wanted: WantedDevice, library: Option<PathBuf>) -> Result<Device, RuntimeError> {
    let info = load(&Choice { library, cuda: wanted.needs_cuda()? })?;
    wanted.resolve(&info)
}

/// Loads the ONNX Runtime, once per process; later calls give the same answer. Asking for another
/// library after one is loaded is an error.
pub fn load(choice: &Choice) -> Result<Info, RuntimeError> {
    let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(loaded) = loaded.as_ref() {
        if *choice == Choice::default() {
            return Ok(loaded.info.clone());
        }
        let asked = match &choice.library {
            Some(asked) => asked.clone(),
            None => find(choice)?.path().to_owned(),
        };
        return match asked == loaded.info.path {
            true => Ok(loaded.info.clone()),
            false => Err(RuntimeError::AlreadyLoaded { loaded: loaded.info.path.clone(), asked }),
        };
    }
    let found = find(choice)?;
    let api = match &found {
        Found::Library(path) => library::open(path)?,
        Found::Wheel(path, wheel) => {
            wheel::supported_host()?;
            if choice.cuda {
                cuda_libraries::preload(&cache_dir()?)?;
            }
            python_module::open(path, wheel)?
        }
    };
    let info = Info { version: api.version, path: found.path().to_owned(), has_training: api.has_training };
    ort::set_api(api.functions);
    let environment = ort::init()
        .with_name("goldcrest")
        .with_telemetry(false)
        .build()
        .map_err(|source| RuntimeError::Environment { path: info.path.clone(), source })?;
    environment.set_log_level(LogLevel::Warning);
    *loaded = Some(Loaded { info: info.clone(), environment });
    Ok(info)
}

/// The process's one environment, of the runtime that [`load`] loaded.
pub fn environment() -> Result<Environment, RuntimeError> {
    let loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(loaded.as_ref().ok_or(RuntimeError::NotLoaded)?.environment.clone())
}

/// Whether the loaded runtime has the CUDA provider.
pub fn has_cuda() -> bool {
    use ort::ep::ExecutionProvider;
    ort::ep::CUDA::is_available().unwrap_or(false)
}

/// The start of a session on the loaded runtime.
pub fn session() -> Result<SessionBuilder, RuntimeError> {
    SessionBuilder::new(&environment()?).map_err(RuntimeError::Session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_named_library_before_the_wheel() {
        let cache = tempfile::tempdir().unwrap();
        let wheel = CPU_TRAINING.library_path(cache.path());
        let automatic = Choice::default();
        let missing = find_in(&automatic, None, cache.path()).unwrap_err();
        assert!(missing.to_string().contains("goldcrest doctor --fix"), "{missing}");

        std::fs::create_dir_all(wheel.parent().unwrap()).unwrap();
        std::fs::write(&wheel, "").unwrap();
        assert_eq!(find_in(&automatic, None, cache.path()).unwrap().path(), wheel);
        let gpu = Choice { cuda: true, ..Choice::default() };
        let missing = find_in(&gpu, None, cache.path()).unwrap_err();
        assert!(missing.to_string().contains("goldcrest doctor --cuda"), "{missing}");

        let own = cache.path().join("libonnxruntime.so");
        let absent = find_in(&automatic, Some(own.clone()), cache.path()).unwrap_err();
        assert!(absent.to_string().contains(LIBRARY_VARIABLE), "{absent}");
        std::fs::write(&own, "").unwrap();
        let found = find_in(&automatic, Some(own.clone()), cache.path()).unwrap();
        assert!(matches!(found, Found::Library(path) if path == own));
        let choice = Choice { library: Some(cache.path().join("other.so")), cuda: false };
        let absent = find_in(&choice, Some(own), cache.path()).unwrap_err();
        assert!(absent.to_string().contains("--runtime"), "{absent}");
    }

    #[test]
    fn loads_once_and_runs_a_session() {
        let info = load(&Choice::default()).unwrap();
        assert!(info.has_training);
        assert_eq!(load(&Choice::default()).unwrap(), info);
        let other = Choice { library: Some("other.so".into()), cuda: false };
        assert!(matches!(load(&other), Err(RuntimeError::AlreadyLoaded { .. })));
        assert!(ort::training::training_api().is_ok());
        assert!(session().is_ok());
    }
}
