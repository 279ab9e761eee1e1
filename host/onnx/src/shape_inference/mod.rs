//! Shapes and element types of every value of a graph, before anything runs.
//!
//! Dimensions stay symbolic where the file names them (`N`, the batch): a flattened `[N, 16, 5, 5]`
//! is `[N, 400]`, and all of it in one row is `[400*N]`. Two dimensions are equal when they are
//! written equally.
//!
//! One file per family of operators, each a function from node to output types, all listed in
//! `infer`. Definitions: the ONNX operator specification, opset 17.

mod broadcast;
mod dimension;
mod layout;
mod matrix;
mod normalization;
mod reduction;
mod window;

use std::collections::BTreeMap;
use std::fmt;

use super::proto::data_type;
use super::{Attribute, Dimension, Graph, Node, Tensor, ValueInfo};

pub use broadcast::broadcast;
pub use dimension::product;
pub use window::window_of;

/// Why a shape could not be inferred.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A node reads a value that nothing before it makes.
    #[error("node `{node}` ({op}) reads `{value}`, which no input, initializer or earlier node gives")]
    Unknown { node: String, op: String, value: String },
    /// A graph input has no element type or shape.
    #[error("input `{value}` has no {missing}; export the model with shapes for its inputs")]
    Input { value: String, missing: &'static str },
    /// An operator without a shape rule.
    #[error("node `{node}`: operator {op} is not supported")]
    Operator { node: String, op: String },
    /// The node's inputs or attributes do not fit together.
    #[error("node `{node}` ({op}): {problem}")]
    Mismatch { node: String, op: String, problem: String },
}

/// Element type and shape of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorType {
    /// See [`data_type`].
    pub element: i32,
    /// One dimension per axis, outermost first.
    pub shape: Vec<Dimension>,
}

impl TensorType {
    /// A float tensor.
    pub fn float(shape: Vec<Dimension>) -> Self {
        Self { element: data_type::FLOAT, shape }
    }

    /// The type of a constant.
    pub fn of(tensor: &Tensor) -> Self {
        let shape = tensor.shape.iter().map(|&d| Dimension::Fixed(d as i64)).collect();
        Self { element: tensor.data.element(), shape }
    }

    /// The size of an axis when it is not a symbol.
    pub fn fixed(&self, axis: usize) -> Option<usize> {
        match self.shape.get(axis) {
            Some(Dimension::Fixed(size)) => usize::try_from(*size).ok(),
            _ => None,
        }
    }

    /// The value's entry for a file's `value_info`.
    pub fn info(&self, name: &str) -> ValueInfo {
        ValueInfo {
            name: name.into(),
            element: self.element,
            shape: Some(self.shape.clone()),
            sequence: false,
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", dimension::Shown(&self.shape))
    }
}

/// What is known of a graph's values.
#[derive(Clone, Debug, Default)]
pub struct Types {
    types: BTreeMap<String, TensorType>,
    /// Values of small integer tensors: constants, and what is computed of shapes.
    integers: BTreeMap<String, Vec<Dimension>>,
}

impl Types {
    /// Types of every value of a graph.
    ///
    /// # Errors
    /// The first node, in the graph's order, whose inputs do not fit it.
    pub fn infer(graph: &Graph) -> Result<Self, ShapeError> {
        let mut types = Self::of_inputs(graph)?;
        for node in &graph.nodes {
            if let Some(output) = node.outputs.iter().find(|output| types.get(output).is_some()) {
                let problem = format!("`{output}` is made a second time");
                return Err(Site { node, types: &types }.fail(problem));
            }
            types.apply(node)?;
        }
        Ok(types)
    }

    /// Types of a graph's inputs and initializers alone.
    pub fn of_inputs(graph: &Graph) -> Result<Self, ShapeError> {
        let mut types = Self::default();
        for (name, tensor) in &graph.initializers {
            types.constant(name, tensor);
        }
        for input in &graph.inputs {
            let fail = |missing| ShapeError::Input { value: input.name.clone(), missing };
            let shape = input.shape.clone().ok_or_else(|| fail("shape"))?;
            if input.element == 0 {
                return Err(fail("element type"));
            }
            if !is_sane(&shape) {
                return Err(fail("valid shape (a dimension is negative or above 2^31)"));
            }
            types.insert(&input.name, TensorType { element: input.element, shape });
        }
        Ok(types)
    }

    /// The type of a value, if known.
    pub fn get(&self, value: &str) -> Option<&TensorType> {
        self.types.get(value)
    }

    /// Adds a value.
    pub fn insert(&mut self, value: &str, r#type: TensorType) {
        self.types.insert(value.into(), r#type);
    }

    /// Adds a constant, whose elements may be needed as a shape, axes or sizes.
    pub fn constant(&mut self, name: &str, tensor: &Tensor) {
        self.insert(name, TensorType::of(tensor));
        if let Some(values) = tensor.as_i64()
            && values.len() <= 64
        {
            let values = values.iter().map(|&value| Dimension::Fixed(value)).collect();
            self.integers.insert(name.into(), values);
        }
    }

    /// Adds the outputs of a node whose inputs are known.
    ///
    /// # Errors
    /// See [`ShapeError`].
    pub fn apply(&mut self, node: &Node) -> Result<(), ShapeError> {
        let site = Site { node, types: self };
        let outputs = infer(&site)?;
        if let Some(output) = outputs.iter().find(|output| !is_sane(&output.shape)) {
            return Err(site.fail(format!("its output would be {output}")));
        }
        for (name, r#type) in node.outputs.iter().zip(outputs) {
            if !name.is_empty() {
                self.insert(name, r#type);
            }
        }
        if let (Some(values), Some(output)) =
            (layout::integers(&Site { node, types: self }), node.outputs.first())
        {
            self.integers.insert(output.clone(), values);
        }
        Ok(())
    }
}

/// Dimensions below 2^31 cannot overflow in the arithmetic of windows.
fn is_sane(shape: &[Dimension]) -> bool {
    shape.iter().all(|dimension| match dimension {
        Dimension::Fixed(size) => (0..=i64::from(i32::MAX)).contains(size),
        Dimension::Named(_) => true,
    })
}

/// A node where it stands: its inputs by position, and errors that name it.
struct Site<'a> {
    node: &'a Node,
    types: &'a Types,
}

impl Site<'_> {
    fn fail(&self, problem: impl Into<String>) -> ShapeError {
        ShapeError::Mismatch {
            node: self.node.name.clone(),
            op: self.node.op.clone(),
            problem: problem.into(),
        }
    }

    /// The type of an input that must be there.
    fn input(&self, index: usize) -> Result<&TensorType, ShapeError> {
        match self.node.inputs.get(index).filter(|name| !name.is_empty()) {
            None => Err(self.fail(format!("input {index} is missing"))),
            Some(name) => self.types.get(name).ok_or_else(|| ShapeError::Unknown {
                node: self.node.name.clone(),
                op: self.node.op.clone(),
                value: name.clone(),
            }),
        }
    }

    /// An input that must have `rank` axes.
    fn input_of_rank(&self, index: usize, rank: usize) -> Result<&TensorType, ShapeError> {
        let input = self.input(index)?;
        if input.shape.len() != rank {
            return Err(self.fail(format!("input {index} is {input}, but {rank} axes are expected")));
        }
        Ok(input)
    }

    fn has_input(&self, index: usize) -> bool {
        self.node.inputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// The elements of an integer input, symbolic where computed from symbolic shapes.
    fn symbolic_integers(&self, index: usize) -> Option<&Vec<Dimension>> {
        self.types.integers.get(self.node.inputs.get(index)?)
    }

    /// The elements of an integer input that must be constant.
    fn integers(&self, index: usize) -> Result<Vec<i64>, ShapeError> {
        let values = self.symbolic_integers(index).and_then(|values| {
            values
                .iter()
                .map(|value| match value {
                    Dimension::Fixed(value) => Some(*value),
                    Dimension::Named(_) => None,
                })
                .collect::<Option<Vec<_>>>()
        });
        values.ok_or_else(|| {
            let name = self.node.inputs.get(index).map_or("", String::as_str);
            self.fail(format!(
                "input {index} (`{name}`) is not constant; simplify the model before (for example with \
                 onnxsim)"
            ))
        })
    }

    /// An axis, counted from the end when negative, checked against `rank`.
    fn axis(&self, axis: i64, rank: usize) -> Result<usize, ShapeError> {
        let resolved = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(resolved)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| self.fail(format!("axis {axis} is outside a tensor of {rank} axes")))
    }
}

/// Types of a node's outputs, in order; more than the node names is fine.
fn infer(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    match (site.node.domain.as_str(), site.node.op.as_str()) {
        (
            "",
            "Relu" | "Sigmoid" | "Tanh" | "Exp" | "Log" | "Neg" | "Abs" | "Sqrt" | "Reciprocal" | "Sign"
            | "Floor" | "Ceil" | "Round" | "Identity" | "Clip" | "HardSwish" | "HardSigmoid" | "LeakyRelu"
            | "Elu" | "Softplus" | "Softmax" | "LogSoftmax" | "Not" | "Mish" | "Erf",
        ) => Ok(vec![site.input(0)?.clone()]),
        (
            "",
            "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "Sum" | "And" | "Or" | "Xor"
            | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" | "PRelu",
        ) => broadcast::elementwise(site),
        ("", "Where") => broadcast::select(site),
        ("", "Expand") => broadcast::expand(site),
        ("", "QuantizeLinear") => {
            let element = site.input(2).map_or(data_type::UINT8, |zero| zero.element);
            Ok(vec![TensorType { element, ..site.input(0)?.clone() }])
        }
        ("", "DequantizeLinear") => {
            Ok(vec![TensorType { element: data_type::FLOAT, ..site.input(0)?.clone() }])
        }
        ("", "Cast") => layout::cast(site),
        ("", "Conv") => window::conv(site),
        ("", "ConvTranspose") => window::conv_transpose(site),
        ("", "MaxPool" | "AveragePool") => window::pool(site),
        ("", "GlobalAveragePool" | "GlobalMaxPool") => window::global_pool(site),
        ("", "Resize") => window::resize(site),
        ("", "Gemm") => matrix::gemm(site),
        ("", "MatMul") => matrix::matmul(site),
        ("", "Flatten") => layout::flatten(site),
        ("", "Reshape") => layout::reshape(site),
        ("", "Squeeze") => layout::squeeze(site),
        ("", "Unsqueeze") => layout::unsqueeze(site),
        ("", "Transpose") => layout::transpose(site),
        ("", "Concat") => layout::concat(site),
        ("", "Pad") => layout::pad(site),
        ("", "Slice") => layout::slice(site),
        ("", "Gather") => layout::gather(site),
        ("", "ScatterElements") => Ok(vec![site.input(0)?.clone()]),
        ("", "Shape") => layout::shape(site),
        ("", "Size") => Ok(vec![TensorType { element: data_type::INT64, shape: Vec::new() }]),
        ("", "Range") => layout::range(site),
        ("", "ConstantOfShape") => layout::constant_of_shape(site),
        ("", "Constant") => match site.node.attributes.get("value") {
            Some(Attribute::Tensor(tensor)) => Ok(vec![TensorType::of(tensor)]),
            _ => Err(site.fail("only the attribute `value` is supported")),
        },
        ("", "OneHot") => layout::one_hot(site),
        ("", "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSumSquare" | "ReduceL2") => {
            reduction::reduce(site)
        }
        ("", "BatchNormalization") => normalization::batch_normalization(site),
        ("", "Dropout") => normalization::dropout(site),
        ("", "SoftmaxCrossEntropyLoss") => normalization::softmax_cross_entropy(site),
        (domain, op) => Err(ShapeError::Operator {
            node: site.node.name.clone(),
            op: if domain.is_empty() { op.into() } else { format!("{domain}.{op}") },
        }),
    }
}

#[cfg(test)]
mod tests;
