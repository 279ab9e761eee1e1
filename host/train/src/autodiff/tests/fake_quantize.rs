//! The straight-through estimator: values on their grid forward, the gradient of the grid's values backward.

use super::*;

const CLASSES: usize = 4;
const FEATURES: usize = 6;

fn grid(value: f32, scale: f32, zero: f32, lowest: f32) -> f32 {
    (((value / scale).round_ties_even() + zero).clamp(lowest, 127.0) - zero) * scale
}

const SCALES: [f32; CLASSES] = [0.01, 0.02, 0.003, 0.5];
const INPUT: (f32, i8) = (0.01, -20);

fn weights() -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    (0..CLASSES * FEATURES).map(|_| random.random_range(-1f32..1.0)).collect()
}

/// `x` [N, 6] times `w` [4, 6], both rounded to their grids, or as they are.
fn network(rounded: bool) -> Model {
    let quantize = |value: &str, axis: Option<i64>| {
        let [scale, zero, integers, real] =
            ["scale", "zero", "integers", "real"].map(|part| format!("{value}.{part}"));
        let with_axis = |node: Node| match axis {
            Some(axis) => node.with("axis", Attribute::Int(axis)),
            None => node,
        };
        [
            with_axis(Node::new("QuantizeLinear", &[value, &scale, &zero], &[&integers])),
            with_axis(Node::new("DequantizeLinear", &[&integers, &scale, &zero], &[&real])),
        ]
    };
    let mut nodes = vec![Node::new("Relu", &["x"], &["h"])];
    let (mut h, mut w) = ("h", "w");
    if rounded {
        nodes.extend(quantize("h", None));
        nodes.extend(quantize("w", Some(0)));
        (h, w) = ("h.real", "w.real");
    }
    nodes.push(Node::new("Gemm", &[h, w], &["logits"]).with("transB", Attribute::Int(1)));
    let mut initializers = std::collections::BTreeMap::new();
    initializers.insert("w".into(), Tensor::f32(&[CLASSES, FEATURES], weights()));
    if rounded {
        initializers.insert("w.scale".into(), Tensor::f32(&[CLASSES], SCALES.to_vec()));
        initializers.insert("w.zero".into(), Tensor::new(&[CLASSES], Data::I8(vec![0; CLASSES])));
        initializers.insert("h.scale".into(), Tensor::f32(&[], vec![INPUT.0]));
        initializers.insert("h.zero".into(), Tensor::new(&[], Data::I8(vec![INPUT.1])));
    }
    let graph = Graph {
        nodes,
        inputs: vec![ValueInfo::float("x", &[-1, FEATURES as i64])],
        outputs: vec![ValueInfo::float("logits", &[-1, CLASSES as i64])],
        initializers,
        ..Graph::default()
    };
    Model { graph, opset: 17, ..Model::default() }
}

#[test]
fn gradients_are_those_of_the_rounded_values_where_nothing_saturates() {
    for dialect in [Dialect::Training, Dialect::Standard] {
        let graph = gradient_graph(&network(true), &options(dialect)).unwrap();
        let names: Vec<&str> = graph.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["w"]);
        let inputs = feeds(&graph.model, &graph.parameters, CLASSES as i64);
        let ours = run(&mut session(&graph.model), &inputs);

        // The same network without rounding, given the rounded values.
        let plain = gradient_graph(&network(false), &options(dialect)).unwrap();
        let mut rounded = inputs.clone();
        for value in floats(&mut rounded[0].1) {
            *value = grid(value.max(0.0), INPUT.0, INPUT.1.into(), -128.0);
        }
        for (at, weight) in floats(&mut rounded[2].1).iter_mut().enumerate() {
            *weight = grid(*weight, SCALES[at / FEATURES], 0.0, -128.0);
        }
        let mut theirs = run(&mut session(&plain.model), &rounded);
        let (mut passed, mut held) = (0, 0);
        for (at, gradient) in theirs[2].iter_mut().enumerate() {
            let inside = (-128.5..=127.5).contains(&(weights()[at] / SCALES[at / FEATURES]));
            *gradient *= f64::from(u8::from(inside));
            passed += usize::from(inside);
            held += usize::from(!inside);
        }
        assert!(passed > 3 && held > 3, "{passed} {held}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(distance(ours, theirs) < 1e-5, "{dialect:?}: {ours:?} {theirs:?}");
        }
        // Evaluation rounds too.
        let evaluated = run(&mut session(&graph.eval_model), &inputs);
        assert!(distance(&evaluated[1], &ours[1]) < 1e-6);
    }
}

/// A layer below a rounded activation: the gradient stops where the activation saturates.
#[test]
fn saturated_activations_pass_no_gradient() {
    let mut model = network(true);
    let graph = &mut model.graph;
    graph.nodes.insert(0, Node::new("Gemm", &["image", "v"], &["x"]));
    graph.inputs = vec![ValueInfo::float("image", &[-1, 1])];
    // Of an image of 1: below 0, within the grid of 1.475 at most, and beyond it.
    let v = vec![-1.0, 0.5, 1.0, 1.4, 1.5, 3.0];
    graph.initializers.insert("v".into(), Tensor::f32(&[1, FEATURES], v));
    for dialect in [Dialect::Training, Dialect::Standard] {
        let graph = gradient_graph(&model, &options(dialect)).unwrap();
        let mut inputs = feeds(&graph.model, &graph.parameters, CLASSES as i64);
        floats(&mut inputs[0].1).fill(1.0);
        let outputs = run(&mut session(&graph.model), &inputs);
        let at = graph.parameters.iter().position(|parameter| parameter.name == "v").unwrap();
        let passes: Vec<bool> = outputs[2 + at].iter().map(|gradient| *gradient != 0.0).collect();
        assert_eq!(passes, [false, true, true, true, false, false], "{dialect:?}: {:?}", outputs[2 + at]);
    }
}

#[test]
fn integers_that_something_else_reads_are_named() {
    let mut model = network(true);
    model.graph.nodes.retain(|node| node.op != "DequantizeLinear" || node.inputs[0] != "h.integers");
    let cast = Node::new("Cast", &["h.integers"], &["h.real"]);
    model
        .graph
        .nodes
        .insert(2, cast.with("to", Attribute::Int(goldcrest_onnx::proto::data_type::FLOAT.into())));
    model.graph.nodes.insert(0, Node::new("Gemm", &["image", "v"], &["x"]));
    model.graph.inputs = vec![ValueInfo::float("image", &[-1, 1])];
    model.graph.initializers.insert("v".into(), Tensor::f32(&[1, FEATURES], vec![1.0; FEATURES]));
    let error = gradient_graph(&model, &GraphOptions::default()).unwrap_err().to_string();
    assert!(error.contains("h.integers") && error.contains("DequantizeLinear"), "{error}");
}

/// Weights as whole numbers of steps: a parameter is what is divided, and rounding lets its gradient through.
#[test]
fn parameters_in_steps_of_their_grid_learn_where_they_are_not_cut() {
    let mut model = network(false);
    let graph = &mut model.graph;
    graph.nodes.pop();
    graph.nodes.extend([
        Node::new("Div", &["w", "scales"], &["steps"]),
        Node::new("Round", &["steps"], &["whole"]),
        Node::new("Clip", &["whole", "low", "high"], &["cut"]),
        Node::new("Mul", &["cut", "scales"], &["w.real"]),
        Node::new("Gemm", &["h", "w.real"], &["logits"]).with("transB", Attribute::Int(1)),
    ]);
    graph.initializers.insert("scales".into(), Tensor::f32(&[CLASSES, 1], SCALES.to_vec()));
    graph.initializers.insert("low".into(), Tensor::f32(&[], vec![-127.0]));
    graph.initializers.insert("high".into(), Tensor::f32(&[], vec![127.0]));
    for dialect in [Dialect::Training, Dialect::Standard] {
        let ours = gradient_graph(&model, &options(dialect)).unwrap();
        let plain = gradient_graph(&network(false), &options(dialect)).unwrap();
        assert_eq!(ours.parameters.len(), 1);
        let inputs = feeds(&ours.model, &ours.parameters, CLASSES as i64);
        let mut rounded = inputs.clone();
        for (at, weight) in floats(&mut rounded[2].1).iter_mut().enumerate() {
            *weight = grid(*weight, SCALES[at / FEATURES], 0.0, -127.0);
        }
        let [ours, mut theirs] = [(&ours.model, &inputs), (&plain.model, &rounded)]
            .map(|(model, inputs)| run(&mut session(model), inputs));
        for (at, gradient) in theirs[2].iter_mut().enumerate() {
            let inside = (weights()[at] / SCALES[at / FEATURES]).abs() <= 127.5;
            *gradient *= f64::from(u8::from(inside));
        }
        assert!(theirs[2].contains(&0.0) && theirs[2].iter().any(|gradient| *gradient != 0.0));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(distance(ours, theirs) < 1e-5, "{dialect:?}: {ours:?} {theirs:?}");
        }
    }
}
