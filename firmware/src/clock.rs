//! Time of an inference.

/// A stopwatch over a hardware counter. In an emulator that counts instructions as time, ticks are
/// instructions.
pub trait Stopwatch {
    /// Ticks per second.
    fn frequency(&self) -> u32;

    /// Starts at 0. The counter starts in the same phase every time, so that equal work takes equal
    /// time.
    fn start(&mut self);

    /// Ticks since the start.
    fn ticks(&self) -> u64;
}
