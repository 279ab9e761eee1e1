//! What inference takes on every board: instructions of each layer, RAM, flash, modelled cycles.
//!
//! * [`mod@measure`]: one model on one emulated board.
//! * [`peer`]: what the best other open engine takes.
//! * [`baseline`]: numbers kept from before, and what got slower than they allow.
//! * [`markdown`]: the tables of the documents.

pub mod baseline;
pub mod markdown;
pub mod measure;
pub mod peer;

pub use measure::{Measurement, Subject, measure};
use serde::Serialize;

/// A line of `target/bench/NAME.json`: our number beside a peer's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Board, model and what is counted.
    pub name: String,
    /// Our number.
    pub ours: f64,
    /// The peer's.
    pub peer: f64,
    /// Above 1 we are ahead.
    pub ratio: f64,
    /// Unit of both numbers, of which less is better.
    pub unit: &'static str,
}

/// The measurements for which there is a peer.
pub fn rows(measurements: &[Measurement]) -> Vec<Row> {
    let mut rows = Vec::new();
    for measured in measurements {
        let Some(peer) = peer::find(measured.core, measured.macs) else { continue };
        let mut row = |what: &str, ours: Option<u64>, peer: Option<u64>, unit| {
            let (Some(ours), Some(peer)) = (ours, peer) else { return };
            let name = format!("{} {}{what}", measured.board, measured.model);
            let ratio = peer as f64 / ours as f64;
            rows.push(Row { name, ours: ours as f64, peer: peer as f64, ratio, unit });
        };
        row("", Some(measured.instructions), Some(peer.instructions), "instructions");
        row(", modelled", measured.cycles, peer.cycles, "cycles");
        row(", arena", Some(measured.arena_bytes), peer.arena_bytes, "bytes of RAM");
        row(", code", measured.code_bytes, peer.code_bytes, "bytes of flash");
    }
    rows
}
