#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod cache;
mod draft;
mod lock;

pub use cache::{CACHE_VARIABLE, cache_folder};
pub use draft::{DRAFT, Draft, write};
pub use lock::{FolderLock, LOCK, LockError};
