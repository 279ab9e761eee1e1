//! Numbers kept from an earlier measurement, so that nothing gets slower unseen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Measurement;

/// Per board and model, instructions of every layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>);

/// A layer that needs more instructions than kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Regression {
    /// Name of the board.
    pub board: String,
    /// Name of the model.
    pub model: String,
    /// Name of the layer.
    pub layer: String,
    /// Instructions kept.
    pub before: u64,
    /// Instructions now; `None` when the layer is gone.
    pub now: Option<u64>,
}

impl std::fmt::Display for Regression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { board, model, layer, before, now } = self;
        write!(f, "{board}, {model}, layer {layer}: ")?;
        match now {
            Some(now) => {
                let more = (*now as f64 / *before as f64 - 1.0) * 100.0;
                write!(f, "{now} instructions, {more:.1} % more than the {before} kept")
            }
            None => write!(f, "gone, but {before} instructions are kept; pass --keep if that is meant"),
        }
    }
}

/// How much slower a layer may get, in percent.
const TOLERANCE: u64 = 3;

impl Baseline {
    /// Replaces the numbers of what was measured and leaves the others.
    pub fn keep(&mut self, measurements: &[Measurement]) {
        for measured in measurements {
            let layers = measured.layers.iter().map(|layer| (layer.name.clone(), layer.instructions));
            let models = self.0.entry(measured.board.into()).or_default();
            models.insert(measured.model.clone(), layers.collect());
        }
    }

    /// The layers that got slower by more than 3 %, or are gone, on the boards and models measured.
    pub fn regressions(&self, measurements: &[Measurement]) -> Vec<Regression> {
        let mut regressions = Vec::new();
        for measured in measurements {
            let kept = self.0.get(measured.board).and_then(|models| models.get(&measured.model));
            for (layer, &before) in kept.into_iter().flatten() {
                let now = measured.layers.iter().find(|now| now.name == *layer).map(|now| now.instructions);
                if now.is_none_or(|now| now * 100 > before * (100 + TOLERANCE)) {
                    let (board, model) = (measured.board.into(), measured.model.clone());
                    regressions.push(Regression { board, model, layer: layer.clone(), before, now });
                }
            }
        }
        regressions
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::LayerMeasurement;
    use super::*;

    fn measured(layers: &[(&str, u64)]) -> Measurement {
        let layer = |&(name, instructions): &(&str, u64)| LayerMeasurement {
            name: name.into(),
            kernel: "conv",
            shape: String::new(),
            macs: 1,
            instructions,
            cycles: None,
            output_bytes: 1,
            weight_bytes: 1,
            scratch_bytes: 1,
        };
        Measurement {
            board: "board",
            core: "core",
            model: "model".into(),
            kernels: "portable".into(),
            macs: 1,
            instructions: 1,
            cycles: None,
            arena_bytes: 1,
            least_arena_bytes: 1,
            stack_bytes: 1,
            inference_stack_bytes: None,
            code_bytes: None,
            least_code_bytes: None,
            image_bytes: 1,
            layers: layers.iter().map(layer).collect(),
        }
    }

    #[test]
    fn what_got_slower_or_is_gone_is_named() {
        let mut baseline = Baseline::default();
        baseline.keep(&[measured(&[("a", 1000), ("b", 1000), ("c", 1000)])]);
        assert_eq!(baseline.regressions(&[measured(&[("a", 1030), ("b", 500), ("c", 1000), ("d", 9)])]), []);
        let found = baseline.regressions(&[measured(&[("a", 1031), ("b", 1000)])]);
        let found: Vec<_> = found.iter().map(|found| (found.layer.as_str(), found.now)).collect();
        assert_eq!(found, [("a", Some(1031)), ("c", None)]);
        baseline.keep(&[measured(&[("a", 1031)])]);
        assert_eq!(baseline.regressions(&[measured(&[("a", 1031)])]), []);
    }
}
