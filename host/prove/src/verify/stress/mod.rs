//! Near-tie stress: every rounding boundary of a model, in every runner.
//!
//! Real images put an accumulator next to a rounding tie about once per 100,000 outputs, so they say little
//! about rounding. Here, every layer of a model that rounds gets a network of its own (`network`): the
//! layer's operator, multipliers, zero points and bounds over an input whose values are digits of
//! accumulators chosen next to the boundaries between two outputs (`ties`). All runners compute these
//! networks and are compared as on images.

mod network;
mod ties;

use goldcrest_quantize::graph::QuantizedModel;

use super::{Contestant, Difference, Participant, VerifyModelError, compare};

pub use network::{Probe, probes};

/// The result of the stress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stress {
    /// Layers of the model that round.
    pub layers: usize,
    /// Accumulators placed next to a boundary or on it.
    pub placed: u64,
    /// Of these, how many lie exactly on a tie.
    pub ties: u64,
    /// Values compared, over all layers of all networks.
    pub values: u64,
    /// Values on which two runners differ.
    pub mismatches: u64,
    /// The first of them.
    pub first: Option<Difference>,
}

/// Compares runners on the stress networks of a model. `start` makes the runners of a network, the first of
/// them the one that the others are compared with. Those that are not to compute all images compute a few.
///
/// # Errors
/// When a runner is missing or breaks down.
pub fn stress(
    model: &QuantizedModel,
    start: &dyn Fn(&QuantizedModel) -> Result<Vec<Contestant>, VerifyModelError>,
) -> Result<Stress, VerifyModelError> {
    let mut result = Stress::default();
    for probe in probes(model) {
        let contestants = start(&probe.model)?;
        let participants: Vec<Participant<'_>> = contestants
            .iter()
            .map(|contestant| Participant {
                runner: &*contestant.runner,
                images: if contestant.images == usize::MAX { usize::MAX } else { probe.few },
            })
            .collect();
        let size = probe.model.graph.tensor(probe.model.graph.input).shape.len();
        let images = probe.images.len() / size;
        let image = |index: usize| probe.images[index * size..][..size].to_vec();
        let comparison = compare(&probe.model, &participants, images, &image, &|_| {})?;
        result.layers += 1;
        result.placed += probe.placed;
        result.ties += probe.ties;
        result.values += comparison.values();
        result.mismatches += comparison.mismatches();
        result.first = result.first.or(comparison.first);
    }
    Ok(result)
}
