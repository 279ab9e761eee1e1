//! What stands behind the logits: operators that the host does, or that change nothing, up to the model's
//! output.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::{Dimension, Model, Node};

/// Operators that only show the logits in another form.
const SHOWN: [&str; 10] = [
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Dropout",
    "Cast",
    "Transpose",
    "QuantizeLinear",
    "DequantizeLinear",
];

/// The end of a model.
#[derive(Debug)]
pub struct Tail<'a> {
    /// The model's output and the values behind it, as far as one follows from the next, the nearest to
    /// the logits last.
    pub values: Vec<&'a str>,
    /// The function that makes probabilities of the logits, where one stands there.
    pub end: Option<&'a Node>,
}

impl<'a> Tail<'a> {
    /// The end of nodes that write this output.
    pub fn of(nodes: &'a [Node], output: &'a str) -> Self {
        let mut values = vec![output];
        loop {
            let name = values[values.len() - 1];
            let writes = |node: &&Node| node.outputs.first().is_some_and(|written| written == name);
            let Some(node) = nodes.iter().find(writes).filter(|node| node.domain.is_empty()) else {
                return Self { values, end: None };
            };
            if ["Softmax", "LogSoftmax", "Sigmoid"].contains(&&*node.op) {
                return Self { values, end: Some(node) };
            }
            match node.inputs.first() {
                Some(input) if SHOWN.contains(&&*node.op) && !values.contains(&&**input) => {
                    values.push(input)
                }
                _ => return Self { values, end: None },
            }
        }
    }
}

/// The value that holds a model's logits: what its last Softmax reads (of one output, its last Sigmoid),
/// else its output. `None` without one output.
pub fn logits(model: &Model) -> Option<&str> {
    let [output] = &*model.graph.outputs else { return None };
    let tail = Tail::of(&model.graph.nodes, &output.name);
    let end = tail.end.filter(|end| end.op != "Sigmoid" || values(model) == Some(1));
    end.map_or(Some(&output.name), |end| end.inputs.first().map(String::as_str))
}

/// Values of a model's output for one image, where its shape says how many: `[batch, values]`, or with
/// further dimensions of 1.
pub fn values(model: &Model) -> Option<usize> {
    let shape = model.graph.outputs.first()?.shape.as_deref()?;
    let behind = if shape.len() > 1 { &shape[1..] } else { shape };
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => usize::try_from(*size).ok().filter(|&size| size > 0),
        Dimension::Named(_) => None,
    };
    let sizes = behind.iter().map(size).collect::<Option<Vec<usize>>>()?;
    match sizes.iter().filter(|&&size| size != 1).count() {
        0 if !sizes.is_empty() => Some(1),
        1 => sizes.into_iter().find(|&size| size != 1),
        _ => None,
    }
}

/// Classes of a model, where its output says how many: one value tells two classes apart.
pub fn classes(model: &Model) -> Option<usize> {
    values(model).map(|values| values.max(2))
}

/// Logits for classes: one value `z` per image, whose sigmoid is the probability of the second of two
/// classes, becomes `[0, z]`, whose softmax is the same.
pub fn of_two_classes(values: &[f32]) -> Vec<f32> {
    values.iter().flat_map(|&value| [0.0, value]).collect()
}

/// A model as it is run for one value of it: without the nodes that the value does not depend on, and with
/// every `Dropout` as in inference, also where the file asks for training.
pub fn for_inference<'a>(model: &'a Model, value: &str) -> Cow<'a, Model> {
    let needed = needed(&model.graph.nodes, &[value]);
    let drops = |node: &Node| node.op == "Dropout" && node.domain.is_empty() && node.inputs.len() > 1;
    if needed.iter().all(|&needed| needed) && !model.graph.nodes.iter().any(drops) {
        return Cow::Borrowed(model);
    }
    let mut model = model.clone();
    let mut needed = needed.into_iter();
    model.graph.nodes.retain(|_| needed.next().unwrap_or(true));
    for node in model.graph.nodes.iter_mut().filter(|node| drops(node)) {
        node.inputs.truncate(1);
    }
    Cow::Owned(model)
}

/// Which nodes the outputs of a graph depend on.
pub fn needed(nodes: &[Node], outputs: &[&str]) -> Vec<bool> {
    let mut wanted: HashSet<&str> = outputs.iter().copied().collect();
    let mut needed = vec![false; nodes.len()];
    for (node, needed) in nodes.iter().zip(&mut needed).rev() {
        *needed = node.outputs.iter().any(|name| wanted.contains(&**name));
        if *needed {
            wanted.extend(node.inputs.iter().filter(|name| !name.is_empty()).map(String::as_str));
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Graph, ValueInfo};

    fn model(nodes: Vec<Node>, output: &str, shape: &[i64]) -> Model {
        let graph = Graph { nodes, outputs: vec![ValueInfo::float(output, shape)], ..Graph::default() };
        Model { graph, opset: 17, ..Model::default() }
    }

    #[test]
    fn a_softmax_is_last_before_operators_that_change_nothing() {
        let nodes = || {
            vec![
                Node::new("Gemm", &["x"], &["z"]),
                Node::new("Softmax", &["z"], &["p"]),
                Node::new("Identity", &["p"], &["same"]),
                Node::new("Reshape", &["same", "shape"], &["y"]),
            ]
        };
        assert_eq!(logits(&model(nodes(), "y", &[-1, 10])), Some("z"));
        assert_eq!(logits(&model(nodes(), "z", &[-1, 10])), Some("z"));
        let mut several = nodes();
        several[1].op = "Sigmoid".into();
        assert_eq!(logits(&model(several.clone(), "y", &[-1, 10])), Some("y"), "each class for itself");
        assert_eq!(logits(&model(several, "y", &[-1, 1])), Some("z"));
        let mut inside = nodes();
        inside[2].op = "Mul".into();
        assert_eq!(logits(&model(inside, "y", &[-1, 10])), Some("y"));
    }

    #[test]
    fn classes_are_the_one_dimension_that_is_not_1() {
        let classes = |shape: &[i64]| classes(&model(vec![], "y", shape));
        assert_eq!(
            [classes(&[1, 10]), classes(&[-1, 10, 1, 1]), classes(&[1, 1, 1, 7])],
            [Some(10), Some(10), Some(7)]
        );
        assert_eq!([classes(&[-1, 1]), classes(&[10])], [Some(2), Some(10)]);
        assert_eq!([classes(&[1, 2, 3]), classes(&[1, -1]), classes(&[])], [None; 3]);
    }

    #[test]
    fn what_no_output_depends_on_is_not_needed() {
        let nodes = [
            Node::new("Relu", &["x"], &["a"]),
            Node::new("Loop", &["a"], &["b"]),
            Node::new("Neg", &["a"], &["y"]),
        ];
        assert_eq!(needed(&nodes, &["y"]), [true, false, true]);
    }
}
