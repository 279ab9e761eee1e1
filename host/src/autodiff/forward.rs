//! The forward graph in the form that differentiation takes: one image in, one row of logits out,
//! constants as initializers, nothing that does not lead to the logits.

use std::collections::{BTreeMap, BTreeSet};

use super::AutodiffError;
use crate::onnx::proto::data_type;
use crate::onnx::shape_inference::Types;
use crate::onnx::{Attribute, Dimension, Graph, Model};

/// Operator sets whose definitions of the supported operators equal those of opset 17, which the
/// training graph is written in.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=17;

/// The forward graph and the names of what goes in and comes out.
pub(super) struct Forward {
    pub graph: Graph,
    pub logits: String,
}

/// Checks and simplifies a model's graph.
pub(super) fn forward(model: &Model) -> Result<Forward, AutodiffError> {
    if !OPSETS.contains(&model.opset) {
        return Err(AutodiffError::Opset { found: model.opset });
    }
    let mut graph = model.graph.clone();
    resolve_constants(&mut graph);
    let [output] = &graph.outputs[..] else {
        return Err(AutodiffError::Signature(format!("it has {} outputs, not 1", graph.outputs.len())));
    };
    let logits = output.name.clone();
    drop_dead_nodes(&mut graph, &logits);
    let [input] = &mut graph.inputs[..] else {
        return Err(AutodiffError::Signature(format!("it has {} inputs, not 1", graph.inputs.len())));
    };
    if input.element != data_type::FLOAT {
        return Err(AutodiffError::Signature(format!("its input `{}` is not float32", input.name)));
    }
    if let Some(batch) = input.shape.as_mut().and_then(|shape| shape.first_mut()) {
        *batch = Dimension::Named("N".into());
    }
    let types = Types::infer(&graph)?;
    if let Some(last) = graph.nodes.iter().find(|node| node.outputs.contains(&logits))
        && matches!(last.op.as_str(), "Softmax" | "LogSoftmax")
    {
        return Err(AutodiffError::unsupported(
            last,
            "the loss applies softmax itself: export the model without it, so that its output is logits",
        ));
    }
    match types.get(&logits) {
        Some(found) if found.shape.len() == 2 && found.fixed(1).is_some_and(|classes| classes > 0) => {}
        Some(found) => {
            return Err(AutodiffError::Signature(format!(
                "its output `{logits}` is {found}, logits are [N, classes]"
            )));
        }
        None => return Err(AutodiffError::Signature(format!("no node makes its output `{logits}`"))),
    }
    Ok(Forward { graph, logits })
}

/// `Constant` nodes become initializers; an `Identity` of an initializer, which exporters write for
/// shared parameters, becomes that initializer.
fn resolve_constants(graph: &mut Graph) {
    let mut aliases: BTreeMap<String, String> = BTreeMap::new();
    let Graph { nodes, initializers, .. } = graph;
    nodes.retain_mut(|node| {
        for input in &mut node.inputs {
            if let Some(original) = aliases.get(input) {
                *input = original.clone();
            }
        }
        match (node.op.as_str(), &node.inputs[..], &node.outputs[..]) {
            ("Constant", [], [output]) => match node.attributes.get("value") {
                Some(Attribute::Tensor(tensor)) => {
                    initializers.insert(output.clone(), tensor.clone());
                    false
                }
                _ => true,
            },
            ("Identity", [input], [output]) if initializers.contains_key(input) => {
                aliases.insert(output.clone(), input.clone());
                false
            }
            _ => true,
        }
    });
}

fn drop_dead_nodes(graph: &mut Graph, logits: &str) {
    let mut needed = BTreeSet::from([logits.to_owned()]);
    let mut keep = Vec::with_capacity(graph.nodes.len());
    for node in graph.nodes.drain(..).rev() {
        if node.outputs.iter().any(|output| needed.contains(output)) {
            needed.extend(node.inputs.iter().cloned());
            keep.push(node);
        }
    }
    keep.reverse();
    graph.nodes = keep;
    graph.initializers.retain(|name, _| needed.contains(name));
}
