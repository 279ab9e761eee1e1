//! The application that classifies images on a board: it receives pixels over a serial line, runs
//! the model in its flash slot and answers, as `docs/link-protocol.md` says.
//!
//! 1. [`app`] is the whole application, generic over the line and the stopwatch, and runs on any
//!    computer: its tests do.
//! 2. A board is one file in [`board`]: which peripherals from [`driver`] it uses, at which
//!    addresses, and one file in `memory/`: what lies where.
//! 3. Pictures come from a [`source`]: the line, flash, a camera.
//! 4. The model is not part of the program. It lies in its own flash slot, which an emulator's
//!    command line or a flash tool fills, and is checked at every start.
#![cfg_attr(not(test), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

pub mod app;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod board;
pub mod clock;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod driver;
mod kernels;
pub mod last_words;
pub mod led;
mod log;
pub mod source;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod start;
