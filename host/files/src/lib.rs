#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod draft;
mod lock;

pub use draft::{DRAFT, Draft, write};
pub use lock::{FolderLock, LOCK, LockError};
