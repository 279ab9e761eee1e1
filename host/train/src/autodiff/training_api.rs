//! The gradient graph in the form that ONNX Runtime's training API runs.
//!
//! The API keeps every parameter and one buffer per gradient, and feeds them to each step. The
//! graph leaves its results there: `com.microsoft.InPlaceAccumulatorV2(buffer, value, overwrite)` sets
//! the buffer to the value, or adds it. Gradients follow `lazy_reset_grad`, which the API sets; what the
//! graph computes itself (running statistics, momentum) always overwrites.

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::{Data, Dimension, Model, Node, Tensor, ValueInfo};

use super::{AutodiffError, GradientGraph, GraphOptions, Role, TrainingGraph, gradient_graph};

/// The API recognizes this input by its name.
const RESET: &str = "lazy_reset_grad";
/// Always true.
const OVERWRITE: &str = "always_overwrite";

/// Makes the training and the evaluation model of ONNX Runtime's training API.
///
/// # Errors
/// See [`AutodiffError`].
pub fn training_graph(model: &Model, options: &GraphOptions) -> Result<TrainingGraph, AutodiffError> {
    let GradientGraph { model: mut training_model, eval_model, forward_model, parameters } =
        gradient_graph(model, options)?;
    let graph = &mut training_model.graph;
    // Directions and next values stay inside: only the flags of the accumulators leave.
    graph.values.extend(graph.outputs.split_off(2));
    for parameter in &parameters {
        let accumulator = match &parameter.role {
            Role::Trainable { direction } => {
                let buffer = format!("{}_grad.accumulation.buffer", parameter.name);
                let shape: Vec<i64> = parameter.initial.shape.iter().map(|&size| size as i64).collect();
                graph.inputs.push(ValueInfo::float(&buffer, &shape));
                let done = format!("{}_grad.accumulation.out", parameter.name);
                Node::new("InPlaceAccumulatorV2", &[&buffer, direction, RESET], &[&done])
            }
            Role::Computed { next } => {
                let done = format!("{}.accumulation.out", parameter.name);
                Node::new("InPlaceAccumulatorV2", &[&parameter.name, next, OVERWRITE], &[&done])
            }
            Role::Frozen => continue,
        };
        graph.outputs.push(flag(&accumulator.outputs[0]));
        graph.nodes.push(accumulator.in_domain("com.microsoft"));
    }
    graph.inputs.push(flag(RESET));
    if parameters.iter().any(|parameter| matches!(parameter.role, Role::Computed { .. })) {
        graph.initializers.insert(OVERWRITE.into(), Tensor::new(&[1], Data::Bool(vec![true])));
    }
    let microsoft = ("com.microsoft".to_owned(), 1);
    if !training_model.domains.contains(&microsoft) {
        training_model.domains.push(microsoft);
    }
    Ok(TrainingGraph { training_model, eval_model, forward_model, parameters })
}

fn flag(name: &str) -> ValueInfo {
    ValueInfo {
        name: name.into(),
        element: data_type::BOOL,
        shape: Some(vec![Dimension::Fixed(1)]),
        sequence: false,
    }
}
