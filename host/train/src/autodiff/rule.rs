//! What every rule has, and the table of all rules.

use goldcrest_onnx::Node;

use super::AutodiffError;
use super::rules;
use super::tape::Tape;

/// How one operator is differentiated.
///
/// `backward` gets the gradient of the node's first output and adds to the gradients of those
/// inputs that [`Tape::wants`]. Both methods append nodes to the tape, in the tape's dialect.
pub(super) trait Rule: Sync {
    /// The ONNX operator.
    fn op(&self) -> &'static str;

    /// Inputs that hold parameters when they are initializers: trainable ones, and running
    /// statistics.
    fn parameters(&self) -> Positions {
        Positions::default()
    }

    /// Appends the node as training runs it, with the further outputs that `backward` needs.
    fn forward(&self, tape: &mut Tape, node: &Node) -> Result<(), AutodiffError> {
        tape.append(node.clone())
    }

    /// Appends the gradients of the node's inputs; `dy` is the gradient of its output.
    fn backward(&self, tape: &mut Tape, node: &Node, dy: &str) -> Result<(), AutodiffError>;
}

/// Positions among a node's inputs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Positions {
    /// Weights and biases.
    pub trainable: &'static [usize],
    /// Tensors that the forward pass itself updates.
    pub statistics: &'static [usize],
    /// Only where another input is this operator's output.
    pub after: Option<&'static str>,
    /// Only where this operator reads the output.
    pub before: Option<&'static str>,
}

/// All rules, by operator.
static RULES: &[&dyn Rule] = &[
    &rules::add::Add,
    &rules::add::Sub,
    &rules::average_pool::AveragePool,
    &rules::batch_normalization::BatchNormalization,
    &rules::clip::Clip,
    &rules::concat::Concat,
    &rules::conv::Conv,
    &rules::div::Div,
    &rules::dropout::Dropout,
    &rules::fake_quantize::FakeQuantize,
    &rules::gemm::Gemm,
    &rules::global_average_pool::GlobalAveragePool,
    &rules::hard_sigmoid::HardSigmoid,
    &rules::hard_swish::HardSwish,
    &rules::identity::Identity,
    &rules::leaky_relu::LeakyRelu,
    &rules::mat_mul::MatMul,
    &rules::max_pool::MaxPool,
    &rules::mul::Mul,
    &rules::pad::Pad,
    &rules::reduce_mean::ReduceMean,
    &rules::relu::Relu,
    &rules::reshape::Reshape("Flatten"),
    &rules::reshape::Reshape("Reshape"),
    &rules::reshape::Reshape("Squeeze"),
    &rules::reshape::Reshape("Unsqueeze"),
    &rules::round::Round,
    &rules::sigmoid::Sigmoid,
    &rules::tanh::Tanh,
    &rules::transpose::Transpose,
];

/// The operators that can be trained.
pub fn supported_operators() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.op())
}

/// The rule of a node.
pub(super) fn rule_of(node: &Node) -> Result<&'static dyn Rule, AutodiffError> {
    let found = RULES.iter().find(|rule| node.domain.is_empty() && rule.op() == node.op);
    found.copied().ok_or_else(|| {
        let op =
            if node.domain.is_empty() { node.op.clone() } else { format!("{}.{}", node.domain, node.op) };
        AutodiffError::NoRule { node: node.name.clone(), op }
    })
}
