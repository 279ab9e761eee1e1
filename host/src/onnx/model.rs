//! A typed ONNX graph: what the protobuf says, with every tensor decoded and every name a key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;

use super::bound;
use super::proto::{self, attribute_type, data_type, dimension_proto, type_proto};

/// Most dimensions of a constant.
const RANK: usize = 16;

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
    /// The file's content is no usable model.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: Box<OnnxError> },
    /// The bytes are no protobuf of an ONNX model.
    #[error("not an ONNX model: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The bytes are not even the wire format of a protobuf.
    #[error("not an ONNX model: no protobuf, or cut short")]
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
    #[error("node `{node}` ({op}): attribute `{name}` has the unsupported type {kind}")]
    Attribute { node: String, op: String, name: String, kind: i32 },
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
    pub attributes: BTreeMap<String, Attribute>,
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
    /// Reads a model from a file.
    pub fn read(path: &Path) -> Result<Self, OnnxError> {
        let bytes =
            std::fs::read(path).map_err(|source| OnnxError::Read { path: path.to_owned(), source })?;
        Self::decode(&bytes)
            .map_err(|source| OnnxError::File { path: path.to_owned(), source: Box::new(source) })
    }

    /// Writes the model to a file.
    pub fn write(&self, path: &Path) -> Result<(), OnnxError> {
        std::fs::write(path, self.encode())
            .map_err(|source| OnnxError::Write { path: path.to_owned(), source })
    }

    /// Decodes a model from protobuf bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let length = bytes.len();
        match bound::decoded_bytes(bytes) {
            Some(bound) if bound > bound::limit(length) => return Err(OnnxError::TooLarge { length, bound }),
            Some(_) => {}
            None => return Err(OnnxError::Malformed),
        }
        let model = proto::ModelProto::decode(bytes)?;
        let graph = model.graph.ok_or(OnnxError::NoGraph)?;
        if graph.node.is_empty() {
            return Err(OnnxError::NoGraph);
        }
        let (mut opset, mut domains) = (0, Vec::new());
        for set in model.opset_import {
            if set.domain.is_empty() || set.domain == "ai.onnx" {
                opset = set.version;
            } else {
                domains.push((set.domain, set.version));
            }
        }
        let metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Ok(Self { graph: Graph::from_proto(graph)?, opset, domains, metadata })
    }

    /// Encodes the model as protobuf bytes (IR version 8).
    pub fn encode(&self) -> Vec<u8> {
        let mut opset_import = vec![proto::OperatorSetIdProto { domain: String::new(), version: self.opset }];
        opset_import.extend(self.domains.iter().map(|(domain, version)| proto::OperatorSetIdProto {
            domain: domain.clone(),
            version: *version,
        }));
        proto::ModelProto {
            ir_version: 8,
            producer_name: "goldcrest".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph.to_proto()),
            opset_import,
            metadata_props: self
                .metadata
                .iter()
                .map(|(key, value)| proto::StringStringEntryProto { key: key.clone(), value: value.clone() })
                .collect(),
        }
        .encode_to_vec()
    }
}

impl Graph {
    fn from_proto(graph: proto::GraphProto) -> Result<Self, OnnxError> {
        let mut initializers = BTreeMap::new();
        for tensor in graph.initializer {
            let name = tensor.name.clone();
            initializers.insert(name, Tensor::from_proto(tensor)?);
        }
        Ok(Self {
            name: graph.name,
            nodes: graph.node.into_iter().map(Node::from_proto).collect::<Result<_, _>>()?,
            // Older exporters list initializers among the inputs.
            inputs: graph
                .input
                .into_iter()
                .filter(|input| !initializers.contains_key(&input.name))
                .map(ValueInfo::from_proto)
                .collect(),
            outputs: graph.output.into_iter().map(ValueInfo::from_proto).collect(),
            values: graph.value_info.into_iter().map(ValueInfo::from_proto).collect(),
            initializers,
        })
    }

    fn to_proto(&self) -> proto::GraphProto {
        proto::GraphProto {
            node: self.nodes.iter().map(Node::to_proto).collect(),
            name: if self.name.is_empty() { "goldcrest".into() } else { self.name.clone() },
            initializer: self.initializers.iter().map(|(name, tensor)| tensor.to_proto(name)).collect(),
            input: self.inputs.iter().map(ValueInfo::to_proto).collect(),
            output: self.outputs.iter().map(ValueInfo::to_proto).collect(),
            value_info: self.values.iter().map(ValueInfo::to_proto).collect(),
        }
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
            attributes: BTreeMap::new(),
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

    /// A string attribute, if present.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::String(value)) => Some(value),
            _ => None,
        }
    }

    fn from_proto(node: proto::NodeProto) -> Result<Self, OnnxError> {
        let mut attributes = BTreeMap::new();
        for attribute in node.attribute {
            let value = match attribute.r#type {
                attribute_type::INT => Attribute::Int(attribute.i),
                attribute_type::FLOAT => Attribute::Float(attribute.f),
                attribute_type::STRING => Attribute::String(lossy(&attribute.s)),
                attribute_type::INTS => Attribute::Ints(attribute.ints),
                attribute_type::FLOATS => Attribute::Floats(attribute.floats),
                attribute_type::STRINGS => {
                    Attribute::Strings(attribute.strings.iter().map(|s| lossy(s)).collect())
                }
                attribute_type::TENSOR if attribute.t.is_some() => {
                    Attribute::Tensor(Tensor::from_proto(*attribute.t.unwrap_or_default())?)
                }
                kind => {
                    let (node, op, name) = (node.name, node.op_type, attribute.name);
                    return Err(OnnxError::Attribute { node, op, name, kind });
                }
            };
            attributes.insert(attribute.name, value);
        }
        let domain = if node.domain == "ai.onnx" { String::new() } else { node.domain };
        Ok(Self {
            name: node.name,
            op: node.op_type,
            domain,
            inputs: node.input,
            outputs: node.output,
            attributes,
        })
    }

    fn to_proto(&self) -> proto::NodeProto {
        let attribute = self.attributes.iter().map(|(name, value)| value.to_proto(name)).collect();
        proto::NodeProto {
            input: self.inputs.clone(),
            output: self.outputs.clone(),
            name: self.name.clone(),
            op_type: self.op.clone(),
            attribute,
            domain: self.domain.clone(),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Attribute {
    fn to_proto(&self, name: &str) -> proto::AttributeProto {
        let mut attribute = proto::AttributeProto { name: name.into(), ..Default::default() };
        attribute.r#type = match self {
            Self::Int(value) => {
                attribute.i = *value;
                attribute_type::INT
            }
            Self::Float(value) => {
                attribute.f = *value;
                attribute_type::FLOAT
            }
            Self::String(value) => {
                attribute.s = value.clone().into_bytes();
                attribute_type::STRING
            }
            Self::Ints(values) => {
                attribute.ints = values.clone();
                attribute_type::INTS
            }
            Self::Floats(values) => {
                attribute.floats = values.clone();
                attribute_type::FLOATS
            }
            Self::Strings(values) => {
                attribute.strings = values.iter().map(|value| value.clone().into_bytes()).collect();
                attribute_type::STRINGS
            }
            Self::Tensor(tensor) => {
                attribute.t = Some(Box::new(tensor.to_proto("")));
                attribute_type::TENSOR
            }
        };
        attribute
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

    fn from_proto(info: proto::ValueInfoProto) -> Self {
        let (mut value, mut sequence) = (info.r#type.and_then(|t| t.value), false);
        if let Some(type_proto::Value::Sequence(inner)) = value {
            sequence = true;
            value = inner.elem_type.and_then(|t| t.value);
        }
        let Some(type_proto::Value::Tensor(tensor)) = value else {
            return Self { name: info.name, element: 0, shape: None, sequence };
        };
        let dimension = |dim: proto::DimensionProto| match dim.value {
            Some(dimension_proto::Value::Fixed(size)) => Dimension::Fixed(size),
            Some(dimension_proto::Value::Named(name)) => Dimension::Named(name),
            None => Dimension::Named(String::new()),
        };
        let shape = tensor.shape.map(|shape| shape.dim.into_iter().map(dimension).collect());
        Self { name: info.name, element: tensor.elem_type, shape, sequence }
    }

    fn to_proto(&self) -> proto::ValueInfoProto {
        let dimension = |dim: &Dimension| proto::DimensionProto {
            value: Some(match dim {
                Dimension::Fixed(size) => dimension_proto::Value::Fixed(*size),
                Dimension::Named(name) => dimension_proto::Value::Named(name.clone()),
            }),
        };
        let tensor = type_proto::Value::Tensor(proto::TensorTypeProto {
            elem_type: self.element,
            shape: self
                .shape
                .as_ref()
                .map(|shape| proto::TensorShapeProto { dim: shape.iter().map(dimension).collect() }),
        });
        let inner = proto::TypeProto { value: Some(tensor) };
        let r#type = if self.sequence {
            let sequence = proto::SequenceTypeProto { elem_type: Some(Box::new(inner)) };
            proto::TypeProto { value: Some(type_proto::Value::Sequence(Box::new(sequence))) }
        } else {
            inner
        };
        proto::ValueInfoProto { name: self.name.clone(), r#type: Some(r#type) }
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

    fn from_proto(tensor: proto::TensorProto) -> Result<Self, OnnxError> {
        let proto::TensorProto { name, raw_data: raw, float_data, int32_data, int64_data, .. } = tensor;
        let fail = |problem: String| OnnxError::Tensor { name: name.clone(), problem };
        if tensor.data_location != 0 {
            return Err(fail("its data is in an external file; save the model as one file".into()));
        }
        if tensor.dims.len() > RANK {
            return Err(fail(format!("{} dimensions, more than {RANK}", tensor.dims.len())));
        }
        let mut shape = Vec::with_capacity(tensor.dims.len());
        for &dim in &tensor.dims {
            shape.push(usize::try_from(dim).map_err(|_| fail(format!("negative dimension {dim}")))?);
        }
        let count = shape
            .iter()
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))
            .ok_or_else(|| fail(format!("shape {shape:?} overflows")))?;
        let data = match tensor.data_type {
            data_type::FLOAT if raw.is_empty() => Data::F32(float_data),
            data_type::FLOAT => Data::F32(elements(&raw, f32::from_le_bytes)),
            data_type::DOUBLE if raw.is_empty() => {
                Data::F32(tensor.double_data.iter().map(|&v| v as f32).collect())
            }
            data_type::DOUBLE => Data::F32(elements(&raw, |bytes| f64::from_le_bytes(bytes) as f32)),
            data_type::INT64 if raw.is_empty() => Data::I64(int64_data),
            data_type::INT64 => Data::I64(elements(&raw, i64::from_le_bytes)),
            data_type::INT32 if raw.is_empty() => Data::I32(int32_data),
            data_type::INT32 => Data::I32(elements(&raw, i32::from_le_bytes)),
            data_type::INT8 if raw.is_empty() => Data::I8(int32_data.iter().map(|&v| v as i8).collect()),
            data_type::INT8 => Data::I8(elements(&raw, i8::from_le_bytes)),
            data_type::UINT8 if raw.is_empty() => Data::U8(int32_data.iter().map(|&v| v as u8).collect()),
            data_type::UINT8 => Data::U8(raw),
            data_type::BOOL if raw.is_empty() => Data::Bool(int32_data.iter().map(|&v| v != 0).collect()),
            data_type::BOOL => Data::Bool(raw.iter().map(|&v| v != 0).collect()),
            other => return Err(fail(format!("unsupported element type {other}"))),
        };
        if data.len() != count {
            return Err(fail(format!(
                "shape {shape:?} wants {count} elements, the file holds {}",
                data.len()
            )));
        }
        Ok(Self { shape, data })
    }

    fn to_proto(&self, name: &str) -> proto::TensorProto {
        let raw_data = match &self.data {
            Data::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I8(values) => values.iter().map(|&v| v as u8).collect(),
            Data::U8(values) => values.clone(),
            Data::Bool(values) => values.iter().map(|&v| u8::from(v)).collect(),
        };
        proto::TensorProto {
            dims: self.shape.iter().map(|&d| d as i64).collect(),
            data_type: self.data.element(),
            name: name.into(),
            raw_data,
            ..Default::default()
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

fn elements<const N: usize, T>(raw: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|&bytes| decode(bytes)).collect()
}
