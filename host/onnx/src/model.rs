//! A typed ONNX graph: what the protobuf says, with every tensor decoded and every name a key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::proto::data_type;
use super::{Attributes, foreign};

/// Why an ONNX file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file cannot be opened or read.
    #[error("{path}: cannot read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file cannot be written.
    #[error("{path}: cannot write: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    /// The file's content is not a usable model.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: Box<OnnxError> },
    /// The file is of another kind.
    #[error("expected an ONNX model, found {0}")]
    Foreign(&'static str),
    /// The bytes are not a protobuf of an ONNX model.
    #[error("not an ONNX model: no protobuf, cut short, or with fields of other types")]
    Malformed,
    /// The file would take far more memory than it has bytes: nothing that an exporter writes.
    #[error("decoded, the file's {length} bytes would take {bound}; no exporter writes such a model")]
    TooLarge { length: usize, bound: u64 },
    /// The protobuf holds no graph.
    #[error("the ONNX model holds no graph (is the file truncated?)")]
    NoGraph,
    /// A tensor's type, size or storage is not supported.
    #[error("tensor `{name}`: {problem}")]
    Tensor { name: String, problem: String },
    /// A node's attribute is of a kind that no supported operator has.
    #[error(
        "node `{node}` ({op}): attribute `{name}` is a {kind}, which no supported operator has; control flow \
         (If, Loop, Scan) must be gone before the export"
    )]
    Attribute { node: String, op: String, name: String, kind: String },
    /// Functions of the file that call each other without an end.
    #[error("the model's function `{0}` calls itself; the file is damaged")]
    Recursion(String),
}

/// An ONNX model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// Version of the default operator set.
    pub opset: i64,
    /// Further operator sets, as `(domain, version)`.
    pub domains: Vec<(String, i64)>,
    /// `metadata_props`.
    pub metadata: BTreeMap<String, String>,
}

/// A graph: nodes in topological order over named values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub name: String,
    pub nodes: Vec<Node>,
    /// Inputs without an initializer.
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    /// Shapes of intermediate values, where known.
    pub values: Vec<ValueInfo>,
    /// Constants by name.
    pub initializers: BTreeMap<String, Tensor>,
}

/// One operator. Empty names stand for absent optional inputs and outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub name: String,
    pub op: String,
    /// Empty for the default operator set.
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Attributes,
}

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    String(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<String>),
    Tensor(Tensor),
}

/// A value's name, element type (see [`data_type`]) and shape; `shape` is `None` when unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValueInfo {
    pub name: String,
    pub element: i32,
    pub shape: Option<Vec<Dimension>>,
    /// The value is a sequence of such tensors (optimizer graphs).
    pub sequence: bool,
}

/// One dimension of a shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Dimension {
    Fixed(i64),
    Named(String),
}

/// A constant tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// The elements of a tensor. Doubles and half floats are read as `F32`.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    I32(Vec<i32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    Bool(Vec<bool>),
}

impl Model {
    /// Reads a model from a file, and from the files beside it that hold its constants, where it names some.
    pub fn read(path: &Path) -> Result<Self, OnnxError> {
        let bytes =
            std::fs::read(path).map_err(|source| OnnxError::Read { path: path.to_owned(), source })?;
        let foreign = |error| foreign::what(path, &bytes).map_or(error, OnnxError::Foreign);
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::decode_in(&bytes, folder)
            .map_err(foreign)
            .map_err(|source| OnnxError::File { path: path.to_owned(), source: Box::new(source) })
    }

    /// Writes the model to a file: under its name is always a whole one, the old or the new.
    pub fn write(&self, path: &Path) -> Result<(), OnnxError> {
        goldcrest_files::write(path, &self.encode())
            .map_err(|source| OnnxError::Write { path: path.to_owned(), source })
    }
}

impl Node {
    /// A node of the default operator set; its name is that of its first output.
    pub fn new(op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        Self {
            name: outputs.first().copied().unwrap_or_default().into(),
            op: op.into(),
            domain: String::new(),
            inputs: inputs.iter().map(|&name| name.into()).collect(),
            outputs: outputs.iter().map(|&name| name.into()).collect(),
            attributes: Attributes::default(),
        }
    }

    /// The node with one more attribute.
    pub fn with(mut self, name: &str, value: Attribute) -> Self {
        self.attributes.insert(name.into(), value);
        self
    }

    /// The node in another operator domain.
    pub fn in_domain(mut self, domain: &str) -> Self {
        self.domain = domain.into();
        self
    }

    /// An integer attribute, if present.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Attribute::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// A float attribute, if present.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attributes.get(name) {
            Some(Attribute::Float(value)) => Some(*value),
            _ => None,
        }
    }

    /// A list of integers, if present.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(values)) => Some(values),
            _ => None,
        }
    }

    /// A list of floats, if present.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.attributes.get(name) {
            Some(Attribute::Floats(values)) => Some(values),
            _ => None,
        }
    }

    /// A string attribute, if present.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::String(value)) => Some(value),
            _ => None,
        }
    }
}

impl ValueInfo {
    /// A float tensor; negative dimensions become the named dimension `N`.
    pub fn float(name: &str, shape: &[i64]) -> Self {
        Self::new(name, data_type::FLOAT, shape)
    }

    /// A tensor of any element type; negative dimensions become the named dimension `N`.
    pub fn new(name: &str, element: i32, shape: &[i64]) -> Self {
        let dimension = |&d: &i64| if d < 0 { Dimension::Named("N".into()) } else { Dimension::Fixed(d) };
        Self {
            name: name.into(),
            element,
            shape: Some(shape.iter().map(dimension).collect()),
            sequence: false,
        }
    }
}

impl Tensor {
    /// A tensor of floats. Panics when `shape` and `data` disagree: a defect of the caller.
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Self {
        Self::new(shape, Data::F32(data))
    }

    /// A one-dimensional tensor of int64, as shapes and axes are given.
    pub fn i64s(data: &[i64]) -> Self {
        Self::new(&[data.len()], Data::I64(data.to_vec()))
    }

    /// A tensor of any element type. Panics when `shape` and `data` disagree: a defect of the caller.
    pub fn new(shape: &[usize], data: Data) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "tensor of shape {shape:?}");
        Self { shape: shape.to_vec(), data }
    }

    /// The elements when they are floats.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The elements when they are int64.
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(values) => Some(values),
            _ => None,
        }
    }
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ONNX element type, see [`data_type`].
    pub fn element(&self) -> i32 {
        match self {
            Self::F32(_) => data_type::FLOAT,
            Self::I64(_) => data_type::INT64,
            Self::I32(_) => data_type::INT32,
            Self::I8(_) => data_type::INT8,
            Self::U8(_) => data_type::UINT8,
            Self::Bool(_) => data_type::BOOL,
        }
    }
}
