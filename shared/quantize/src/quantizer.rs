//! From a float graph and statistics of its activations to an int8 model.
//!
//! 1. [`fusion`](super::fusion) decides which float nodes become one int8 node.
//! 2. [`scales`](super::scales) gives every int8 tensor its grid.
//! 3. [`operators`](super::operators) turn each step into int8 operators, one file per operator.
//! 4. [`check`](super::check) proves that no accumulator can overflow.

use alloc::{string::String, vec::Vec};

use super::check::{GraphError, check};
use super::fusion::{Step, steps};
use super::given::Given;
use super::graph::{FloatGraph, ModelInfo, Node, Quantization, QuantizedGraph, QuantizedModel};
use super::graph::{QuantizedOp, Tensor, TensorId};
use super::range::RangeMethod;
use super::scales::Scales;
use super::statistics::Statistics;

/// Choices of the quantizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How activation ranges are chosen.
    pub range: RangeMethod,
    /// Move each bias by the mean error that rounding the weights causes.
    pub bias_correction: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { range: RangeMethod::Percentile(1e-5), bias_correction: true }
    }
}

/// Why a float graph has no int8 form.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// Statistics of another graph.
    #[error("statistics of {found} tensors for a graph of {expected}")]
    Statistics {
        /// Tensors in the statistics.
        found: usize,
        /// Tensors in the graph.
        expected: usize,
    },
    /// Calibration never saw the tensor, or saw values that are not finite.
    #[error("tensor `{tensor}` {problem}")]
    Activation {
        /// The tensor.
        tensor: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A weight or bias is infinite or not a number.
    #[error("node `{node}` has weights or biases that are not finite; was its training stable?")]
    Weights {
        /// The node.
        node: String,
    },
    /// An operator with settings that int8 does not cover.
    #[error("node `{node}`: {problem}")]
    Unsupported {
        /// The node.
        node: String,
        /// Which setting.
        problem: &'static str,
    },
    /// Activations so different in size that no multiplier on the grid connects them.
    #[error("node `{node}`, channel {channel}: the multiplier {multiplier} is outside of 2^-16 .. 2^15")]
    Multiplier {
        /// The node.
        node: String,
        /// The output channel.
        channel: usize,
        /// The multiplier wanted.
        multiplier: f64,
    },
    /// The int8 graph breaks a rule.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// What quantization did to each layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizeReport {
    /// One per int8 node, in their order.
    pub layers: Vec<LayerReport>,
}

/// What quantization did to one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// The int8 node.
    pub name: String,
    /// The tensor of the float graph that its output stands for.
    pub float: TensorId,
    /// The tensor that the float operator writes, before bounds that the int8 node took over.
    pub unbounded: TensorId,
    /// Smallest and largest multiplier in units of `2^-16`, where it has any.
    pub multipliers: Option<[u32; 2]>,
    /// Largest share of a weight's step that moving its scale to the grid added.
    pub grid_cost: f64,
}

/// Quantizes a graph.
///
/// # Errors
/// When statistics, weights or operators have no int8 form; the error names the node or tensor.
pub fn quantize(
    graph: &FloatGraph,
    info: &ModelInfo,
    statistics: &Statistics,
    options: &Options,
) -> Result<(QuantizedModel, QuantizeReport), QuantizeError> {
    quantize_given(graph, info, statistics, options, &Given::default())
}

/// Quantizes a graph of which some grids are given. Statistics are needed for the other tensors only.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_given(
    graph: &FloatGraph,
    info: &ModelInfo,
    statistics: &Statistics,
    options: &Options,
    given: &Given,
) -> Result<(QuantizedModel, QuantizeReport), QuantizeError> {
    if statistics.tensors.len() != graph.tensors.len() {
        let (found, expected) = (statistics.tensors.len(), graph.tensors.len());
        return Err(QuantizeError::Statistics { found, expected });
    }
    let steps = steps(graph);
    let scales = Scales::assign(graph, info, &steps, statistics, options, given)?;
    let mut builder = Builder::new(Context { graph, statistics, options, given, scales: &scales });
    for step in &steps {
        step.node.op.rules().lower(&mut builder, step)?;
    }
    let (graph, report) = builder.finish();
    let model = QuantizedModel { graph, info: info.clone() };
    check(&model)?;
    Ok((model, report))
}

/// What a lowering may look at.
pub struct Context<'a> {
    /// The float graph.
    pub graph: &'a FloatGraph,
    /// Statistics of its tensors.
    pub statistics: &'a Statistics,
    /// Choices of the user.
    pub options: &'a Options,
    /// What the model brings with it.
    pub given: &'a Given,
    /// Grids of the tensors.
    pub scales: &'a Scales,
}

impl Context<'_> {
    /// The grid of a step's input.
    pub fn input(&self, step: &Step<'_>, index: usize) -> Quantization {
        self.scales.of(step.node.inputs[index])
    }

    /// The grid of a step's output.
    pub fn output(&self, step: &Step<'_>) -> Quantization {
        self.scales.of(step.output)
    }
}

/// The int8 graph as it grows.
pub struct Builder<'a> {
    /// What a lowering may look at.
    pub context: Context<'a>,
    graph: QuantizedGraph,
    /// The int8 tensor of each float tensor that has one.
    tensors: Vec<Option<TensorId>>,
    report: QuantizeReport,
}

impl<'a> Builder<'a> {
    fn new(context: Context<'a>) -> Self {
        let (float, scales) = (context.graph, context.scales);
        let input = float.tensor(float.input);
        let tensor = Tensor { name: input.name.clone(), shape: input.shape, info: scales.of(float.input) };
        let graph = QuantizedGraph {
            name: float.name.clone(),
            tensors: alloc::vec![tensor],
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
        };
        let mut tensors = alloc::vec![None; float.tensors.len()];
        tensors[float.input.0] = Some(TensorId(0));
        Self { context, graph, tensors, report: QuantizeReport::default() }
    }

    /// The int8 tensor that stands for a float tensor. Steps come in topological order, so it is there.
    pub fn tensor(&self, float: TensorId) -> TensorId {
        self.tensors[float.0].unwrap_or(self.graph.input)
    }

    /// Adds the int8 operator of a step.
    pub fn push(&mut self, step: &Step<'_>, op: QuantizedOp) {
        self.push_costly(step, op, 0.0);
    }

    /// Adds the int8 operator of a step whose weights lose by moving to the grid.
    pub fn push_costly(&mut self, step: &Step<'_>, op: QuantizedOp, grid_cost: f64) {
        let inputs = step.node.inputs.iter().map(|&id| self.tensor(id)).collect();
        self.push_over(step, op, inputs, grid_cost);
    }

    /// Adds the int8 operator of a step over inputs of its own.
    pub fn push_over(&mut self, step: &Step<'_>, op: QuantizedOp, inputs: Vec<TensorId>, grid_cost: f64) {
        let (output, info) = (self.context.graph.tensor(step.output), self.context.output(step));
        let name = output.name.clone();
        let float = [step.output, step.node.output];
        let id = self.insert(Tensor { name, shape: output.shape, info }, op, inputs, float, grid_cost);
        self.tensors[step.output.0] = Some(id);
    }

    /// Adds an operator between a step and an input of it; `suffix` makes its name.
    pub fn push_between(
        &mut self,
        step: &Step<'_>,
        suffix: &str,
        input: TensorId,
        op: QuantizedOp,
        info: Quantization,
    ) -> TensorId {
        let source = self.context.graph.tensor(input);
        let name = alloc::format!("{}{suffix}", self.context.graph.tensor(step.output).name);
        let inputs = alloc::vec![self.tensor(input)];
        self.insert(Tensor { name, shape: source.shape, info }, op, inputs, [input, input], 0.0)
    }

    fn insert(
        &mut self,
        tensor: Tensor<Quantization>,
        op: QuantizedOp,
        inputs: Vec<TensorId>,
        [float, unbounded]: [TensorId; 2],
        grid_cost: f64,
    ) -> TensorId {
        let (output, name) = (TensorId(self.graph.tensors.len()), tensor.name.clone());
        let multipliers = op.multipliers();
        self.report.layers.push(LayerReport { name: name.clone(), float, unbounded, multipliers, grid_cost });
        self.graph.tensors.push(tensor);
        self.graph.nodes.push(Node { name, op, inputs, output });
        output
    }

    fn finish(mut self) -> (QuantizedGraph, QuantizeReport) {
        self.graph.output = self.tensor(self.context.graph.output);
        (self.graph, self.report)
    }
}
