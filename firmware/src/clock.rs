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

impl<W: Stopwatch> Stopwatch for &mut W {
    fn frequency(&self) -> u32 {
        W::frequency(self)
    }
    fn start(&mut self) {
        W::start(self);
    }
    fn ticks(&self) -> u64 {
        W::ticks(self)
    }
}
