//! A training step against a plain reference: softmax regression with momentum in a dozen lines of
//! Rust, compared with the same network as training artifacts.

use std::collections::BTreeMap;

use goldcrest_onnx::proto::data_type::{BOOL, FLOAT, INT64};
use goldcrest_onnx::{Attribute, Data, Dimension, Graph, Model, Node, Tensor, ValueInfo};

use super::api_session::ApiSession;
use super::checkpoint::State;
use super::optimizer::{MICROSOFT, OPSET};
use super::session::{Feed, Lessons, Session as _};

const FEATURES: usize = 3;
const CLASSES: usize = 4;
const MOMENTUM: f32 = 0.9;

fn value(name: &str, element: i32, shape: &[i64]) -> ValueInfo {
    let dimension =
        |&dim: &i64| if dim < 0 { Dimension::Named("batch".into()) } else { Dimension::Fixed(dim) };
    ValueInfo {
        name: name.into(),
        element,
        shape: Some(shape.iter().map(dimension).collect()),
        sequence: false,
    }
}

const PARAMETERS: [(&str, &[i64]); 2] = [("w", &[FEATURES as i64, CLASSES as i64]), ("b", &[CLASSES as i64])];

/// Forward pass and loss of `logits = x w + b`.
fn evaluation() -> Model {
    let mut inputs = vec![value("input", FLOAT, &[-1, FEATURES as i64]), value("labels", INT64, &[-1])];
    inputs.extend(PARAMETERS.map(|(name, shape)| value(name, FLOAT, shape)));
    inputs.extend(PARAMETERS.map(|(name, shape)| value(&format!("{name}.mom"), FLOAT, shape)));
    Model {
        graph: Graph {
            name: "evaluation".into(),
            nodes: vec![
                Node::new("Gemm", &["input", "w", "b"], &["logits"]),
                Node::new("SoftmaxCrossEntropyLoss", &["logits", "labels"], &["loss", "log_prob"]),
            ],
            inputs,
            outputs: vec![value("loss", FLOAT, &[]), value("logits", FLOAT, &[-1, CLASSES as i64])],
            ..Graph::default()
        },
        opset: OPSET,
        domains: vec![(MICROSOFT.into(), 1)],
        ..Model::default()
    }
}

/// The evaluation graph with gradients, momentum and accumulation.
fn training() -> Model {
    let mut model = evaluation();
    let graph = &mut model.graph;
    graph.name = "training".into();
    let constants = [
        ("one", Tensor::f32(&[], vec![1.0])),
        ("mu", Tensor::f32(&[], vec![MOMENTUM])),
        ("overwrite", Tensor::new(&[1], Data::Bool(vec![true]))),
        ("rows", Tensor::i64s(&[0])),
    ];
    graph.initializers = constants.map(|(name, tensor)| (name.to_owned(), tensor)).into();
    graph.nodes.extend([
        Node::new("SoftmaxCrossEntropyLossGrad", &["one", "log_prob", "labels"], &["logits_grad"])
            .in_domain(MICROSOFT)
            .with("reduction", Attribute::String("mean".into())),
        Node::new("Gemm", &["input", "logits_grad"], &["w_grad"]).with("transA", Attribute::Int(1)),
        Node::new("ReduceSum", &["logits_grad", "rows"], &["b_grad"]).with("keepdims", Attribute::Int(0)),
    ]);
    for (name, shape) in PARAMETERS {
        let [gradient, moment, decayed, direction, buffer] = [
            format!("{name}_grad"),
            format!("{name}.mom"),
            format!("{name}.decayed"),
            format!("{name}.direction"),
            format!("{name}_grad.accumulation.buffer"),
        ];
        graph.nodes.extend([
            Node::new("Mul", &[&moment, "mu"], &[&decayed]),
            Node::new("Add", &[&decayed, &gradient], &[&direction]),
            Node::new(
                "InPlaceAccumulatorV2",
                &[&moment, &direction, "overwrite"],
                &[&format!("{name}.kept")],
            )
            .in_domain(MICROSOFT),
            Node::new(
                "InPlaceAccumulatorV2",
                &[&buffer, &direction, "lazy_reset_grad"],
                &[&format!("{name}_grad.accumulation.out")],
            )
            .in_domain(MICROSOFT),
        ]);
        graph.inputs.push(value(&buffer, FLOAT, shape));
        for name in [&gradient, &decayed, &direction] {
            graph.values.push(value(name, FLOAT, shape));
        }
    }
    graph.inputs.push(value("lazy_reset_grad", BOOL, &[1]));
    graph.values.push(value("logits_grad", FLOAT, &[-1, CLASSES as i64]));
    model
}

/// Softmax regression by hand, in doubles.
struct Reference {
    w: Vec<f64>,
    b: Vec<f64>,
    w_mom: Vec<f64>,
    b_mom: Vec<f64>,
}

impl Reference {
    fn step(&mut self, images: &[f32], labels: &[i64], rate: f64) -> f64 {
        let (mut loss, mut w_grad, mut b_grad) = (0.0, vec![0.0; self.w.len()], vec![0.0; self.b.len()]);
        for (x, &label) in images.chunks(FEATURES).zip(labels) {
            let logits: Vec<f64> = (0..CLASSES)
                .map(|c| {
                    self.b[c] + (0..FEATURES).map(|f| f64::from(x[f]) * self.w[f * CLASSES + c]).sum::<f64>()
                })
                .collect();
            let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
            loss -= (logits[label as usize].exp() / total).ln();
            for c in 0..CLASSES {
                let difference = logits[c].exp() / total - f64::from(u8::from(c == label as usize));
                b_grad[c] += difference / labels.len() as f64;
                for f in 0..FEATURES {
                    w_grad[f * CLASSES + c] += difference * f64::from(x[f]) / labels.len() as f64;
                }
            }
        }
        let parameters = [(&mut self.w, &mut self.w_mom, w_grad), (&mut self.b, &mut self.b_mom, b_grad)];
        for (values, moments, gradients) in parameters {
            for ((value, moment), gradient) in values.iter_mut().zip(moments).zip(gradients) {
                *moment = f64::from(MOMENTUM) * *moment + gradient;
                *value -= rate * *moment;
            }
        }
        loss / labels.len() as f64
    }
}

/// Numbers in -1..1 without structure.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn initial() -> State {
    let parameter = |name: &str, seed| {
        let shape: Vec<usize> =
            PARAMETERS.iter().find(|(p, _)| *p == name).unwrap().1.iter().map(|&dim| dim as usize).collect();
        let count = shape.iter().product();
        Tensor::f32(&shape, if seed == 0 { vec![0.0; count] } else { numbers(count, seed) })
    };
    State {
        trainable: BTreeMap::from([("w".into(), parameter("w", 1)), ("b".into(), parameter("b", 2))]),
        frozen: BTreeMap::from([("w.mom".into(), parameter("w", 0)), ("b.mom".into(), parameter("b", 0))]),
        properties: BTreeMap::new(),
    }
}

fn open(state: State) -> ApiSession {
    goldcrest_prove::runtime::load(&Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    ApiSession::new(folder.path(), &training(), &evaluation(), state, 1).unwrap()
}

/// Batch `index`: images of `size` samples and their labels.
fn batch(index: u64, size: usize) -> (Vec<f32>, Vec<i64>) {
    let labels =
        numbers(size, 1000 + index).into_iter().map(|x| (x.abs() * CLASSES as f32) as i64 % CLASSES as i64);
    (numbers(size * FEATURES, 100 + index), labels.collect())
}

fn feed<'a>(shape: &'a [usize], batch: &'a (Vec<f32>, Vec<i64>)) -> Feed<'a> {
    Feed { shape, images: &batch.0, labels: &batch.1, lessons: Lessons::default() }
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    tensor.as_f32().unwrap().iter().copied().map(f64::from).collect()
}

#[test]
fn steps_with_momentum_equal_the_reference() {
    let state = initial();
    let mut reference = Reference {
        w: doubles(&state.trainable["w"]),
        b: doubles(&state.trainable["b"]),
        w_mom: doubles(&state.frozen["w.mom"]),
        b_mom: doubles(&state.frozen["b.mom"]),
    };
    let mut session = open(state);
    for index in 0..20 {
        // The last batch of an epoch is smaller.
        let size = if index % 5 == 4 { 3 } else { 8 };
        let (batch, rate) = (batch(index, size), 0.5 / (index + 1) as f32);
        let answer = session.step(feed(&[size, FEATURES], &batch), rate).unwrap();
        let loss = reference.step(&batch.0, &batch.1, rate.into());
        assert!((f64::from(answer.loss) - loss).abs() < 1e-5, "step {index}: {} and {loss}", answer.loss);
    }
    let state = session.state().unwrap();
    for (name, expected) in
        [("w", &reference.w), ("b", &reference.b), ("w.mom", &reference.w_mom), ("b.mom", &reference.b_mom)]
    {
        let found = doubles(state.parameter(name).unwrap());
        let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-5, "{name}: largest difference {error}");
    }
    // Had nothing moved, the comparison above would prove little.
    assert!(doubles(&state.trainable["w"])[0] != doubles(&initial().trainable["w"])[0]);
}

#[test]
fn a_session_over_a_saved_state_continues_bit_for_bit() {
    let mut whole = open(initial());
    let mut first = open(initial());
    let shape = [8, FEATURES];
    for index in 0..4 {
        whole.step(feed(&shape, &batch(index, 8)), 0.1).unwrap();
        first.step(feed(&shape, &batch(index, 8)), 0.1).unwrap();
    }
    let saved = State::decode(&first.state().unwrap().encode().unwrap()).unwrap();
    let mut second = open(saved);
    for index in 4..8 {
        whole.step(feed(&shape, &batch(index, 8)), 0.1).unwrap();
        second.step(feed(&shape, &batch(index, 8)), 0.1).unwrap();
    }
    assert_eq!(whole.state().unwrap(), second.state().unwrap());
}

#[test]
fn evaluation_counts_hits_and_changes_nothing() {
    let mut session = open(initial());
    let (images, _) = batch(0, 8);
    let state = initial();
    let (w, b) = (doubles(&state.trainable["w"]), doubles(&state.trainable["b"]));
    let labels: Vec<i64> = images
        .chunks(FEATURES)
        .map(|x| {
            let logit =
                |c: usize| b[c] + (0..FEATURES).map(|f| f64::from(x[f]) * w[f * CLASSES + c]).sum::<f64>();
            (0..CLASSES).max_by(|&a, &b| logit(a).total_cmp(&logit(b))).unwrap() as i64
        })
        .collect();
    let (shape, lessons) = ([8, FEATURES], Lessons::default());
    let right = session.evaluate(Feed { shape: &shape, images: &images, labels: &labels, lessons }).unwrap();
    assert_eq!(right.correct(&labels), 8);
    let others: Vec<i64> = labels.iter().map(|label| (label + 1) % CLASSES as i64).collect();
    let wrong = session.evaluate(Feed { shape: &shape, images: &images, labels: &others, lessons }).unwrap();
    assert_eq!(wrong.correct(&others), 0);
    assert!(wrong.loss > right.loss);
    assert_eq!(session.state().unwrap(), state);
}

#[test]
fn a_batch_of_the_wrong_shape_is_an_error() {
    let mut session = open(initial());
    let batch = batch(0, 8);
    let error = session.step(feed(&[6, 4], &batch), 0.1).unwrap_err();
    assert!(error.to_string().contains("training on a batch"), "{error}");
}
