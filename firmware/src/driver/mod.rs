//! Peripherals that several boards share, as [`embedded_io`] and [`Stopwatch`](crate::clock::Stopwatch).

pub mod cmsdk;
mod register;
mod wake;

pub use register::Register;
pub use wake::Wake;
