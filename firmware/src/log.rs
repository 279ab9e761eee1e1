//! Logs: defmt on a board; nothing on the host, which has no defmt logger.

#[cfg(target_os = "none")]
pub(crate) use defmt::{debug, info, warn};

#[cfg(not(target_os = "none"))]
macro_rules! nothing {
    ($format:literal $(, $argument:expr)*) => {{ $( let _ = &$argument; )* }};
}

#[cfg(not(target_os = "none"))]
pub(crate) use {nothing as debug, nothing as info, nothing as warn};
