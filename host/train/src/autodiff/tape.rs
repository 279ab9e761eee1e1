//! The graph while it is being differentiated: nodes in order, the type of every value, and the
//! gradients that have come together so far.

use std::collections::{BTreeMap, BTreeSet};

use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::shape_inference::{ShapeError, TensorType, Types};
use goldcrest_onnx::{Attribute, Data, Dimension, Graph, Node, Tensor, ValueInfo};

use super::{AutodiffError, Dialect, Parameter, Role};

/// The graph while it is being differentiated.
pub(super) struct Tape {
    /// Which operators the rules write.
    pub dialect: Dialect,
    /// Every node so far, in order.
    pub nodes: Vec<Node>,
    /// Initializers that are not parameters.
    pub constants: BTreeMap<String, Tensor>,
    /// The next value of tensors that the graph itself updates, as `(tensor, next value)`.
    pub computed: Vec<(String, String)>,
    types: Types,
    /// Values that a trainable parameter influences.
    differentiable: BTreeSet<String>,
    gradients: BTreeMap<String, Vec<String>>,
    /// Begins the names of new values.
    scope: String,
    seed: i64,
    next_step: Option<String>,
}

/// The name of the step's number.
const STEP: &str = "goldcrest.step";

impl Tape {
    /// A tape without nodes. `graph`'s initializers are constants, or `parameters`; its inputs are inputs.
    /// Random nodes are seeded from `seed` on.
    pub fn new(
        dialect: Dialect,
        graph: &Graph,
        parameters: &BTreeSet<String>,
        trainable: BTreeSet<String>,
        seed: i64,
    ) -> Result<Self, ShapeError> {
        let constants = graph.initializers.iter().filter(|(name, _)| !parameters.contains(*name));
        Ok(Self {
            dialect,
            nodes: Vec::new(),
            constants: constants.map(|(name, tensor)| (name.clone(), tensor.clone())).collect(),
            computed: Vec::new(),
            types: Types::of_inputs(graph)?,
            differentiable: trainable,
            gradients: BTreeMap::new(),
            scope: String::new(),
            seed,
            next_step: None,
        })
    }

    /// New values are named after this from now on.
    pub fn enter(&mut self, scope: String) {
        self.scope = scope;
    }

    /// A seed for a node that draws random numbers, another one at every call.
    pub fn next_seed(&mut self) -> i64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }

    /// The number of the step, a float `[1]`: one more tensor that training keeps.
    pub fn step_number(&mut self) -> Result<String, AutodiffError> {
        if self.types.get(STEP).is_none() {
            let one = self.constant(Tensor::f32(&[1], vec![1.0]));
            let name = self.declare(STEP, &one)?;
            self.op("Add", &[&name, &one]).map(|next| self.next_step = Some(next))?;
        }
        Ok(STEP.into())
    }

    /// The number of the step plus 1. Unlike [`Tape::step_number`] a value that nothing overwrites.
    pub fn step_number_next(&mut self) -> Result<String, AutodiffError> {
        self.step_number()?;
        Ok(self.next_step.clone().unwrap_or_default())
    }

    /// The parameter behind [`Tape::step_number`], where a rule asked for it.
    pub fn counter(&self) -> Option<Parameter> {
        let next = self.next_step.clone()?;
        Some(Parameter {
            name: STEP.into(),
            initial: Tensor::f32(&[1], vec![0.0]),
            role: Role::Computed { next },
        })
    }

    /// The type of a value.
    pub fn type_of(&self, value: &str) -> Result<&TensorType, ShapeError> {
        self.types.get(value).ok_or_else(|| ShapeError::Unknown {
            node: self.scope.clone(),
            op: "gradient".into(),
            value: value.into(),
        })
    }

    /// The shape of a value.
    pub fn shape(&self, value: &str) -> Result<Vec<Dimension>, ShapeError> {
        Ok(self.type_of(value)?.shape.clone())
    }

    /// Whether the gradient of a value is needed.
    pub fn wants(&self, value: &str) -> bool {
        self.differentiable.contains(value)
    }

    /// Says that the gradient of a value is needed, where what it is made of does not.
    pub fn want(&mut self, value: &str) {
        self.differentiable.insert(value.into());
    }

    /// Appends a node; the types of its outputs are inferred, where [`Tape::declare`] did not give
    /// them.
    pub fn append(&mut self, node: Node) -> Result<(), AutodiffError> {
        if node.outputs.iter().any(|output| !output.is_empty() && self.types.get(output).is_none()) {
            self.types.apply(&node)?;
        }
        if node.inputs.iter().any(|input| self.wants(input)) {
            for output in node.outputs.iter().filter(|output| !output.is_empty()) {
                if self.type_of(output)?.element == data_type::FLOAT {
                    self.differentiable.insert(output.clone());
                }
            }
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Appends a node that computes what `meant` does: the types of its outputs are those of `meant`.
    pub fn append_as(&mut self, node: Node, meant: &Node) -> Result<(), AutodiffError> {
        self.types.apply(meant)?;
        self.append(node)
    }

    /// Appends a node without outputs and gives it one, whose name it returns.
    pub fn emit(&mut self, mut node: Node) -> Result<String, AutodiffError> {
        let output = self.fresh(&format!("{}.{}", self.scope, node.op));
        node.name = output.clone();
        node.outputs = vec![output.clone()];
        self.append(node)?;
        Ok(output)
    }

    /// [`Tape::emit`] for an operator without attributes.
    pub fn op(&mut self, op: &str, inputs: &[&str]) -> Result<String, AutodiffError> {
        self.emit(Node::new(op, inputs, &[]))
    }

    /// Declares a new value with the type of another one, to be an output of a node that shape
    /// inference does not know.
    pub fn declare(&mut self, hint: &str, like: &str) -> Result<String, ShapeError> {
        let r#type = self.type_of(like)?.clone();
        let name = self.fresh(hint);
        self.types.insert(&name, r#type);
        Ok(name)
    }

    /// Declares the gradient of a value, to be an output of a node that shape inference does not
    /// know.
    pub fn declare_gradient(&mut self, value: &str) -> Result<String, ShapeError> {
        self.declare(&format!("{value}_grad"), value)
    }

    /// A name that no value has.
    fn fresh(&self, hint: &str) -> String {
        let taken = |name: &str| self.types.get(name).is_some();
        if !taken(hint) {
            return hint.into();
        }
        let numbered = (2..).map(|number| format!("{hint}_{number}"));
        numbered.into_iter().find(|name| !taken(name)).unwrap_or_default()
    }

    /// A constant, shared with every other of the same value.
    pub fn constant(&mut self, tensor: Tensor) -> String {
        // Compared by bits: NaN equals itself, and 0 is not -0.
        let bits = |tensor: &Tensor| match &tensor.data {
            Data::F32(values) => Some(values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
            _ => None,
        };
        let same = |other: &Tensor| match (bits(other), bits(&tensor)) {
            (Some(a), Some(b)) => other.shape == tensor.shape && a == b,
            (None, None) => *other == tensor,
            _ => false,
        };
        if let Some((name, _)) = self.constants.iter().find(|(_, other)| same(other)) {
            return name.clone();
        }
        let name = self.fresh("constant");
        self.types.constant(&name, &tensor);
        self.constants.insert(name.clone(), tensor);
        name
    }

    /// A float constant without axes.
    pub fn scalar(&mut self, value: f32) -> String {
        self.constant(Tensor::f32(&[], vec![value]))
    }

    /// A constant list of integers.
    pub fn integers(&mut self, values: &[i64]) -> String {
        self.constant(Tensor::i64s(values))
    }

    /// `value` in the shape of `like`.
    pub fn reshape_like(&mut self, value: &str, like: &str) -> Result<String, AutodiffError> {
        let shape = self.shape(like)?;
        if self.shape(value)? == shape {
            return Ok(value.into());
        }
        let target = self.shape_for_reshape(&shape, like)?;
        self.op("Reshape", &[value, &target])
    }

    /// The shape of a value as an int64 tensor: constant with one `-1` where possible.
    fn shape_for_reshape(&mut self, shape: &[Dimension], like: &str) -> Result<String, AutodiffError> {
        let symbols = shape.iter().filter(|d| matches!(d, Dimension::Named(_))).count();
        if symbols > 1 || shape.contains(&Dimension::Fixed(0)) {
            return self.shape_tensor(like);
        }
        let size = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => *size,
            Dimension::Named(_) => -1,
        };
        let sizes: Vec<i64> = shape.iter().map(size).collect();
        Ok(self.integers(&sizes))
    }

    /// The shape of a value as an int64 tensor, computed when the graph runs.
    pub fn shape_tensor(&mut self, value: &str) -> Result<String, AutodiffError> {
        self.op("Shape", &[value])
    }

    /// Values of `value` with its axes in another order.
    pub fn transpose(&mut self, value: &str, order: &[i64]) -> Result<String, AutodiffError> {
        self.emit(Node::new("Transpose", &[value], &[]).with("perm", Attribute::Ints(order.to_vec())))
    }

    /// The sum over axes.
    pub fn reduce_sum(&mut self, value: &str, axes: &[i64], keep: bool) -> Result<String, AutodiffError> {
        let axes = self.integers(axes);
        let node = Node::new("ReduceSum", &[value, &axes], &[]);
        self.emit(node.with("keepdims", Attribute::Int(keep.into())))
    }

    /// `value` times a number; the value itself when that is 1.
    pub fn scale(&mut self, value: &str, factor: f32) -> Result<String, AutodiffError> {
        if factor == 1.0 {
            return Ok(value.into());
        }
        let factor = self.scalar(factor);
        self.op("Mul", &[value, &factor])
    }

    /// Name, element type and shape of everything that a node makes. ONNX Runtime's gradient
    /// operators read the shapes of their outputs from here, and crash without.
    pub fn values(&self) -> Result<Vec<ValueInfo>, ShapeError> {
        let outputs = self.nodes.iter().flat_map(|node| &node.outputs);
        outputs
            .filter(|output| !output.is_empty())
            .map(|output| Ok(self.type_of(output)?.info(output)))
            .collect()
    }

    /// Adds to the gradient of a value.
    pub fn add_gradient(&mut self, value: &str, gradient: String) -> Result<(), AutodiffError> {
        let (expected, found) = (self.type_of(value)?, self.type_of(&gradient)?);
        if found != expected {
            let (value, expected, found) = (value.to_owned(), expected.clone(), found.clone());
            return Err(AutodiffError::GradientShape { value, expected, found });
        }
        self.gradients.entry(value.into()).or_default().push(gradient);
        Ok(())
    }

    /// The gradient of a value: the sum of all that was added, or `None` when nothing was.
    pub fn gradient(&mut self, value: &str) -> Result<Option<String>, AutodiffError> {
        let parts = self.gradients.remove(value).unwrap_or_default();
        let mut parts = parts.into_iter();
        let Some(mut sum) = parts.next() else { return Ok(None) };
        for part in parts {
            sum = self.op("Add", &[&sum, &part])?;
        }
        Ok(Some(sum))
    }
}
