use proptest::prelude::*;

use super::*;
use crate::{Data, Model};

/// The type of the last node's first output, as text.
fn infer_last(
    inputs: &[(&str, &[i64])],
    constants: &[(&str, Tensor)],
    nodes: &[Node],
) -> Result<String, String> {
    let graph = Graph {
        inputs: inputs.iter().map(|(name, shape)| ValueInfo::float(name, shape)).collect(),
        initializers: constants.iter().map(|(name, tensor)| ((*name).into(), tensor.clone())).collect(),
        nodes: nodes.to_vec(),
        ..Graph::default()
    };
    let types = Types::infer(&graph).map_err(|error| error.to_string())?;
    Ok(types.get(&nodes.last().unwrap().outputs[0]).unwrap().to_string())
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn floats(shape: &[usize]) -> Tensor {
    Tensor::f32(shape, vec![0.0; shape.iter().product()])
}

#[test]
fn windows() {
    let conv = |attributes: &[(&str, Attribute)], op: &str, w: &[usize]| {
        let mut node = Node::new(op, &["x", "w"], &["y"]);
        node.attributes.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        infer_last(&[("x", &[-1, 4, 9, 8])], &[("w", floats(w))], &[node])
    };
    let pads = ("pads", ints(&[1, 0, 2, 1]));
    let strides = ("strides", ints(&[2, 3]));
    let group = ("group", Attribute::Int(2));
    assert_eq!(conv(&[], "Conv", &[6, 4, 3, 2]).unwrap(), "[N, 6, 7, 7]");
    assert_eq!(conv(&[pads.clone(), strides.clone()], "Conv", &[6, 4, 3, 2]).unwrap(), "[N, 6, 5, 3]");
    assert_eq!(
        conv(&[group.clone(), ("dilations", ints(&[2, 3]))], "Conv", &[6, 2, 3, 2]).unwrap(),
        "[N, 6, 5, 5]"
    );
    assert_eq!(
        conv(&[pads, strides, group, ("output_padding", ints(&[1, 0]))], "ConvTranspose", &[4, 3, 3, 2])
            .unwrap(),
        // (9 - 1) * 2 + 3 - 3 + 1 rows, (8 - 1) * 3 + 2 - 1 columns
        "[N, 6, 17, 22]"
    );
    assert!(conv(&[], "Conv", &[6, 3, 3, 2]).unwrap_err().contains("has 4 channels"));
    assert!(
        conv(&[], "Conv", &[6, 4, 10, 2])
            .unwrap_err()
            .contains("10x2 window does not fit input [N, 4, 9, 8]")
    );
    assert!(conv(&[("auto_pad", Attribute::String("SAME_UPPER".into()))], "Conv", &[6, 4, 3, 3]).is_err());
    assert!(
        conv(&[("strides", ints(&[2]))], "Conv", &[6, 4, 3, 3])
            .unwrap_err()
            .contains("2 numbers are expected")
    );
    assert!(conv(&[("strides", ints(&[0, 1]))], "Conv", &[6, 4, 3, 3]).is_err());
    assert!(
        conv(&[("kernel_shape", ints(&[5, 5]))], "Conv", &[6, 4, 3, 3])
            .unwrap_err()
            .contains("the weights are")
    );
}

#[test]
fn layouts() {
    let one = |op: &str, shape: &[i64], argument: &[i64]| {
        infer_last(&[("x", shape)], &[("a", Tensor::i64s(argument))], &[Node::new(op, &["x", "a"], &["y"])])
    };
    assert_eq!(one("Reshape", &[-1, 4, 3, 2], &[-1, 24]).unwrap(), "[N, 24]");
    assert_eq!(one("Reshape", &[-1, 4, 3, 2], &[0, -1]).unwrap(), "[N, 24]");
    assert_eq!(one("Reshape", &[-1, 4, 3, 2], &[-1]).unwrap(), "[24*N]");
    assert_eq!(one("Reshape", &[-1, 4, 3, 2], &[-1, 2, 2, 3, 2]).unwrap(), "[N, 2, 2, 3, 2]");
    assert!(one("Reshape", &[-1, 4, 3, 2], &[-1, 7]).unwrap_err().contains("cannot be reshaped"));
    assert!(one("Reshape", &[-1, 4, 3, 2], &[-1, -1]).is_err());
    assert_eq!(one("Squeeze", &[-1, 4, 1, 1], &[2, -1]).unwrap(), "[N, 4]");
    assert!(one("Squeeze", &[-1, 4, 1, 1], &[1]).is_err());
    assert_eq!(one("Unsqueeze", &[-1, 4], &[0, -1]).unwrap(), "[1, N, 4, 1]");
    assert!(one("Unsqueeze", &[-1, 4], &[0, 0]).is_err());
    assert_eq!(one("Pad", &[-1, 4, 3, 2], &[0, 0, 1, 2, 0, 0, 3, -1]).unwrap(), "[N, 4, 7, 3]");
    assert_eq!(one("ReduceSum", &[-1, 4, 3], &[0, 2]).unwrap(), "[1, 4, 1]");
    assert_eq!(one("Expand", &[-1, 4, 1], &[1, 1, 3]).unwrap(), "[N, 4, 3]");
    let slice = |bounds: [&[i64]; 4]| {
        let names = ["starts", "ends", "axes", "steps"];
        let constants: Vec<_> = names.iter().zip(bounds).map(|(name, b)| (*name, Tensor::i64s(b))).collect();
        let node = Node::new("Slice", &["x", "starts", "ends", "axes", "steps"], &["y"]);
        infer_last(&[("x", &[-1, 4, 9])], &constants, &[node])
    };
    assert_eq!(slice([&[1, -4], &[i64::MAX, -1], &[1, 2], &[1, 2]]).unwrap(), "[N, 3, 2]");
    assert!(slice([&[1], &[2], &[0], &[1]]).is_err());
    let transpose = Node::new("Transpose", &["x"], &["y"]).with("perm", ints(&[1, 0, 2]));
    assert_eq!(infer_last(&[("x", &[-1, 4, 3])], &[], &[transpose]).unwrap(), "[4, N, 3]");
    let concat = Node::new("Concat", &["x", "z"], &["y"]).with("axis", Attribute::Int(-2));
    let join =
        |other: &[i64]| infer_last(&[("x", &[-1, 4, 3]), ("z", other)], &[], std::slice::from_ref(&concat));
    assert_eq!(join(&[-1, 5, 3]).unwrap(), "[N, 9, 3]");
    assert!(join(&[-1, 5, 4]).is_err());
}

#[test]
fn products_and_broadcasts() {
    let two = |op: &str, a: &[i64], b: &[i64]| {
        infer_last(&[("a", a), ("b", b)], &[], &[Node::new(op, &["a", "b"], &["y"])])
    };
    assert_eq!(two("MatMul", &[-1, 2, 4, 3], &[3, 5]).unwrap(), "[N, 2, 4, 5]");
    assert_eq!(two("MatMul", &[4, 3], &[2, 3, 5]).unwrap(), "[2, 4, 5]");
    assert!(two("MatMul", &[4, 3], &[4, 3]).is_err());
    assert_eq!(two("Add", &[-1, 4, 3, 2], &[4, 1, 1]).unwrap(), "[N, 4, 3, 2]");
    assert!(two("Add", &[-1, 4, 3], &[-1, 4, 2]).is_err());
    assert_eq!(two("Gemm", &[-1, 4], &[4, 5]).unwrap(), "[N, 5]");
    let error = two("Gemm", &[-1, 4], &[3, 5]).unwrap_err();
    assert!(error.contains("has [4] values per row, but the weights [3, 5] take [3]"), "{error}");
}

#[test]
fn shapes_are_followed_where_exporters_compute_them() {
    let nodes = [
        Node::new("Shape", &["x"], &["s"]),
        Node::new("Slice", &["s", "zero", "one"], &["batch"]),
        Node::new("Slice", &["s", "one", "four"], &["rest"]),
        Node::new("Gather", &["s", "index"], &["channels"]),
        Node::new("Gather", &["s", "last"], &["columns"]),
        Node::new("Mul", &["channels", "columns"], &["product"]),
        Node::new("Unsqueeze", &["product", "zero"], &["row"]),
        Node::new("Concat", &["batch", "row", "open"], &["target"]).with("axis", Attribute::Int(0)),
        Node::new("Reshape", &["x", "target"], &["y"]),
    ];
    let scalar = |value| Tensor::new(&[], Data::I64(vec![value]));
    let constants = [
        ("zero", Tensor::i64s(&[0])),
        ("one", Tensor::i64s(&[1])),
        ("four", Tensor::i64s(&[4])),
        ("open", Tensor::i64s(&[-1])),
        ("index", scalar(1)),
        ("last", scalar(-1)),
    ];
    assert_eq!(infer_last(&[("x", &[-1, 4, 3, 2])], &constants, &nodes).unwrap(), "[N, 8, 3]");
}

#[test]
fn errors_name_the_node() {
    let mut node = Node::new("Add", &["x", "nowhere"], &["y"]);
    node.name = "sum".into();
    let error = infer_last(&[("x", &[-1, 4])], &[], &[node]).unwrap_err();
    assert_eq!(error, "node `sum` (Add) reads `nowhere`, which no input, initializer or earlier node gives");
    let error = infer_last(&[("x", &[-1, 4])], &[], &[Node::new("Einsum", &["x"], &["y"])]).unwrap_err();
    assert_eq!(error, "node `y`: operator Einsum is not supported");
    let huge = infer_last(&[("x", &[-1, i64::MAX])], &[], &[Node::new("Relu", &["x"], &["y"])]).unwrap_err();
    assert!(huge.contains("above 2^31"), "{huge}");
}

const OPERATORS: [&str; 30] = [
    "Relu",
    "Add",
    "Where",
    "Expand",
    "Cast",
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Resize",
    "Gemm",
    "MatMul",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Concat",
    "Pad",
    "Slice",
    "Gather",
    "ScatterElements",
    "Shape",
    "ConstantOfShape",
    "OneHot",
    "ReduceSum",
    "BatchNormalization",
    "Dropout",
    "SoftmaxCrossEntropyLoss",
];

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -2i64..6, 1 => any::<i64>(), 1 => Just(i64::from(i32::MAX)), 1 => Just(65535)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Graphs that no exporter would write are refused or inferred, never a panic.
    #[test]
    fn any_graph_is_answered(
        shapes in prop::collection::vec(prop::collection::vec(number(), 0..5), 3),
        constants in prop::collection::vec(prop::collection::vec(number(), 0..9), 3),
        nodes in prop::collection::vec(
            (
                0..OPERATORS.len(), prop::collection::vec(0usize..12, 0..6),
                prop::collection::vec(prop::collection::vec(number(), 0..5), 6),
            ),
            1..5,
        ),
    ) {
        let mut names: Vec<String> = Vec::new();
        let mut graph = Graph::default();
        for (index, shape) in shapes.iter().enumerate() {
            names.push(format!("x{index}"));
            graph.inputs.push(ValueInfo::float(&names[index], shape));
        }
        for (index, values) in constants.iter().enumerate() {
            names.push(format!("c{index}"));
            graph.initializers.insert(format!("c{index}"), Tensor::i64s(values));
        }
        for (index, (op, inputs, attributes)) in nodes.iter().enumerate() {
            let inputs: Vec<&str> =
                inputs.iter().map(|&input| names.get(input).map_or("", String::as_str)).collect();
            let output = format!("y{index}");
            let mut node = Node::new(OPERATORS[*op], &inputs, &[&output]);
            let attribute_names = ["pads", "strides", "dilations", "kernel_shape", "perm", "axes"];
            for (name, values) in attribute_names.iter().zip(attributes) {
                if !values.is_empty() {
                    node.attributes.insert((*name).into(), Attribute::Ints(values.clone()));
                }
            }
            for (name, values) in ["axis", "group", "transA", "start", "to"].iter().zip(attributes) {
                if let Some(value) = values.first() {
                    node.attributes.insert((*name).into(), Attribute::Int(*value));
                }
            }
            graph.nodes.push(node);
            names.push(output);
        }
        let model = Model { graph, opset: 17, ..Model::default() };
        let read = Model::decode(&model.encode()).unwrap();
        let _ = Types::infer(&read.graph);
    }
}
