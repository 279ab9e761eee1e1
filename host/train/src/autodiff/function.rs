//! The gradient graph: forward, loss, backward.

use std::collections::BTreeSet;

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::shape_inference::Types;
use goldcrest_onnx::{Attribute, Graph, Model, Node, ValueInfo};

use super::forward::forward_model;
use super::parameters::{Parameters, parameters};
use super::rule::rule_of;
use super::rules::batch_normalization::with_relu;
use super::rules::fake_quantize::joined;
use super::tape::Tape;
use super::{
    AutodiffError, Dialect, GradientGraph, GraphOptions, Parameter, Role, Targets, Update, average, loss,
    momentum,
};

/// Makes the function from image, labels and parameters to loss, logits and step directions.
///
/// # Errors
/// The node, parameter or option that stands in the way, see [`AutodiffError`].
pub fn gradient_graph(model: &Model, options: &GraphOptions) -> Result<GradientGraph, AutodiffError> {
    check(options)?;
    let forward_model = forward_model(model)?;
    let graph = &forward_model.graph;
    let logits = graph.outputs[0].name.clone();
    let nodes = joined(&graph.nodes);
    let read = Graph { nodes, ..graph.clone() };
    let Parameters { names, trainable } = parameters(&read, &options.frozen)?;
    let all: BTreeSet<String> = names.iter().cloned().collect();
    let feeds = Feeds::of(graph, options)?;

    let mut inputs = graph.clone();
    inputs.inputs.extend(feeds.infos());
    let mut tape = Tape::new(options.dialect, &inputs, &all, trainable.clone(), options.seed)?;
    let nodes = match options.dialect {
        Dialect::Training => with_relu(&read.nodes, &trainable),
        Dialect::Standard => read.nodes,
    };
    forward_pass(&mut tape, &nodes)?;
    tape.enter("loss".into());
    let targets = &feeds.targets.name;
    let mut loss =
        loss::softmax_cross_entropy(&mut tape, &logits, targets, options.targets, options.label_smoothing)?;
    if let (Some(distillation), Some(teacher)) = (&options.distillation, &feeds.teacher) {
        tape.enter("distillation".into());
        loss = distillation.mix(&mut tape, loss, &logits, &teacher.name)?;
    }
    tape.add_gradient(&logits, loss.gradient)?;
    reverse_pass(&mut tape, &nodes)?;

    let mut gradients = Vec::new();
    for name in names.iter().filter(|name| trainable.contains(*name)) {
        tape.enter(format!("{name}_grad"));
        gradients.push(tape.gradient(name)?.ok_or_else(|| {
            AutodiffError::Signature(format!("parameter `{name}` has no influence on the logits"))
        })?);
    }
    if let Some(limit) = options.clip_norm {
        tape.enter("clip_norm".into());
        gradients = momentum::clip(&mut tape, &gradients, limit)?;
    }
    let mut gradients = gradients.into_iter();
    let (mut parameters, mut further) = (Vec::new(), Vec::new());
    let mut corrections = Default::default();
    if let Update::AdamW(adam) = &options.update {
        tape.enter("adamw".into());
        (corrections, further) = adam.corrections(&mut tape)?;
    }
    let share = match options.average {
        Some(decay) => {
            tape.enter("average".into());
            Some(average::share(&mut tape, decay)?)
        }
        None => None,
    };
    for name in names {
        let initial = graph.initializers[&name].clone();
        let role = if trainable.contains(&name) {
            let gradient = gradients.next().unwrap_or_default();
            tape.enter(format!("{name}.step"));
            let direction = match &options.update {
                Update::Gradient => gradient,
                Update::Momentum(momentum) => {
                    let (direction, velocity) = momentum.direction(&mut tape, &name, &initial, &gradient)?;
                    further.extend(velocity);
                    direction
                }
                Update::AdamW(adam) => {
                    let (direction, means) =
                        adam.direction(&mut tape, &name, &initial, &gradient, &corrections)?;
                    further.extend(means);
                    direction
                }
            };
            Role::Trainable { direction }
        } else {
            match tape.computed.iter().find(|(computed, _)| *computed == name) {
                Some((_, next)) => Role::Computed { next: next.clone() },
                None => Role::Frozen,
            }
        };
        if let Some(share) = &share {
            tape.enter(format!("{name}.mean"));
            // The graph overwrites what it computes: its next value is the one that stays.
            let current = match &role {
                Role::Trainable { .. } => Some(name.clone()),
                Role::Computed { next } => Some(next.clone()),
                Role::Frozen => None,
            };
            if let Some(current) = current {
                further.push(average::mean(&mut tape, &name, &current, &initial, share)?);
            }
        }
        parameters.push(Parameter { name, initial, role });
    }
    parameters.append(&mut further);
    parameters.extend(tape.counter());
    separate_outputs(&mut tape, &mut parameters)?;
    let eval_model = eval_model(graph, &logits, &parameters)?;
    let model = function(tape, graph, [&loss.value, &logits], &feeds, &parameters)?;
    Ok(GradientGraph { model, eval_model, forward_model, parameters })
}

/// Appends the nodes as training runs them.
pub(super) fn forward_pass(tape: &mut Tape, nodes: &[Node]) -> Result<(), AutodiffError> {
    for node in nodes {
        tape.enter(node.outputs[0].clone());
        match rule_of(node) {
            Ok(rule) => rule.forward(tape, node)?,
            Err(_) if !node.inputs.iter().any(|input| tape.wants(input)) => tape.append(node.clone())?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Appends the gradients, from the last node to the first.
pub(super) fn reverse_pass(tape: &mut Tape, nodes: &[Node]) -> Result<(), AutodiffError> {
    for node in nodes.iter().rev() {
        tape.enter(format!("{}_grad", node.outputs[0]));
        if let Some(dy) = tape.gradient(&node.outputs[0])? {
            rule_of(node)?.backward(tape, node, &dy)?;
        }
    }
    Ok(())
}

fn check(options: &GraphOptions) -> Result<(), AutodiffError> {
    let smoothing = options.label_smoothing;
    if !(0.0..1.0).contains(&smoothing) {
        return Err(AutodiffError::Option { option: "label_smoothing", value: smoothing, range: "0..1" });
    }
    if let Some(value) = options.clip_norm.filter(|limit| !(*limit > 0.0 && limit.is_finite())) {
        return Err(AutodiffError::Option { option: "clip_norm", value, range: "the positive numbers" });
    }
    if let Some(value) = options.average.filter(|decay| !(0.0..1.0).contains(decay)) {
        return Err(AutodiffError::Option { option: "average", value, range: "0..1" });
    }
    if let Some(distillation) = &options.distillation {
        distillation.check()?;
    }
    match &options.update {
        Update::Gradient => Ok(()),
        Update::Momentum(momentum) => momentum.check(),
        Update::AdamW(adam) => adam.check(),
    }
}

/// The inputs of a training step beside the image and the parameters.
struct Feeds {
    targets: ValueInfo,
    teacher: Option<ValueInfo>,
}

impl Feeds {
    fn of(forward: &Graph, options: &GraphOptions) -> Result<Self, AutodiffError> {
        let like_logits = |hint| {
            let name = unused_name(forward, hint);
            ValueInfo { name, ..forward.outputs[0].clone() }
        };
        Ok(Self {
            targets: match options.targets {
                Targets::Labels => labels(forward),
                Targets::Shares => like_logits("targets"),
            },
            teacher: options.distillation.map(|_| like_logits("teacher")),
        })
    }

    fn infos(&self) -> impl Iterator<Item = ValueInfo> {
        [Some(self.targets.clone()), self.teacher.clone()].into_iter().flatten()
    }
}

fn labels(forward: &Graph) -> ValueInfo {
    ValueInfo::new(&unused_name(forward, "labels"), data_type::INT64, &[-1])
}

fn unused_name(graph: &Graph, hint: &str) -> String {
    let taken = |name: &str| {
        graph.initializers.contains_key(name)
            || graph.inputs.iter().any(|input| input.name == name)
            || graph.nodes.iter().any(|node| node.outputs.iter().any(|output| output == name))
    };
    let mut name = hint.to_owned();
    while taken(&name) {
        name.push('_');
    }
    name
}

/// Two parameters may share one gradient (two biases of one sum); a graph's outputs differ.
fn separate_outputs(tape: &mut Tape, parameters: &mut [Parameter]) -> Result<(), AutodiffError> {
    let mut seen = BTreeSet::new();
    for parameter in parameters {
        if let Role::Trainable { direction: output } | Role::Computed { next: output } = &mut parameter.role
            && !seen.insert(output.clone())
        {
            tape.enter(format!("{}_grad", parameter.name));
            *output = tape.op("Identity", &[output])?;
        }
    }
    Ok(())
}

fn function(
    tape: Tape,
    forward: &Graph,
    results: [&str; 2],
    feeds: &Feeds,
    parameters: &[Parameter],
) -> Result<Model, AutodiffError> {
    let mut graph = Graph { name: forward.name.clone(), ..Graph::default() };
    graph.inputs = inputs(forward, feeds.infos(), parameters);
    for result in results {
        graph.outputs.push(tape.type_of(result)?.info(result));
    }
    for parameter in parameters {
        if let Role::Trainable { direction: output } | Role::Computed { next: output } = &parameter.role {
            graph.outputs.push(tape.type_of(output)?.info(output));
        }
    }
    graph.values = tape.values()?;
    graph.values.retain(|info| graph.outputs.iter().all(|output| output.name != info.name));
    let read: BTreeSet<&String> = tape.nodes.iter().flat_map(|node| &node.inputs).collect();
    graph.initializers = tape
        .constants
        .iter()
        .filter(|(name, _)| read.contains(name))
        .map(|(n, t)| (n.clone(), t.clone()))
        .collect();
    let domains: BTreeSet<&String> = tape.nodes.iter().map(|node| &node.domain).collect();
    let domains = domains.into_iter().filter(|domain| !domain.is_empty());
    let domains = domains.map(|domain| (domain.clone(), 1)).collect();
    graph.nodes = tape.nodes;
    Ok(Model { graph, opset: 17, domains, ..Model::default() })
}

fn inputs(
    forward: &Graph,
    feeds: impl Iterator<Item = ValueInfo>,
    parameters: &[Parameter],
) -> Vec<ValueInfo> {
    let mut inputs = forward.inputs.clone();
    inputs.extend(feeds);
    inputs.extend(parameters.iter().map(|parameter| {
        let shape: Vec<i64> = parameter.initial.shape.iter().map(|&size| size as i64).collect();
        ValueInfo::float(&parameter.name, &shape)
    }));
    inputs
}

/// The forward graph as inference runs it, on mean weights where they are kept, with plain cross entropy, so
/// that losses compare across recipes.
fn eval_model(forward: &Graph, logits: &str, parameters: &[Parameter]) -> Result<Model, AutodiffError> {
    let mut graph = forward.clone();
    let labels = labels(forward);
    graph.inputs = inputs(forward, std::iter::once(labels.clone()), parameters);
    for parameter in parameters {
        graph.initializers.remove(&parameter.name);
    }
    let means: BTreeSet<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        let mean = average::averaged(input);
        if means.contains(mean.as_str()) {
            *input = mean;
        }
    }
    let loss = "loss.evaluation";
    let mut node = Node::new("SoftmaxCrossEntropyLoss", &[logits, &labels.name], &[loss]);
    node.attributes.insert("reduction".into(), Attribute::String("mean".into()));
    graph.nodes.push(node);
    let types = Types::infer(&graph)?;
    let info = |name: &str| types.get(name).map(|r#type| r#type.info(name)).unwrap_or_default();
    graph.outputs = vec![info(loss), info(logits)];
    graph.values = Vec::new();
    Ok(Model { graph, opset: 17, ..Model::default() })
}
