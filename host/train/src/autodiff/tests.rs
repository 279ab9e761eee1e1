use goldcrest_engine::shape::Shape;
use goldcrest_onnx::{Attribute, Data, Graph, Node, ValueInfo};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gradient_check::{distance, run, session};
use super::*;
use crate::architecture::{self, Architecture};

mod fake_quantize;
mod lessons;

const BATCH: usize = 3;

/// Random images and labels, then the parameters of a graph, as its inputs are named.
fn feeds(model: &Model, parameters: &[Parameter], classes: i64) -> Vec<(String, Tensor)> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut images = vec![BATCH];
    for dimension in &model.graph.inputs[0].shape.as_ref().unwrap()[1..] {
        let goldcrest_onnx::Dimension::Fixed(size) = dimension else { panic!("{dimension:?}") };
        images.push(*size as usize);
    }
    let pixels = (0..images.iter().product()).map(|_| random.random_range(-1f32..1.0)).collect();
    let labels = (0..BATCH).map(|_| random.random_range(0..classes)).collect();
    let mut feeds = vec![
        (model.graph.inputs[0].name.clone(), Tensor::f32(&images, pixels)),
        (model.graph.inputs[1].name.clone(), Tensor::new(&[BATCH], Data::I64(labels))),
    ];
    feeds.extend(parameters.iter().map(|p| (p.name.clone(), p.initial.clone())));
    feeds
}

fn floats(tensor: &mut Tensor) -> &mut Vec<f32> {
    match &mut tensor.data {
        Data::F32(values) => values,
        other => panic!("{other:?}"),
    }
}

fn options(dialect: Dialect) -> GraphOptions {
    GraphOptions { dialect, ..GraphOptions::default() }
}

/// With tanh for Relu: one value within rounding of 0 may pass a gradient in one dialect and not in
/// the other, and deep networks have such values.
#[test]
fn dialects_agree_on_every_architecture() {
    for (name, _) in goldcrest_models::ARCHITECTURES {
        let mut model = architecture::load(name).unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
        for node in model.graph.nodes.iter_mut().filter(|node| node.op == "Relu") {
            node.op = "Tanh".into();
        }
        let results = [Dialect::Training, Dialect::Standard].map(|dialect| {
            let options = GraphOptions { label_smoothing: 0.1, ..options(dialect) };
            let graph = gradient_graph(&model, &options).unwrap();
            let outputs = run(&mut session(&graph.model), &feeds(&graph.model, &graph.parameters, 10));
            (graph, outputs)
        });
        let [(training, ours), (standard, theirs)] = &results;
        assert_eq!(training.eval_model, standard.eval_model);
        assert!(standard.model.domains.is_empty());
        assert_eq!(ours.len(), training.model.graph.outputs.len());
        for ((output, ours), theirs) in training.model.graph.outputs.iter().zip(ours).zip(theirs) {
            let distance = distance(ours, theirs);
            println!("{name} {}: {distance:.1e}", output.name);
            assert!(distance < 1e-4, "{name} {}: {distance}", output.name);
        }
    }
}

#[test]
fn a_layer_that_does_not_fit_is_named() {
    for (weights, shape, node, words) in [
        ("conv2.weight", [16usize, 5, 5, 5].to_vec(), "conv2", "6 channels"),
        ("linear2.weight", vec![84, 100], "linear2", "[120]"),
        ("linear3.bias", vec![7], "linear3", "[7]"),
    ] {
        let mut model = architecture::load("lenet5").unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
        let zeros = vec![0.0; shape.iter().product()];
        model.graph.initializers.insert(weights.into(), Tensor::f32(&shape, zeros));
        let error = training_graph(&model, &GraphOptions::default()).unwrap_err().to_string();
        assert!(error.contains(node) && error.contains(words), "{error}");
    }
}

/// A network of one matrix, whose gradient is that of the loss.
fn linear(classes: usize) -> Model {
    let text =
        "name = \"linear\"\nlayers = [\"flatten\", { linear = { features = \"$classes\", bias = false } }]";
    Architecture::parse("linear", text).unwrap().build(Shape::new(2, 1, 2), classes, 3).unwrap()
}

#[test]
fn gradient_of_the_loss_is_that_of_finite_differences() {
    for smoothing in [0.0, 0.2] {
        for dialect in [Dialect::Training, Dialect::Standard] {
            let graph =
                gradient_graph(&linear(4), &GraphOptions { label_smoothing: smoothing, ..options(dialect) })
                    .unwrap();
            let mut session = session(&graph.model);
            let mut feeds = feeds(&graph.model, &graph.parameters, 4);
            let found = run(&mut session, &feeds)[2].clone();
            let mut slopes = Vec::new();
            for element in 0..found.len() {
                let mut loss = |step: f32| {
                    floats(&mut feeds[2].1)[element] += step;
                    let loss = run(&mut session, &feeds)[0][0];
                    floats(&mut feeds[2].1)[element] -= step;
                    loss
                };
                slopes.push((loss(0.0625) - loss(-0.0625)) / 0.125);
            }
            let distance = distance(&found, &slopes);
            assert!(distance < 1e-3, "{dialect:?}, smoothing {smoothing}: {distance}");
        }
    }
}

#[test]
fn loss_is_that_of_its_definition() {
    for dialect in [Dialect::Training, Dialect::Standard] {
        let graph =
            gradient_graph(&linear(4), &GraphOptions { label_smoothing: 0.2, ..options(dialect) }).unwrap();
        let feeds = feeds(&graph.model, &graph.parameters, 4);
        let outputs = run(&mut session(&graph.model), &feeds);
        let labels = feeds[1].1.as_i64().unwrap();
        let mut expected = 0.0;
        for (scores, &label) in outputs[1].chunks(4).zip(labels) {
            let log_sum = scores.iter().map(|score| score.exp()).sum::<f64>().ln();
            let even: f64 = scores.iter().map(|score| log_sum - score).sum::<f64>() / 4.0;
            expected += (0.8 * (log_sum - scores[label as usize]) + 0.2 * even) / BATCH as f64;
        }
        assert!((outputs[0][0] - expected).abs() < 1e-5, "{dialect:?}: {} {expected}", outputs[0][0]);
    }
}

#[test]
fn evaluation_takes_the_same_parameters() {
    let model = architecture::load("lenet5").unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
    let update = Update::Momentum(Momentum::default());
    let graph = training_graph(&model, &GraphOptions { update, ..GraphOptions::default() }).unwrap();
    let names = |model: &Model| model.graph.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>();
    let (training, evaluation) = (names(&graph.training_model), names(&graph.eval_model));
    assert_eq!(training[..evaluation.len()], evaluation);
    assert_eq!(training[2], "conv1.weight");
    assert_eq!(training.last().unwrap(), "lazy_reset_grad");
    assert_eq!(graph.parameters.len(), 20);
    assert_eq!(training.len(), 2 + 20 + 10 + 1);
    assert_eq!(training[2 + 20], "conv1.weight_grad.accumulation.buffer");
    let outputs = run(&mut session(&graph.eval_model), &feeds(&graph.eval_model, &graph.parameters, 10));
    assert_eq!(outputs.iter().map(Vec::len).collect::<Vec<_>>(), [1, 10 * BATCH]);
}

/// Steps of `torch.optim.SGD` in double precision; the gradients come from the graph without momentum.
#[test]
fn momentum_follows_its_definition() {
    for (nesterov, decoupled) in [(false, false), (true, false), (false, true), (true, true)] {
        let momentum = Momentum { momentum: 0.9, nesterov, weight_decay: 0.1, decoupled, decay_all: false };
        let with = GraphOptions { update: Update::Momentum(momentum), ..GraphOptions::default() };
        let plain = gradient_graph(&linear(4), &GraphOptions::default()).unwrap();
        let graph = gradient_graph(&linear(4), &with).unwrap();
        assert_eq!(graph.parameters[1].name, "linear1.weight.mom");
        let (mut plain_session, mut session) = (session(&plain.model), session(&graph.model));
        let mut state = feeds(&graph.model, &graph.parameters, 4);
        let mut velocity = vec![0.0; 16];
        for _ in 0..3 {
            let gradient = run(&mut plain_session, &state[..3])[2].clone();
            let outputs = run(&mut session, &state);
            let weights: Vec<f64> = floats(&mut state[2].1).iter().map(|&w| f64::from(w)).collect();
            let mut direction = Vec::new();
            for element in 0..16 {
                let pull = 0.1 * weights[element];
                let g = gradient[element] + if decoupled { 0.0 } else { pull };
                velocity[element] = 0.9 * velocity[element] + g;
                let step = if nesterov { g + 0.9 * velocity[element] } else { velocity[element] };
                direction.push(step + if decoupled { pull } else { 0.0 });
            }
            assert!(distance(&outputs[2], &direction) < 1e-5, "{nesterov} {decoupled}");
            assert!(distance(&outputs[3], &velocity) < 1e-5, "{nesterov} {decoupled}");
            for (weight, direction) in floats(&mut state[2].1).iter_mut().zip(&outputs[2]) {
                *weight -= 0.5 * *direction as f32;
            }
            *floats(&mut state[3].1) = outputs[3].iter().map(|&v| v as f32).collect();
        }
    }
}

/// Steps of `torch.optim.AdamW` in double precision; the gradients come from the graph without it.
#[test]
fn adamw_follows_its_definition() {
    let adam = AdamW { beta_1: 0.8, beta_2: 0.95, epsilon: 1e-3, weight_decay: 0.1 };
    let with = GraphOptions { update: Update::AdamW(adam), ..GraphOptions::default() };
    let plain = gradient_graph(&linear(4), &GraphOptions::default()).unwrap();
    let graph = gradient_graph(&linear(4), &with).unwrap();
    let (mut plain_session, mut session) = (session(&plain.model), session(&graph.model));
    let mut state = feeds(&graph.model, &graph.parameters, 4);
    let (mut m, mut v) = (vec![0.0; 16], vec![0.0; 16]);
    for step in 1..=3 {
        let gradient = run(&mut plain_session, &state[..3])[2].clone();
        let outputs = run(&mut session, &state);
        let weights: Vec<f64> = floats(&mut state[2].1).iter().map(|&w| f64::from(w)).collect();
        let mut direction = Vec::new();
        for element in 0..16 {
            m[element] = 0.8 * m[element] + 0.2 * gradient[element];
            v[element] = 0.95 * v[element] + 0.05 * gradient[element].powi(2);
            let (mean, square) =
                (m[element] / (1.0 - 0.8f64.powi(step)), v[element] / (1.0 - 0.95f64.powi(step)));
            direction.push(mean / (square.sqrt() + 1e-3) + 0.1 * weights[element]);
        }
        assert!(distance(&outputs[2], &direction) < 1e-4, "step {step}");
        for (weight, direction) in floats(&mut state[2].1).iter_mut().zip(&outputs[2]) {
            *weight -= 0.1 * *direction as f32;
        }
        for (parameter, output) in state[3..].iter_mut().zip(&outputs[3..]) {
            *floats(&mut parameter.1) = output.iter().map(|&value| value as f32).collect();
        }
    }
}

#[test]
fn clipping_bounds_the_norm_over_all_parameters() {
    let model = architecture::load("lenet5").unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
    let norm = |clip_norm| {
        let graph = gradient_graph(&model, &GraphOptions { clip_norm, ..GraphOptions::default() }).unwrap();
        let outputs = run(&mut session(&graph.model), &feeds(&graph.model, &graph.parameters, 10));
        outputs[2..].iter().flatten().map(|g| g * g).sum::<f64>().sqrt()
    };
    let free = norm(None);
    assert!((norm(Some(0.1)) - 0.1).abs() < 1e-5);
    assert!((norm(Some(1e3)) - free).abs() < 1e-6 * free);
}

#[test]
fn frozen_parameters_have_no_gradient() {
    let model = architecture::load("lenet5").unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
    let frozen = vec!["conv".into(), "linear1".into()];
    let graph = gradient_graph(&model, &GraphOptions { frozen, ..GraphOptions::default() }).unwrap();
    let trainable: Vec<_> = graph.parameters.iter().filter(|p| p.is_trainable()).map(|p| &p.name).collect();
    assert_eq!(trainable, ["linear2.weight", "linear2.bias", "linear3.weight", "linear3.bias"]);
    assert!(graph.model.graph.nodes.iter().all(|node| node.op != "ConvGrad"));
    assert_eq!(graph.model.graph.outputs.len(), 6);
}

const NORMALIZED: &str = r#"
    name = "normalized"
    layers = [
        { conv = { channels = 3, kernel = 3, batch_norm = true } },
        { conv = { channels = 2, kernel = 1, batch_norm = true } },
        "global_average_pool",
        "flatten",
        { linear = { features = "$classes" } },
    ]
"#;

#[test]
fn frozen_normalization_uses_its_running_statistics() {
    let model =
        Architecture::parse("normalized", NORMALIZED).unwrap().build(Shape::new(6, 6, 2), 4, 1).unwrap();
    for dialect in [Dialect::Training, Dialect::Standard] {
        let graph =
            gradient_graph(&model, &GraphOptions { frozen: vec!["conv1".into()], ..options(dialect) })
                .unwrap();
        let role = |name: &str| graph.parameters.iter().find(|p| p.name == name).unwrap().role.clone();
        assert_eq!(role("conv1.norm.running_mean"), Role::Frozen);
        assert!(matches!(role("conv2.norm.running_mean"), Role::Computed { .. }));
        // The first normalization leaves statistics of (0, 1) as they are; inputs far from those
        // statistics therefore stay far.
        let mut inputs = feeds(&graph.model, &graph.parameters, 4);
        let logits = run(&mut session(&graph.model), &inputs)[1].clone();
        for parameter in inputs.iter_mut().filter(|(name, _)| name == "conv1.norm.running_mean") {
            floats(&mut parameter.1).fill(0.5);
        }
        assert!(distance(&run(&mut session(&graph.model), &inputs)[1], &logits) < 1e-4, "{dialect:?}");
        for parameter in inputs.iter_mut().filter(|(name, _)| name == "conv1.norm.running_var") {
            floats(&mut parameter.1)[0] = 9.0;
        }
        assert!(distance(&run(&mut session(&graph.model), &inputs)[1], &logits) > 1e-2, "{dialect:?}");
    }
}

#[test]
fn running_statistics_follow_their_definition() {
    let model =
        Architecture::parse("normalized", NORMALIZED).unwrap().build(Shape::new(6, 6, 2), 4, 1).unwrap();
    let graph = gradient_graph(&model, &GraphOptions::default()).unwrap();
    let inputs = feeds(&graph.model, &graph.parameters, 4);
    let outputs = run(&mut session(&graph.model), &inputs);
    let output = |name: &str| {
        let position = graph.model.graph.outputs.iter().position(|output| output.name == name).unwrap();
        outputs[position].clone()
    };
    // The convolution before the first normalization, in double precision.
    let (images, weights) = (inputs[0].1.as_f32().unwrap(), inputs[2].1.as_f32().unwrap());
    for channel in 0..3 {
        let mut values = Vec::new();
        for (image, row, column) in (0..BATCH).flat_map(|i| (0..16).map(move |p| (i, p / 4, p % 4))) {
            let product = |tap: usize| {
                let (plane, down, across) = (tap / 9, tap / 3 % 3, tap % 3);
                let pixel = images[((image * 2 + plane) * 6 + row + down) * 6 + column + across];
                f64::from(pixel) * f64::from(weights[channel * 18 + tap])
            };
            values.push((0..18).map(product).sum::<f64>());
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((output("conv1.norm.running_mean.next")[channel] - 0.1 * mean).abs() < 1e-6);
        assert!((output("conv1.norm.running_var.next")[channel] - 0.9 - 0.1 * variance).abs() < 1e-6);
    }
}

/// The training API feeds every tensor by reference, and the graph updates it there.
#[test]
fn a_training_step_updates_what_the_graph_computes() {
    let model =
        Architecture::parse("normalized", NORMALIZED).unwrap().build(Shape::new(6, 6, 2), 4, 1).unwrap();
    let with = GraphOptions { update: Update::Momentum(Momentum::default()), ..GraphOptions::default() };
    let plain = gradient_graph(&model, &with).unwrap();
    let graph = training_graph(&model, &with).unwrap();
    let inputs = feeds(&graph.training_model, &graph.parameters, 4);
    let outputs = run(&mut session(&plain.model), &inputs);

    let mut feeds = Vec::new();
    for input in &graph.training_model.graph.inputs {
        let given = inputs.iter().find(|(name, _)| *name == input.name).map(|(_, tensor)| tensor);
        feeds.push(match (given, &input.name[..]) {
            (Some(Tensor { shape, data: Data::I64(values) }), _) => {
                ort::value::Tensor::from_array((shape.clone(), values.clone())).unwrap().into_dyn()
            }
            (Some(tensor), _) => {
                let values = tensor.as_f32().unwrap().to_vec();
                ort::value::Tensor::from_array((tensor.shape.clone(), values)).unwrap().into_dyn()
            }
            (None, "lazy_reset_grad") => {
                ort::value::Tensor::from_array(([1usize], vec![true])).unwrap().into_dyn()
            }
            (None, buffer) => {
                let name = buffer.strip_suffix("_grad.accumulation.buffer").unwrap();
                let shape = &graph.parameters.iter().find(|p| p.name == name).unwrap().initial.shape;
                let zeros = vec![0f32; shape.iter().product()];
                ort::value::Tensor::from_array((shape.clone(), zeros)).unwrap().into_dyn()
            }
        });
    }
    let views: Vec<ort::session::SessionInputValue<'_>> = feeds.iter().map(|value| value.into()).collect();
    session(&graph.training_model).run(&views[..]).unwrap();
    for (parameter, expected) in graph.parameters.iter().zip(&outputs[2..]) {
        let name = match parameter.role {
            Role::Trainable { .. } => format!("{}_grad.accumulation.buffer", parameter.name),
            _ => parameter.name.clone(),
        };
        let position = graph.training_model.graph.inputs.iter().position(|input| input.name == name).unwrap();
        let (_, values) = feeds[position].try_extract_tensor::<f32>().unwrap();
        let left: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        assert!(distance(&left, expected) < 1e-6, "{name}");
    }
}

#[test]
fn a_training_step_leaves_its_gradients_in_the_buffers() {
    let graph = training_graph(&linear(4), &GraphOptions::default()).unwrap();
    let plain = gradient_graph(&linear(4), &GraphOptions::default()).unwrap();
    let values = feeds(&graph.training_model, &graph.parameters, 4);
    let gradient = run(&mut session(&plain.model), &values)[2].clone();

    let mut session = session(&graph.training_model);
    let float = |tensor: &Tensor| {
        ort::value::Tensor::from_array((tensor.shape.clone(), tensor.as_f32().unwrap().to_vec())).unwrap()
    };
    let (images, weights) = (float(&values[0].1), float(&values[2].1));
    let labels = values[1].1.as_i64().unwrap().to_vec();
    let labels = ort::value::Tensor::from_array((vec![BATCH], labels)).unwrap();
    let buffer = ort::value::Tensor::from_array((vec![4usize, 4], vec![7f32; 16])).unwrap();
    for (reset, times) in [(true, 1.0), (false, 2.0), (false, 3.0), (true, 1.0)] {
        let reset = ort::value::Tensor::from_array((vec![1usize], vec![reset])).unwrap();
        session.run(ort::inputs![&images, &labels, &weights, &buffer, &reset]).unwrap();
        let left: Vec<f64> = buffer.extract_tensor().1.iter().map(|&v| f64::from(v)).collect();
        let expected: Vec<f64> = gradient.iter().map(|g| g * times).collect();
        assert!(distance(&left, &expected) < 1e-5, "{times}");
    }
}

fn graph_of(nodes: Vec<Node>, constants: &[(&str, Tensor)], output: &str) -> Model {
    let graph = Graph {
        nodes,
        inputs: vec![ValueInfo::float("x", &[-1, 3, 4, 4])],
        outputs: vec![ValueInfo::float(output, &[])],
        initializers: constants.iter().map(|(name, tensor)| ((*name).into(), tensor.clone())).collect(),
        ..Graph::default()
    };
    Model { graph, opset: 17, ..Model::default() }
}

fn gemm(input: &str) -> Node {
    Node::new("Gemm", &[input, "w"], &["logits"])
}

fn weights(rows: usize) -> (&'static str, Tensor) {
    ("w", Tensor::f32(&[rows, 5], vec![0.1; rows * 5]))
}

#[test]
fn wrong_models_are_refused_with_the_reason() {
    let flatten = |from: &str| Node::new("Flatten", &[from], &["f"]);
    let refused = |model: &Model| gradient_graph(model, &GraphOptions::default()).unwrap_err().to_string();
    let good = graph_of(vec![flatten("x"), gemm("f")], &[weights(48)], "logits");
    gradient_graph(&good, &GraphOptions::default()).unwrap();

    let conv = Node::new("Conv", &["x", "k"], &["c"]);
    let kernel = ("k", Tensor::f32(&[3, 3, 1, 1], vec![0.1; 9]));
    let einsum = Node::new("Einsum", &["c"], &["e"]);
    let model = graph_of(vec![conv, einsum, flatten("e"), gemm("f")], &[weights(48), kernel], "logits");
    let error = refused(&model);
    assert!(error.contains("`e`") && error.contains("Einsum"), "{error}");

    let error = refused(&graph_of(vec![flatten("x"), gemm("f")], &[weights(47)], "logits"));
    assert!(error.contains("node `logits` (Gemm)") && error.contains("47"), "{error}");

    let softmax = Node::new("Softmax", &["logits"], &["p"]).with("axis", Attribute::Int(1));
    let error = refused(&graph_of(vec![flatten("x"), gemm("f"), softmax], &[weights(48)], "p"));
    assert!(error.contains("softmax itself"), "{error}");

    let error = refused(&graph_of(vec![Node::new("Relu", &["x"], &["y"])], &[], "y"));
    assert!(error.contains("[N, 3, 4, 4], logits are [N, classes]"), "{error}");

    let error = refused(&Model { opset: 9, ..good.clone() });
    assert!(error.contains("opset 9"), "{error}");

    let option = |options: GraphOptions| gradient_graph(&good, &options).unwrap_err().to_string();
    assert!(
        option(GraphOptions { frozen: vec!["w".into()], ..GraphOptions::default() })
            .contains("no parameter is left")
    );
    assert!(option(GraphOptions { frozen: vec!["z".into()], ..GraphOptions::default() }).contains("`z`"));
    assert!(
        option(GraphOptions { label_smoothing: 1.0, ..GraphOptions::default() })
            .contains("label_smoothing = 1")
    );
    assert!(
        option(GraphOptions { clip_norm: Some(f32::NAN), ..GraphOptions::default() })
            .contains("clip_norm = NaN")
    );
}

/// The logits of a model and its trainable parameters, after normalization.
fn trained_form(model: &Model) -> (Vec<f64>, Vec<String>) {
    let graph = gradient_graph(model, &GraphOptions::default()).unwrap();
    assert_eq!(graph.forward_model.opset, 17);
    let inputs = feeds(&graph.model, &graph.parameters, 5);
    let outputs = run(&mut session(&graph.model), &inputs);
    assert_eq!(run(&mut session(&graph.forward_model), &inputs[..1]), outputs[1..2]);
    let names = graph.parameters.iter().filter(|p| p.is_trainable()).map(|p| p.name.clone()).collect();
    (outputs[1].clone(), names)
}

#[test]
fn forms_of_exporters_are_the_same_network() {
    let flatten = Node::new("Flatten", &["x"], &["f"]);
    let plain = graph_of(vec![flatten, gemm("f")], &[weights(48)], "logits");
    let (expected, names) = trained_form(&plain);
    assert_eq!(names, ["w"]);

    // A fixed batch, constants as nodes, shared parameters behind an identity.
    let shape = Attribute::Tensor(Tensor::i64s(&[1, 48]));
    let nodes = vec![
        Node::new("Constant", &[], &["shape"]).with("value", shape),
        Node::new("Identity", &["w"], &["shared"]),
        Node::new("Reshape", &["x", "shape"], &["f"]),
        Node::new("Gemm", &["f", "shared"], &["logits"]),
        Node::new("Relu", &["f"], &["dead"]),
    ];
    let mut fixed = graph_of(nodes, &[weights(48)], "logits");
    fixed.graph.inputs = vec![ValueInfo::float("x", &[1, 3, 4, 4])];
    assert_eq!(trained_form(&fixed), (expected.clone(), vec!["w".into()]));

    // PyTorch's `x.view(x.size(0), -1)`.
    let nodes = vec![
        Node::new("Shape", &["x"], &["sizes"]),
        Node::new("Gather", &["sizes", "zero"], &["batch"]),
        Node::new("Unsqueeze", &["batch", "first"], &["row"]),
        Node::new("Concat", &["row", "open"], &["shape"]).with("axis", Attribute::Int(0)),
        Node::new("Reshape", &["x", "shape"], &["f"]),
        gemm("f"),
    ];
    let zero = ("zero", Tensor::new(&[], Data::I64(vec![0])));
    let constants = [weights(48), zero, ("first", Tensor::i64s(&[0])), ("open", Tensor::i64s(&[-1]))];
    assert_eq!(trained_form(&graph_of(nodes, &constants, "logits")).0, expected);
}

#[test]
fn other_operator_sets_are_the_same_network() {
    let nodes = |pads: &[&str], mean: Node, squeeze: Node| {
        let pad = Node::new("Pad", &[&["x"], pads].concat(), &["p"]);
        vec![pad, mean, squeeze, Node::new("Gemm", &["s", "w"], &["logits"])]
    };
    let axes = |op: &str, input: &str, output: &str, axes: &[i64]| {
        Node::new(op, &[input], &[output]).with("axes", Attribute::Ints(axes.to_vec()))
    };
    let mean_then = |mean: Node| mean.with("keepdims", Attribute::Int(1));
    let constants = [
        weights(3),
        ("pads", Tensor::i64s(&[0, 0, 1, 0, 0, 0, 0, 2])),
        ("pads_of_axes", Tensor::i64s(&[0, 1, 2, 0])),
        ("pad_axes", Tensor::i64s(&[-1, 2])),
        ("axes", Tensor::i64s(&[2, 3])),
    ];
    let of_17 = nodes(
        &["pads"],
        mean_then(axes("ReduceMean", "p", "m", &[2, 3])),
        Node::new("Squeeze", &["m", "axes"], &["s"]),
    );
    let expected = trained_form(&graph_of(of_17, &constants, "logits"));

    let of_11 = nodes(
        &["pads"],
        mean_then(axes("ReduceMean", "p", "m", &[2, 3])),
        axes("Squeeze", "m", "s", &[2, 3]),
    );
    let model = Model { opset: 11, ..graph_of(of_11, &constants, "logits") };
    assert_eq!(trained_form(&model), expected);

    let mean = mean_then(Node::new("ReduceMean", &["p", "axes"], &["m"]));
    let of_18 = nodes(&["pads_of_axes", "", "pad_axes"], mean, Node::new("Squeeze", &["m", "axes"], &["s"]));
    let model = Model { opset: 18, ..graph_of(of_18, &constants, "logits") };
    assert_eq!(trained_form(&model), expected);
}

/// Operators and attributes to put in the wrong place.
const OPERATORS: [&str; 14] = [
    "Add",
    "Mul",
    "Div",
    "Relu",
    "Conv",
    "Gemm",
    "MatMul",
    "MaxPool",
    "AveragePool",
    "Concat",
    "Reshape",
    "Dropout",
    "BatchNormalization",
    "Transpose",
];
const ATTRIBUTES: [&str; 8] =
    ["pads", "strides", "dilations", "kernel_shape", "group", "axis", "perm", "transB"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Damaged models are refused, or still are models; never a panic.
    #[test]
    fn damaged_models_do_not_panic(
        name in prop::sample::select(vec!["lenet5", "resnet8", "dscnn"]),
        damages in prop::collection::vec(
            (0..8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), -2i64..6), 1..4
        ),
    ) {
        let mut model = architecture::load(name).unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
        for (kind, at, part, number) in damages {
            let count = model.graph.nodes.len();
            if count == 0 {
                break;
            }
            let place = at.index(count);
            let node = &mut model.graph.nodes[place];
            match kind {
                0 if !node.inputs.is_empty() => drop(node.inputs.remove(part.index(node.inputs.len()))),
                1 if !node.outputs.is_empty() => drop(node.outputs.remove(part.index(node.outputs.len()))),
                2 => node.op = (*part.get(&OPERATORS)).into(),
                3 => drop(node.attributes.insert((*part.get(&ATTRIBUTES)).into(), Attribute::Int(number))),
                4 => {
                    let values = vec![number; part.index(6)];
                    node.attributes.insert((*part.get(&ATTRIBUTES)).into(), Attribute::Ints(values));
                }
                5 => model.graph.nodes.swap(place, part.index(count)),
                6 => drop(model.graph.nodes.remove(place)),
                _ => {
                    let other = part.index(model.graph.initializers.len());
                    if let Some(tensor) = model.graph.initializers.values_mut().nth(other) {
                        *tensor = Tensor::f32(&[2, 3], vec![0.0; 6]);
                    }
                }
            }
        }
        for dialect in [Dialect::Training, Dialect::Standard] {
            let _ = training_graph(&model, &options(dialect));
        }
    }
}
