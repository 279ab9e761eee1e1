//! The part of ONNX's protobuf schema that Goldcrest reads and writes (onnx.proto3, IR version 8): the
//! numbers of types and fields. Fields that are not listed are skipped when reading.

/// `TensorProto.DataType`.
pub mod data_type {
    #![allow(missing_docs)]
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;
    pub const BFLOAT16: i32 = 16;
}

/// The name of an element type ([`data_type`]) in ONNX's terms; its number where it has none.
pub fn element_name(element: i32) -> String {
    const NAMES: [&str; 24] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
    ];
    let name = usize::try_from(element).ok().and_then(|element| NAMES.get(element));
    name.map_or_else(|| element.to_string(), |&name| name.to_owned())
}

/// `AttributeProto.AttributeType`.
pub mod attribute_type {
    #![allow(missing_docs)]
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const TENSOR: i32 = 4;
    pub const GRAPH: i32 = 5;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
    pub const STRINGS: i32 = 8;

    /// The name of a type that attributes of supported operators do not have.
    pub fn name(kind: i32) -> String {
        match kind {
            GRAPH => "subgraph".into(),
            9 => "tensors".into(),
            10 => "subgraphs".into(),
            11 | 12 => "sparse tensor".into(),
            _ => kind.to_string(),
        }
    }
}

/// Fields of `ModelProto`.
pub mod model {
    #![allow(missing_docs)]
    pub const IR_VERSION: u32 = 1;
    pub const PRODUCER_NAME: u32 = 2;
    pub const PRODUCER_VERSION: u32 = 3;
    pub const GRAPH: u32 = 7;
    pub const OPSET_IMPORT: u32 = 8;
    pub const METADATA_PROPS: u32 = 14;
    pub const FUNCTIONS: u32 = 25;
}

/// Fields of `OperatorSetIdProto`.
pub mod operator_set {
    #![allow(missing_docs)]
    pub const DOMAIN: u32 = 1;
    pub const VERSION: u32 = 2;
}

/// Fields of `StringStringEntryProto`.
pub mod entry {
    #![allow(missing_docs)]
    pub const KEY: u32 = 1;
    pub const VALUE: u32 = 2;
}

/// Fields of `GraphProto`.
pub mod graph {
    #![allow(missing_docs)]
    pub const NODE: u32 = 1;
    pub const NAME: u32 = 2;
    pub const INITIALIZER: u32 = 5;
    pub const INPUT: u32 = 11;
    pub const OUTPUT: u32 = 12;
    pub const VALUE_INFO: u32 = 13;
}

/// Fields of `NodeProto`.
pub mod node {
    #![allow(missing_docs)]
    pub const INPUT: u32 = 1;
    pub const OUTPUT: u32 = 2;
    pub const NAME: u32 = 3;
    pub const OP_TYPE: u32 = 4;
    pub const ATTRIBUTE: u32 = 5;
    pub const DOMAIN: u32 = 7;
}

/// Fields of `FunctionProto`.
pub mod function {
    #![allow(missing_docs)]
    pub const NAME: u32 = 1;
    pub const INPUT: u32 = 4;
    pub const OUTPUT: u32 = 5;
    pub const NODE: u32 = 7;
    pub const DOMAIN: u32 = 10;
    pub const ATTRIBUTE_PROTO: u32 = 11;
}

/// Fields of `AttributeProto`.
pub mod attribute {
    #![allow(missing_docs)]
    pub const NAME: u32 = 1;
    pub const F: u32 = 2;
    pub const I: u32 = 3;
    pub const S: u32 = 4;
    pub const T: u32 = 5;
    pub const FLOATS: u32 = 7;
    pub const INTS: u32 = 8;
    pub const STRINGS: u32 = 9;
    pub const TYPE: u32 = 20;
    pub const REF_ATTR_NAME: u32 = 21;
}

/// Fields of `TensorProto`.
pub mod tensor {
    #![allow(missing_docs)]
    pub const DIMS: u32 = 1;
    pub const DATA_TYPE: u32 = 2;
    pub const FLOAT_DATA: u32 = 4;
    pub const INT32_DATA: u32 = 5;
    pub const INT64_DATA: u32 = 7;
    pub const NAME: u32 = 8;
    pub const RAW_DATA: u32 = 9;
    pub const DOUBLE_DATA: u32 = 10;
    pub const EXTERNAL_DATA: u32 = 13;
    pub const DATA_LOCATION: u32 = 14;
}

/// Fields of `ValueInfoProto`.
pub mod value_info {
    #![allow(missing_docs)]
    pub const NAME: u32 = 1;
    pub const TYPE: u32 = 2;
}

/// Fields of `TypeProto`, of which a type has one.
pub mod value_type {
    #![allow(missing_docs)]
    pub const TENSOR: u32 = 1;
    pub const SEQUENCE: u32 = 4;
}

/// Fields of `TypeProto.Sequence`.
pub mod sequence {
    #![allow(missing_docs)]
    pub const ELEM_TYPE: u32 = 1;
}

/// Fields of `TypeProto.Tensor`.
pub mod tensor_type {
    #![allow(missing_docs)]
    pub const ELEM_TYPE: u32 = 1;
    pub const SHAPE: u32 = 2;
}

/// Fields of `TensorShapeProto`.
pub mod shape {
    #![allow(missing_docs)]
    pub const DIM: u32 = 1;
}

/// Fields of `TensorShapeProto.Dimension`, of which a dimension has one.
pub mod dimension {
    #![allow(missing_docs)]
    pub const VALUE: u32 = 1;
    pub const PARAM: u32 = 2;
}
