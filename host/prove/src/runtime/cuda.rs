//! Is there a GPU? Asked of the driver itself, before ONNX Runtime is told to use it: its CUDA provider ends
//! the process where there is no driver.

use std::ffi::c_int;

use super::{Choice, Info, RuntimeError};

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";

/// Where graphs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first GPU of the CUDA driver.
    Cuda,
}

/// The device that a person asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedDevice {
    /// A GPU where there are a driver, a GPU and an ONNX Runtime for it; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first GPU of the CUDA driver.
    Cuda,
}

impl WantedDevice {
    /// Every choice and its name.
    pub const ALL: [(&str, Self); 3] = [("auto", Self::Auto), ("cpu", Self::Cpu), ("cuda", Self::Cuda)];

    /// Whether to load the ONNX Runtime for GPUs; an error when a GPU is asked for and there is none.
    pub(super) fn needs_cuda(self) -> Result<bool, RuntimeError> {
        match self {
            Self::Cpu => Ok(false),
            Self::Cuda => probe().map(|_| true),
            Self::Auto => {
                let gpu = Choice { cuda: true, ..Choice::default() };
                Ok(probe().is_ok() && super::find(&gpu).is_ok())
            }
        }
    }

    /// The device in a loaded runtime; an error says what is missing for it.
    pub(super) fn resolve(self, runtime: &Info) -> Result<Device, RuntimeError> {
        let cuda = || -> Result<Device, RuntimeError> {
            probe()?;
            match super::has_cuda() {
                true => Ok(Device::Cuda),
                false => {
                    Err(RuntimeError::NoCuda { path: runtime.path.clone(), version: runtime.version.clone() })
                }
            }
        };
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => cuda(),
            Self::Auto => Ok(cuda().unwrap_or_default()),
        }
    }
}

/// The number of GPUs; an error when there is no driver or no GPU.
pub fn probe() -> Result<usize, RuntimeError> {
    probe_library(DRIVER)
}

fn probe_library(name: &str) -> Result<usize, RuntimeError> {
    // SAFETY: the driver's library only sets itself up when it is loaded.
    let driver =
        unsafe { libloading::Library::new(name) }.map_err(|source| RuntimeError::NoDriver { source })?;
    let missing = |source| RuntimeError::NoDriver { source };
    let mut count: c_int = 0;
    // SAFETY: the two functions have these types in cuda.h; the second writes one number.
    let status = unsafe {
        let init = driver.get::<unsafe extern "C" fn(u32) -> c_int>(c"cuInit").map_err(missing)?;
        let devices =
            driver.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(c"cuDeviceGetCount").map_err(missing)?;
        match init(0) {
            0 => devices(&raw mut count),
            status => status,
        }
    };
    match (status, usize::try_from(count)) {
        (0, Ok(count)) if count > 0 => Ok(count),
        (status, _) => Err(RuntimeError::NoGpu { status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_driver_is_an_error_that_says_what_to_do() {
        let error = probe_library("libgoldcrest-no-such-driver.so.1").unwrap_err();
        assert!(matches!(error, RuntimeError::NoDriver { .. }));
        assert!(error.to_string().contains("--device cpu"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_library_is_no_driver() {
        let error = probe_library("libc.so.6").unwrap_err();
        assert!(matches!(error, RuntimeError::NoDriver { .. }), "{error}");
    }
}
