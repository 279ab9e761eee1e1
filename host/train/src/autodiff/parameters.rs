//! Which initializers of a model are parameters, and which of those are trained.

use std::collections::BTreeSet;

use goldcrest_onnx::{Data, Graph};

use super::AutodiffError;
use super::rule::rule_of;

/// The parameters of a graph.
pub(super) struct Parameters {
    /// All, in the order in which nodes first read them.
    pub names: Vec<String>,
    /// Those that the optimizer changes.
    pub trainable: BTreeSet<String>,
}

/// Float initializers at positions where an operator keeps parameters. Others, as the bounds of a
/// `Clip`, are constants.
pub(super) fn parameters(graph: &Graph, frozen: &[String]) -> Result<Parameters, AutodiffError> {
    let (mut names, mut trainable) = (Vec::new(), BTreeSet::new());
    for node in &graph.nodes {
        let Ok(rule) = rule_of(node) else { continue };
        let positions = rule.parameters();
        let follows = |op: &str| node.inputs.iter().any(|input| made_by(graph, input) == Some(op));
        if positions.after.is_some_and(|op| !follows(op)) {
            continue;
        }
        let read_by =
            |op: &str| graph.nodes.iter().any(|next| next.op == op && next.inputs.contains(&node.outputs[0]));
        if positions.before.is_some_and(|op| !read_by(op)) {
            continue;
        }
        for (position, input) in node.inputs.iter().enumerate() {
            let is_float = graph.initializers.get(input).is_some_and(|t| matches!(t.data, Data::F32(_)));
            let trained = positions.trainable.contains(&position);
            if !is_float || !(trained || positions.statistics.contains(&position)) {
                continue;
            }
            if !names.contains(input) {
                names.push(input.clone());
            }
            if trained && !frozen.iter().any(|prefix| input.starts_with(prefix)) {
                trainable.insert(input.clone());
            }
        }
    }
    if let Some(prefix) = frozen.iter().find(|prefix| !names.iter().any(|name| name.starts_with(*prefix))) {
        return Err(AutodiffError::UnknownPrefix { prefix: prefix.clone(), names });
    }
    if trainable.is_empty() {
        let frozen = names.len();
        return Err(AutodiffError::NothingToTrain { parameters: frozen, frozen });
    }
    Ok(Parameters { names, trainable })
}

fn made_by<'a>(graph: &'a Graph, value: &String) -> Option<&'a str> {
    graph.nodes.iter().find(|node| node.outputs.contains(value)).map(|node| node.op.as_str())
}
