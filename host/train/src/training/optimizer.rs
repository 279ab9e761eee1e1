//! The optimizer graph that the training API runs after each step: `p -= learning_rate * g`, all
//! parameters at once.
//!
//! ONNX Runtime's `SGDOptimizerV2` has no momentum, and moments it keeps for other optimizers are not
//! part of the parameters. So what is more than plain descent is computed by the training graph: it
//! keeps its state (momentum `<p>.mom`) in frozen parameters and hands the finished direction to this
//! graph as the gradient. A checkpoint of the parameters then holds all state.

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::{Dimension, Graph, Model, Node, ValueInfo};

/// ONNX's operator set of all training artifacts.
pub const OPSET: i64 = 17;

/// The domain of ONNX Runtime's own operators.
pub const MICROSOFT: &str = "com.microsoft";

/// Builds `optimizer_model.onnx`. Names and order of the inputs are fixed by the training API.
pub fn model() -> Model {
    let tensor = |name: &str, element: i32, shape: Option<Vec<Dimension>>| ValueInfo {
        name: name.into(),
        element,
        shape,
        sequence: false,
    };
    let one = Some(vec![Dimension::Fixed(1)]);
    let sequence =
        |name: &str| ValueInfo { name: name.into(), element: data_type::FLOAT, shape: None, sequence: true };
    let step = Node::new("SGDOptimizerV2", &["learning_rate", "params", "gradients"], &["update_completed"])
        .in_domain(MICROSOFT);
    Model {
        graph: Graph {
            name: "optimizer".into(),
            nodes: vec![step],
            inputs: vec![
                tensor("learning_rate", data_type::FLOAT, one.clone()),
                tensor("step", data_type::INT64, one.clone()),
                sequence("params"),
                sequence("gradients"),
                // Part of the API's signature; no node reads it.
                sequence("first_order_moments"),
            ],
            // The operator's inferred shape is a scalar's, its value has one element: saying so here
            // spares a warning in every step.
            outputs: vec![tensor("update_completed", data_type::BOOL, one)],
            ..Graph::default()
        },
        opset: OPSET,
        domains: vec![(MICROSOFT.into(), 1)],
        ..Model::default()
    }
}
