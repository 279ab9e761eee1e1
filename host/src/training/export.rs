//! The trained float model: the forward graph with the live parameters in it.

use goldcrest_shared::quantize::graph::Normalization;

use crate::onnx::Model;

use super::checkpoint::State;

/// Key of the labels in `metadata_props`: a JSON array in the order of the logits.
const LABELS: &str = "goldcrest.labels";
/// Key of the normalization: a JSON object `{"mean": [..], "std": [..]}`, one entry per channel.
const NORMALIZATION: &str = "goldcrest.normalization";

/// What a model's file says beside its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Description<'a> {
    /// In the order of the logits.
    pub labels: &'a [String],
    /// What training did to the pixels.
    pub normalization: &'a Normalization,
}

/// `model` with the parameters of `state`, running statistics included, and its description in the
/// metadata.
pub fn trained(model: &Model, state: &State, description: &Description) -> Model {
    let mut trained = model.clone();
    for (name, tensor) in &mut trained.graph.initializers {
        if let Some(live) = state.parameter(name) {
            *tensor = live.clone();
        }
    }
    let Description { labels, normalization: Normalization { mean, std } } = description;
    trained.metadata.insert(LABELS.into(), serde_json::json!(labels).to_string());
    trained
        .metadata
        .insert(NORMALIZATION.into(), serde_json::json!({ "mean": mean, "std": std }).to_string());
    trained
}
