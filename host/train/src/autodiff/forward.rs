//! The forward graph in the form that differentiation takes: opset 17, one image in, one row of
//! logits out, any batch, constants as initializers, nothing that does not lead to the logits.

use std::collections::{BTreeMap, BTreeSet};

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::shape_inference::Types;
use goldcrest_onnx::{Attribute, Data, Dimension, Graph, Model, ValueInfo};

use super::{AutodiffError, opset};

/// The model that training starts from, as inference runs it. What it computes is what `model` computes.
pub(crate) fn forward_model(model: &Model) -> Result<Model, AutodiffError> {
    let mut model = model.clone();
    resolve_constants(&mut model.graph);
    let logits = match &model.graph.outputs[..] {
        [output] => output.name.clone(),
        outputs => return Err(AutodiffError::Signature(format!("it has {} outputs, not 1", outputs.len()))),
    };
    drop_dead_nodes(&mut model.graph, &logits);
    opset::to_17(&mut model)?;
    run_as_inference(&mut model.graph);
    check_input(&model.graph)?;
    open_batch(&mut model.graph);
    let types = Types::infer(&model.graph)?;
    check_logits(&model.graph, &logits, &types)?;
    model.graph.values = Vec::new();
    model.graph.outputs = types.get(&logits).map(|found| found.info(&logits)).into_iter().collect();
    Ok(model)
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

/// Models exported in training mode normalize by the batch and drop values: not in inference.
fn run_as_inference(graph: &mut Graph) {
    for node in &mut graph.nodes {
        match node.op.as_str() {
            "Dropout" => {
                node.inputs.truncate(2);
                node.outputs.truncate(1);
            }
            "BatchNormalization" => {
                node.attributes.remove("training_mode");
                node.outputs.truncate(1);
            }
            _ => {}
        }
    }
}

fn check_input(graph: &Graph) -> Result<(), AutodiffError> {
    match &graph.inputs[..] {
        [input] if input.element == data_type::FLOAT => Ok(()),
        [input] => Err(AutodiffError::Signature(format!("its input `{}` is not float32", input.name))),
        inputs => Err(AutodiffError::Signature(format!("it has {} inputs, not 1", inputs.len()))),
    }
}

/// Makes the batch symbolic. A model exported for a fixed batch also says it where it reshapes.
fn open_batch(graph: &mut Graph) {
    let Graph { inputs, nodes, initializers, .. } = graph;
    let [ValueInfo { shape: Some(shape), .. }] = &mut inputs[..] else { return };
    let Some(batch) = shape.first_mut() else { return };
    let Dimension::Fixed(fixed) = std::mem::replace(batch, Dimension::Named("N".into())) else { return };
    for node in nodes.iter_mut().filter(|node| node.op == "Reshape") {
        let Some(target) = node.inputs.get_mut(1) else { continue };
        let Some(Data::I64(sizes)) = initializers.get(target).map(|tensor| &tensor.data) else { continue };
        if sizes.first() != Some(&fixed) {
            continue;
        }
        let mut sizes = sizes.clone();
        // 0 copies the input's batch; that is also right where another axis is open.
        sizes[0] = if sizes.contains(&-1) { 0 } else { -1 };
        let name = format!("{}.any_batch", node.outputs[0]);
        initializers.insert(name.clone(), goldcrest_onnx::Tensor::i64s(&sizes));
        *target = name;
    }
}

fn check_logits(graph: &Graph, logits: &str, types: &Types) -> Result<(), AutodiffError> {
    if let Some(last) = graph.nodes.iter().find(|node| node.outputs.iter().any(|output| output == logits))
        && matches!(last.op.as_str(), "Softmax" | "LogSoftmax")
    {
        return Err(AutodiffError::unsupported(
            last,
            "the loss applies softmax itself: export the model without it, so that its output is logits",
        ));
    }
    match types.get(logits) {
        Some(found) if found.shape.len() == 2 && found.fixed(1).is_some_and(|classes| classes > 0) => Ok(()),
        Some(found) => Err(AutodiffError::Signature(format!(
            "its output `{logits}` is {found}, logits are [N, classes]"
        ))),
        None => Err(AutodiffError::Signature(format!("no node makes its output `{logits}`"))),
    }
}
