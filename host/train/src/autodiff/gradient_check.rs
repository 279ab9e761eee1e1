//! Gradients checked where they run: each rule in ONNX Runtime, in both dialects, against central
//! finite differences and against each other.
//!
//! One node is differentiated on its own. Its output `y` is projected on random numbers `dy`, so
//! that the gradient of `sum(y * dy)` is what the rule makes of `dy`. The sum is taken in double
//! precision, and differences are extrapolated from two steps (Richardson), so that the rounding of
//! a float32 forward pass is what limits the comparison.

use std::collections::{BTreeMap, BTreeSet};

use goldcrest_onnx::{Data, Graph, Model, Node, Tensor, ValueInfo};
use goldcrest_prove::runtime;
use ort::session::{Session, SessionInputValue};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::function::{forward_pass, reverse_pass};
use super::tape::Tape;
use super::{AutodiffError, Dialect};
use crate::operators;

/// Largest difference from finite differences, as a part of the largest gradient.
const AGAINST_DIFFERENCES: f64 = 1e-3;
/// Largest difference between the dialects, as a part of the largest gradient.
const AGAINST_DIALECT: f64 = 1e-4;

/// One node to check, with its inputs.
pub(super) struct GradientCheck {
    node: Node,
    inputs: Vec<(String, Tensor)>,
    constants: BTreeMap<String, Tensor>,
    random: ChaCha8Rng,
    step: f32,
}

impl GradientCheck {
    /// A check of a node whose output is `y`.
    pub fn of(node: Node) -> Self {
        let random = ChaCha8Rng::seed_from_u64(1);
        Self { node, inputs: Vec::new(), constants: BTreeMap::new(), random, step: 0.02 }
    }

    /// A differentiable input with values in `-2..2`.
    pub fn input(self, name: &str, shape: &[usize]) -> Self {
        self.input_clear_of(name, shape, &[])
    }

    /// A differentiable input with values in `-2..2`, none near one of `kinks`, where the operator has no
    /// derivative.
    pub fn input_clear_of(mut self, name: &str, shape: &[usize], kinks: &[f32]) -> Self {
        let mut draw = || loop {
            let value = self.random.random_range(-2f32..2.0);
            if kinks.iter().all(|kink| (value - kink).abs() > 4.0 * self.step) {
                return value;
            }
        };
        let values = (0..shape.iter().product()).map(|_| draw()).collect();
        self.inputs.push((name.into(), Tensor::f32(shape, values)));
        self
    }

    /// A differentiable input whose values all differ by more than finite differences move them.
    pub fn distinct_input(mut self, name: &str, shape: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        let mut values: Vec<f32> = (0..count).map(|rank| (rank as f32 - count as f32 / 2.0) * 0.1).collect();
        for last in (1..count).rev() {
            values.swap(last, self.random.random_range(0..=last));
        }
        self.inputs.push((name.into(), Tensor::f32(shape, values)));
        self
    }

    /// A differentiable input with these values.
    pub fn input_of(mut self, name: &str, tensor: Tensor) -> Self {
        self.inputs.push((name.into(), tensor));
        self
    }

    /// A constant input.
    pub fn constant(mut self, name: &str, tensor: Tensor) -> Self {
        self.constants.insert(name.into(), tensor);
        self
    }

    /// Compares; panics with the largest differences when they are too large.
    pub fn run(mut self) {
        let names: Vec<String> = self.inputs.iter().map(|(name, _)| name.clone()).collect();
        let standard = self.gradients(Dialect::Standard);
        let training = self.gradients(Dialect::Training);
        let differences = self.differences();
        for (index, name) in names.iter().enumerate() {
            let title = format!("{} {name}", self.node.op);
            for (dialect, gradient) in [("standard", &standard[index]), ("training", &training[index])] {
                let error = distance(gradient, &differences[index]);
                println!("{title}: {dialect} against finite differences {error:.1e}");
                assert!(
                    error < AGAINST_DIFFERENCES,
                    "{title}, {dialect}: {gradient:?} {:?}",
                    differences[index]
                );
            }
            let error = distance(&standard[index], &training[index]);
            println!("{title}: standard against training {error:.1e}");
            assert!(error < AGAINST_DIALECT, "{title}: {:?} {:?}", standard[index], training[index]);
        }
    }

    /// One run of a node with one input: `x`, `y`, `dy`, `dx`.
    pub fn one_run(self, dialect: Dialect) -> [Vec<f64>; 4] {
        let mut model = self.pullback(dialect).unwrap();
        let y = &self.node.outputs[0];
        let (at, _) = model.graph.values.iter().enumerate().find(|(_, info)| info.name == *y).unwrap();
        let info = model.graph.values.remove(at);
        model.graph.outputs.push(info);
        let doubles = |tensor: &Tensor| tensor.as_f32().unwrap().iter().map(|&v| f64::from(v)).collect();
        let (x, dy) = (self.inputs[0].clone(), self.projection());
        let (x_values, dy_values) = (doubles(&x.1), doubles(&dy));
        let mut outputs = run(&mut session(&model), &[x, ("dy".into(), dy)]);
        let (y, dx) = (outputs.pop().unwrap(), outputs.pop().unwrap());
        [x_values, y, dy_values, dx]
    }

    /// The gradients of all inputs in one dialect.
    fn gradients(&mut self, dialect: Dialect) -> Vec<Vec<f64>> {
        let model = self.pullback(dialect).unwrap();
        let dy = self.projection();
        let mut feeds = self.inputs.clone();
        feeds.push(("dy".into(), dy));
        run(&mut session(&model), &feeds)
    }

    /// A graph from the inputs and `dy` to the gradients of the inputs.
    fn pullback(&self, dialect: Dialect) -> Result<Model, AutodiffError> {
        let mut graph = self.forward_graph();
        let y = self.node.outputs[0].clone();
        let r#type = goldcrest_onnx::shape_inference::Types::infer(&graph)?.get(&y).unwrap().clone();
        graph.inputs.push(r#type.info("dy"));
        let names: BTreeSet<String> = self.inputs.iter().map(|(name, _)| name.clone()).collect();
        let mut tape = Tape::new(dialect, &graph, &BTreeSet::new(), names, 1)?;
        forward_pass(&mut tape, &graph.nodes)?;
        tape.add_gradient(&y, "dy".into())?;
        reverse_pass(&mut tape, &graph.nodes)?;
        let mut outputs = Vec::new();
        for (name, _) in &self.inputs {
            let gradient = tape.gradient(name)?.unwrap_or_else(|| panic!("no gradient of {name}"));
            outputs.push(tape.op("Identity", &[&gradient])?);
        }
        graph.outputs = outputs.iter().map(|output| tape.type_of(output).unwrap().info(output)).collect();
        graph.values = tape.values()?;
        graph.values.retain(|info| !outputs.contains(&info.name));
        graph.initializers = BTreeMap::new();
        // What training would keep between steps.
        graph.initializers.extend(tape.counter().map(|counter| (counter.name, counter.initial)));
        graph.initializers.append(&mut tape.constants);
        graph.nodes = tape.nodes;
        let domains = ["com.microsoft", operators::DOMAIN].map(|domain| (domain.to_owned(), 1)).to_vec();
        Ok(Model { graph, opset: 17, domains, ..Model::default() })
    }

    /// The node alone.
    fn forward_graph(&self) -> Graph {
        let mut graph = Graph { nodes: vec![self.node.clone()], ..Graph::default() };
        for (name, tensor) in &self.inputs {
            let shape: Vec<i64> = tensor.shape.iter().map(|&size| size as i64).collect();
            graph.inputs.push(ValueInfo::float(name, &shape));
        }
        graph.initializers = self.constants.clone();
        graph
    }

    fn projection(&self) -> Tensor {
        let graph = self.forward_graph();
        let types = goldcrest_onnx::shape_inference::Types::infer(&graph).unwrap();
        let r#type = types.get(&self.node.outputs[0]).unwrap();
        let shape: Vec<usize> = (0..r#type.shape.len()).map(|axis| r#type.fixed(axis).unwrap()).collect();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let values = (0..shape.iter().product()).map(|_| random.random_range(-1f32..1.0)).collect();
        Tensor::f32(&shape, values)
    }

    /// The gradients of all inputs by central differences.
    fn differences(&mut self) -> Vec<Vec<f64>> {
        let mut graph = self.forward_graph();
        let names = self.inputs.iter().map(|(name, _)| name.clone()).collect();
        let mut tape = Tape::new(Dialect::Standard, &graph, &BTreeSet::new(), names, 1).unwrap();
        forward_pass(&mut tape, &graph.nodes).unwrap();
        let y = &self.node.outputs[0];
        graph.outputs = vec![tape.type_of(y).unwrap().info(y)];
        graph.initializers = tape.constants;
        graph.nodes = tape.nodes;
        let mut session = session(&Model { graph, opset: 17, ..Model::default() });
        let Data::F32(dy) = self.projection().data else { unreachable!() };
        let mut feeds = self.inputs.clone();
        let mut gradients = Vec::new();
        for index in 0..feeds.len() {
            let mut gradient = Vec::new();
            for element in 0..feeds[index].1.data.len() {
                let mut at = |step: f32| {
                    let Data::F32(values) = &mut feeds[index].1.data else { unreachable!() };
                    let value = values[element];
                    values[element] = value + step;
                    // The step that was really taken, after rounding.
                    let taken = f64::from(values[element]) - f64::from(value);
                    let y = &run(&mut session, &feeds)[0];
                    let Data::F32(values) = &mut feeds[index].1.data else { unreachable!() };
                    values[element] = value;
                    (y.iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum::<f64>(), taken)
                };
                let mut slope = |step: f32| {
                    let ((above, up), (below, down)) = (at(step), at(-step));
                    (above - below) / (up - down)
                };
                let (near, far) = (slope(self.step), slope(2.0 * self.step));
                gradient.push((4.0 * near - far) / 3.0);
            }
            gradients.push(gradient);
        }
        gradients
    }
}

/// The largest difference as a part of the largest value.
pub(super) fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-6, |largest: f64, value| largest.max(value.abs()));
    let difference = |(found, expected): (&f64, &f64)| (found - expected).abs();
    // A NaN is as far away as can be.
    found.iter().zip(expected).map(difference).fold(0.0, |worst, d| if d <= worst { worst } else { d })
        / largest
}

/// A session of the training runtime.
pub(super) fn session(model: &Model) -> Session {
    if let Err(error) = runtime::load(&runtime::Choice::default()) {
        panic!("gradients are checked in ONNX Runtime, which did not load: {error}");
    }
    let builder = operators::register(runtime::session().unwrap()).unwrap();
    let mut builder = builder.with_intra_threads(1).unwrap();
    let _one = operators::one_at_a_time();
    builder.commit_from_memory(&model.encode()).unwrap_or_else(|error| panic!("{error}\n{}", listing(model)))
}

fn listing(model: &Model) -> String {
    let nodes = model.graph.nodes.iter();
    nodes.map(|node| format!("{:?} = {} {:?}\n", node.outputs, node.op, node.inputs)).collect()
}

/// All float outputs of a model.
pub(super) fn run(session: &mut Session, feeds: &[(String, Tensor)]) -> Vec<Vec<f64>> {
    let value = |tensor: &Tensor| -> SessionInputValue<'static> {
        let shape = tensor.shape.clone();
        match &tensor.data {
            Data::F32(values) => ort::value::Tensor::from_array((shape, values.clone())).unwrap().into(),
            Data::I64(values) => ort::value::Tensor::from_array((shape, values.clone())).unwrap().into(),
            Data::Bool(values) => ort::value::Tensor::from_array((shape, values.clone())).unwrap().into(),
            other => panic!("no input of {other:?}"),
        }
    };
    let feeds: Vec<(String, SessionInputValue<'_>)> =
        feeds.iter().map(|(name, tensor)| (name.clone(), value(tensor))).collect();
    let outputs = session.run(feeds).unwrap();
    let floats = outputs.values().filter_map(|output| {
        output
            .try_extract_tensor::<f32>()
            .ok()
            .map(|(_, values)| values.iter().map(|&v| f64::from(v)).collect())
    });
    floats.collect()
}
