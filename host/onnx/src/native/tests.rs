//! What is admitted, and what is refused by name.

use super::*;
use crate::{Graph, Tensor, ValueInfo};

fn model(node: Node, weights: &[(&str, Tensor)]) -> Model {
    Model {
        graph: Graph {
            nodes: vec![node, Node::new("Flatten", &["y"], &["flat"])],
            inputs: vec![ValueInfo::float("x", &[-1, 4, 9, 9])],
            outputs: vec![ValueInfo::float("flat", &[-1, 10])],
            initializers: weights.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect(),
            ..Graph::default()
        },
        opset: 17,
        ..Model::default()
    }
}

fn conv(op: &str) -> Node {
    Node::new(op, &["x", "w"], &["y"]).with("kernel_shape", Attribute::Ints(vec![3, 3]))
}

fn weights() -> (&'static str, Tensor) {
    ("w", Tensor::f32(&[4, 4, 3, 3], vec![0.5; 144]))
}

#[test]
fn what_exporters_write_passes() {
    for op in ["Conv", "ConvTranspose"] {
        admit(&model(conv(op), &[weights()])).unwrap();
    }
    for auto_pad in ["SAME_UPPER", "VALID", "SAME_LOWER"] {
        let node = conv("Conv").with("auto_pad", Attribute::String(auto_pad.into()));
        admit(&model(node.with("strides", Attribute::Ints(vec![2, 2])), &[weights()])).unwrap();
    }
    let pool = Node::new("MaxPool", &["x"], &["y"]).with("kernel_shape", Attribute::Ints(vec![2, 2]));
    let pool = pool.with("strides", Attribute::Ints(vec![2, 2])).with("ceil_mode", Attribute::Int(1));
    admit(&model(pool, &[])).unwrap();
}

#[test]
fn what_ends_native_code_does_not() {
    for (name, value) in [
        ("strides", vec![0, 1]),
        ("strides", vec![1, -1]),
        ("dilations", vec![0, 0]),
        ("pads", vec![0, 0, -4, 0]),
        ("pads", vec![i64::MAX, 0, 0, 0]),
        ("pads", vec![60_000, 0, 60_000, 60_000]),
        ("kernel_shape", vec![0, 3]),
        ("kernel_shape", vec![3, i64::MIN]),
    ] {
        for op in ["Conv", "ConvTranspose"] {
            let node = conv(op).with(name, Attribute::Ints(value.clone()));
            assert!(admit(&model(node, &[weights()])).is_err(), "{op}: {name} = {value:?}");
        }
        let pool = Node::new("AveragePool", &["x"], &["y"]);
        let pool = pool.with("kernel_shape", Attribute::Ints(vec![3, 3]));
        let pool = pool.with(name, Attribute::Ints(value.clone()));
        assert!(admit(&model(pool, &[])).is_err(), "pool: {name} = {value:?}");
    }
    for group in [0, -1, 3, 1 << 40] {
        for op in ["Conv", "ConvTranspose"] {
            let node = conv(op).with("group", Attribute::Int(group));
            assert!(admit(&model(node, &[weights()])).is_err(), "{op}: group = {group}");
        }
    }
    let unknown = Node::new("Scan", &["x"], &["y"]);
    assert!(matches!(admit(&model(unknown, &[])), Err(NativeError::Shapes { .. })));
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let (name, mut tensor) = weights();
    if let Data::F32(values) = &mut tensor.data {
        values[7] = f32::NAN;
    }
    let error = admit(&model(conv("Conv"), &[(name, tensor)])).unwrap_err().to_string();
    assert!(error.contains("tensor `w`") && error.contains("NaN"), "{error}");
}
