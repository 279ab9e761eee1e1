#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod cores;
pub mod form;
pub mod library;
mod model;
mod object_file;
pub mod project;

pub use cores::{CORES, Core};
pub use form::{FORMS, Form};
pub use library::{Library, LibraryError};
pub use project::{Export, Project, ProjectError};
