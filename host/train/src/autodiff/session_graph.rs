//! The gradient graph as a whole step for a plain session: parameters in, updated parameters out.

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::{Model, Node, ValueInfo};

use super::{AutodiffError, Dialect, GradientGraph, GraphOptions, Parameter, Role, gradient_graph};

/// The input that holds the learning rate, a float without axes.
pub const LEARNING_RATE: &str = "goldcrest.learning_rate";

/// Graphs of standard operators alone, for any ONNX Runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionGraph {
    /// Inputs: those of [`GradientGraph::model`], then [`LEARNING_RATE`]. Outputs: the loss, the
    /// logits, then what `next` names.
    pub step_model: Model,
    /// See [`GradientGraph::eval_model`].
    pub eval_model: Model,
    /// See [`GradientGraph::forward_model`].
    pub forward_model: Model,
    /// The parameters in the order of both models' inputs.
    pub parameters: Vec<Parameter>,
    /// Parameters that a step changes, each with the output that holds its next value.
    pub next: Vec<(String, String)>,
}

/// Makes the models of a training by plain sessions. The dialect of `options` does not matter.
///
/// # Errors
/// See [`AutodiffError`].
pub fn session_graph(model: &Model, options: &GraphOptions) -> Result<SessionGraph, AutodiffError> {
    let options = GraphOptions { dialect: Dialect::Standard, ..options.clone() };
    let GradientGraph { model: mut step_model, eval_model, forward_model, parameters } =
        gradient_graph(model, &options)?;
    let graph = &mut step_model.graph;
    let results = graph.outputs.split_off(2);
    let mut next = Vec::new();
    for parameter in &parameters {
        let output = match &parameter.role {
            Role::Frozen => continue,
            Role::Computed { next } => next.clone(),
            Role::Trainable { direction } => {
                let [scaled, stepped] = ["scaled", "stepped"].map(|part| format!("{direction}.{part}"));
                graph.nodes.push(Node::new("Mul", &[direction, LEARNING_RATE], &[&scaled]));
                graph.nodes.push(Node::new("Sub", &[&parameter.name, &scaled], &[&stepped]));
                stepped
            }
        };
        let shape: Vec<i64> = parameter.initial.shape.iter().map(|&size| size as i64).collect();
        graph.outputs.push(ValueInfo::float(&output, &shape));
        next.push((parameter.name.clone(), output));
    }
    let is_output = |info: &ValueInfo| graph.outputs.iter().any(|output| output.name == info.name);
    let inner: Vec<ValueInfo> = results.into_iter().filter(|info| !is_output(info)).collect();
    graph.values.extend(inner);
    graph.inputs.push(ValueInfo::new(LEARNING_RATE, data_type::FLOAT, &[]));
    Ok(SessionGraph { step_model, eval_model, forward_model, parameters, next })
}
