//! The trained float model: the forward graph with the live parameters in it.

use goldcrest_onnx::{Model, info};
use goldcrest_quantize::graph::ModelInfo;

use super::checkpoint::State;
use crate::autodiff::averaged;

/// `model` with the parameters of `state`, running statistics included, or their means where those are kept,
/// and with labels and normalization in its metadata.
pub fn trained(model: &Model, state: &State, description: &ModelInfo) -> Model {
    let mut trained = model.clone();
    for (name, tensor) in &mut trained.graph.initializers {
        let mean = state.parameter(&averaged(name));
        if let Some(live) = mean.or_else(|| state.parameter(name)) {
            *tensor = live.clone();
        }
    }
    info::write(description, &mut trained.metadata);
    trained
}
