//! What slow steps tell while they run.

/// Hears of slow steps, from any thread; the default of [`Options`](super::Options) listens to nothing.
pub type Progress = fn(&Event<'_>);

/// What happens in a slow step. One step runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step begins.
    Begin {
        /// What it does, such as `decoding`.
        what: &'static str,
        /// How many units it takes.
        length: u64,
        /// What is counted.
        unit: Unit,
    },
    /// So many units are done.
    At(u64),
    /// The step ended, well or not.
    End,
    /// Something worth knowing, in one line.
    Remark(&'a str),
}

/// What a step counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Images.
    Images,
    /// Bytes.
    Bytes,
}
