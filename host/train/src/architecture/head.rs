//! Another last layer: a trained network for other classes.

use goldcrest_onnx::shape_inference::{ShapeError, Types};
use goldcrest_onnx::{Data, Dimension, Graph, Model, Node, Tensor};

use super::description::Initialization;
use super::initialization::Weights;
use crate::autodiff::{self, AutodiffError};

/// Why a network's last layer could not be replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The network is not a classifier.
    #[error(transparent)]
    Network(#[from] AutodiffError),
    /// No layer of weights ends it.
    #[error(
        "node `{node}` ({op}) stands between the last layer and the logits; --head replaces a Gemm, MatMul \
         or Conv that is followed by nothing but changes of shape, means and a bias"
    )]
    NoLayer { node: String, op: String },
    /// The weights of the last layer are not an initializer of the expected form.
    #[error("node `{node}` ({op}): its weights `{weights}` are not a constant for {classes} classes")]
    Weights { node: String, op: String, weights: String, classes: usize },
    /// The new layer does not fit; the node is named.
    #[error("with the new last layer: {0}")]
    Shape(#[from] ShapeError),
    /// The new network does not make logits of that many classes.
    #[error("with the new last layer the output is {found}, expected [N, {expected}]")]
    Logits { found: String, expected: usize },
}

/// `model` with a fresh last layer for `classes` classes, drawn from `seed` as PyTorch draws linear layers.
/// The other layers and all names stay.
///
/// # Errors
/// See [`HeadError`].
pub fn replace_head(model: &Model, classes: usize, seed: u64) -> Result<Model, HeadError> {
    let mut model = autodiff::forward_model(model)?;
    let graph = &mut model.graph;
    let old = match graph.outputs[0].shape.as_deref() {
        Some([_, Dimension::Fixed(old)]) => *old as usize,
        _ => 0,
    };
    let mut head = Head { graph, old, classes, weights: Weights::new(Initialization::KaimingUniform, seed) };
    head.replace()?;
    let output = graph.outputs[0].name.clone();
    let types = Types::infer(graph)?;
    match types.get(&output) {
        Some(found) if found.shape.len() == 2 && found.fixed(1) == Some(classes) => {
            graph.outputs = vec![found.info(&output)];
        }
        found => {
            let found = found.map_or_else(|| "unknown".into(), ToString::to_string);
            return Err(HeadError::Logits { found, expected: classes });
        }
    }
    Ok(model)
}

struct Head<'a> {
    graph: &'a mut Graph,
    /// Classes of the old last layer.
    old: usize,
    classes: usize,
    weights: Weights,
}

impl Head<'_> {
    /// Walks from the logits back to the last layer and replaces what has a size of its own on the way.
    fn replace(&mut self) -> Result<(), HeadError> {
        let mut value = self.graph.outputs[0].name.clone();
        let mut bias = None;
        loop {
            let Some(at) = self.graph.nodes.iter().position(|node| node.outputs.contains(&value)) else {
                return Err(HeadError::NoLayer { node: value, op: "input".into() });
            };
            let node = self.graph.nodes[at].clone();
            match node.op.as_str() {
                "Flatten" | "Identity" | "Dropout" | "Squeeze" | "GlobalAveragePool" | "AveragePool"
                | "ReduceMean" => value.clone_from(&node.inputs[0]),
                "Reshape" => {
                    self.reshape(at);
                    value.clone_from(&node.inputs[0]);
                }
                "Add" if bias.is_none() => {
                    let constant = |input: &String| self.graph.initializers.contains_key(input);
                    let Some(position) = node.inputs.iter().position(constant) else {
                        return Err(no_layer(&node));
                    };
                    bias = Some((at, position));
                    value.clone_from(&node.inputs[1 - position]);
                }
                "Gemm" => {
                    // Weights are [outputs, inputs] where the operator transposes them.
                    let axis = if node.int("transB").unwrap_or(0) == 0 { 1 } else { 0 };
                    return self.layer(at, axis, bias);
                }
                "MatMul" => return self.layer(at, 1, bias),
                "Conv" if node.int("group").unwrap_or(1) == 1 => return self.layer(at, 0, bias),
                _ => return Err(no_layer(&node)),
            }
        }
    }

    /// A target shape that names the classes names the new ones.
    fn reshape(&mut self, at: usize) {
        let Some(Data::I64(sizes)) = self.constant(at, 1).map(|tensor| tensor.data) else { return };
        let mut sizes = sizes;
        if let Some(last) = sizes.iter_mut().rev().find(|size| **size == self.old as i64) {
            *last = self.classes as i64;
            self.put(at, 1, Tensor::i64s(&sizes));
        }
    }

    /// New weights for node `at`, whose axis `axis` are the classes, and a new bias where there is one.
    fn layer(&mut self, at: usize, axis: usize, added: Option<(usize, usize)>) -> Result<(), HeadError> {
        let node = self.graph.nodes[at].clone();
        let old = self.constant(at, 1).filter(|old| matches!(old.data, Data::F32(_)));
        let fits = |old: &Tensor| old.shape.len() >= 2 && old.shape[axis] == self.old && self.old > 0;
        let Some(mut shape) = old.filter(fits).map(|old| old.shape) else {
            let weights = node.inputs.get(1).cloned().unwrap_or_default();
            return Err(HeadError::Weights { node: node.name, op: node.op, weights, classes: self.old });
        };
        let inputs = shape.iter().product::<usize>() / self.old;
        shape[axis] = self.classes;
        let weights = self.weights.weights(&shape, inputs);
        self.put(at, 1, weights);
        let own = self.constant(at, 2).map(|_| (at, 2));
        for (at, position) in own.into_iter().chain(added) {
            let bias = self.constant(at, position).unwrap_or_else(|| Tensor::f32(&[0], Vec::new()));
            let shape: Vec<usize> =
                bias.shape.iter().map(|&size| if size == self.old { self.classes } else { size }).collect();
            let count = shape.iter().product();
            let fresh = self.weights.bias(count, inputs);
            self.put(at, position, Tensor { shape, ..fresh });
        }
        Ok(())
    }

    fn constant(&self, at: usize, position: usize) -> Option<Tensor> {
        let name = self.graph.nodes[at].inputs.get(position)?;
        self.graph.initializers.get(name).cloned()
    }

    /// Gives an input of a node another value, under another name where other nodes read the old one.
    fn put(&mut self, at: usize, position: usize, tensor: Tensor) {
        let mut name = self.graph.nodes[at].inputs[position].clone();
        let readers = self.graph.nodes.iter().flat_map(|node| &node.inputs).filter(|input| **input == name);
        if readers.count() > 1 {
            while self.graph.initializers.contains_key(&name) {
                name += ".head";
            }
            self.graph.nodes[at].inputs[position].clone_from(&name);
        }
        self.graph.initializers.insert(name, tensor);
    }
}

fn no_layer(node: &Node) -> HeadError {
    HeadError::NoLayer { node: node.name.clone(), op: node.op.clone() }
}

#[cfg(test)]
mod tests {
    use goldcrest_engine::shape::Shape;

    use super::*;
    use goldcrest_onnx::{Attribute, ValueInfo};

    fn values<'a>(model: &'a Model, name: &str) -> &'a Tensor {
        &model.graph.initializers[name]
    }

    #[test]
    fn only_the_last_layer_changes() {
        let model = crate::architecture::load("lenet5").unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
        let other = replace_head(&model, 3, 5).unwrap();
        assert_eq!(other.graph.outputs, [ValueInfo::float("logits", &[-1, 3])]);
        for (name, tensor) in &model.graph.initializers {
            if name.starts_with("linear3") {
                assert_eq!(values(&other, name).shape[0], 3, "{name}");
            } else {
                assert_eq!(values(&other, name), tensor, "{name}");
            }
        }
        assert!(
            values(&other, "linear3.weight")
                .as_f32()
                .unwrap()
                .iter()
                .all(|w| w.abs() <= 84f32.sqrt().recip())
        );
        assert_eq!(replace_head(&model, 3, 5).unwrap(), other);
        assert_ne!(replace_head(&model, 3, 6).unwrap(), other);
    }

    /// `x` [N, 4, 2, 2] through `nodes` to `y`.
    fn network(nodes: Vec<Node>, constants: &[(&str, Tensor)]) -> Model {
        let graph = Graph {
            nodes,
            inputs: vec![ValueInfo::float("x", &[-1, 4, 2, 2])],
            outputs: vec![ValueInfo::float("y", &[-1, 5])],
            initializers: constants.iter().map(|(name, tensor)| ((*name).into(), tensor.clone())).collect(),
            ..Graph::default()
        };
        Model { graph, opset: 17, ..Model::default() }
    }

    fn ones(shape: &[usize]) -> Tensor {
        Tensor::f32(shape, vec![1.0; shape.iter().product()])
    }

    #[test]
    fn a_matrix_with_an_added_bias_and_a_convolution_are_last_layers_too() {
        let keras = network(
            vec![
                Node::new("Flatten", &["x"], &["flat"]),
                Node::new("MatMul", &["flat", "w"], &["product"]),
                Node::new("Add", &["product", "b"], &["y"]),
            ],
            &[("w", ones(&[16, 5])), ("b", ones(&[5]))],
        );
        let other = replace_head(&keras, 7, 0).unwrap();
        assert_eq!(
            (&values(&other, "w").shape[..], &values(&other, "b").shape[..]),
            (&[16, 7][..], &[7][..])
        );

        let convolution = network(
            vec![
                Node::new("Conv", &["x", "w", "b"], &["maps"]),
                Node::new("GlobalAveragePool", &["maps"], &["means"]),
                Node::new("Reshape", &["means", "shape"], &["y"]),
            ],
            &[("w", ones(&[5, 4, 1, 1])), ("b", ones(&[5])), ("shape", Tensor::i64s(&[-1, 5]))],
        );
        let other = replace_head(&convolution, 2, 0).unwrap();
        assert_eq!(values(&other, "w").shape, [2, 4, 1, 1]);
        assert_eq!(values(&other, "shape").as_i64().unwrap(), [-1, 2]);
    }

    #[test]
    fn what_is_no_last_layer_is_named() {
        let relu = network(
            vec![
                Node::new("Flatten", &["x"], &["flat"]),
                Node::new("Gemm", &["flat", "w"], &["product"]),
                Node::new("Relu", &["product"], &["y"]),
            ],
            &[("w", ones(&[16, 5]))],
        );
        let error = replace_head(&relu, 7, 0).unwrap_err().to_string();
        assert!(error.contains("`y` (Relu)") && error.contains("Gemm, MatMul or Conv"), "{error}");
        let depthwise = network(
            vec![
                Node::new("Conv", &["x", "w"], &["maps"]).with("group", Attribute::Int(4)),
                Node::new("Flatten", &["maps"], &["y"]),
            ],
            &[("w", ones(&[4, 1, 2, 2]))],
        );
        let error = replace_head(&depthwise, 7, 0).unwrap_err().to_string();
        assert!(error.contains("(Conv)"), "{error}");
    }
}
