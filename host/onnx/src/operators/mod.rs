//! The operators that networks are made of, one file for each: from the node of an ONNX file to the float
//! graph (`import`) and back (`export`), and from the node of an int8 file to the int8 graph (`read`) and
//! back (`write`).

mod activation;
mod add;
pub(crate) mod affine;
mod arithmetic;
mod attributes;
mod average_pool;
mod broadcast;
mod concat;
mod conv;
mod dense;
mod lookup;
mod max_pool;
mod mul;
mod pad;
mod problem;
mod reshape;
mod resize;
mod select;
mod softmax;
mod window;

use goldcrest_quantize::graph::{FloatOp, Node as GraphNode, QuantizedOp};

use super::Node;
use super::float_export::Export;
use super::import::{Fold, Form, Importer, Value, quantized};
use super::int8::{Held, Reader, RealOp, Writer};

pub use activation::write_clamp;
pub use attributes::check as check_attributes;
pub use conv::oihw;
pub use problem::{Problem, unsupported};
pub use window::node as windowed;

/// A node of an int8 graph.
type Int8Node = GraphNode<QuantizedOp>;

/// How one operator is imported: reads its inputs, adds nodes to the graph, answers what its
/// first output is.
type Rule = fn(&mut Importer<'_>, &Node) -> Result<Value, Problem>;

/// Every ONNX operator that can stand on activations.
pub const RULES: &[(&str, Rule)] = &[
    ("Abs", activation::abs),
    ("Add", add::import),
    ("AveragePool", average_pool::import),
    ("BatchNormalization", affine::batch_normalization),
    ("Cast", reshape::cast),
    ("CastLike", reshape::cast_like),
    ("Celu", activation::celu),
    ("Clip", activation::clip),
    ("Concat", concat::import),
    ("Conv", conv::import),
    ("DequantizeLinear", quantized::dequantize),
    ("Div", arithmetic::div),
    ("Dropout", reshape::identity),
    ("Elu", activation::elu),
    ("Erf", activation::erf),
    ("Exp", activation::exp),
    ("Flatten", reshape::flatten),
    ("Gather", select::gather),
    ("Gelu", activation::gelu),
    ("Gemm", dense::gemm),
    ("GlobalAveragePool", average_pool::global),
    ("GlobalMaxPool", max_pool::global),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", reshape::identity),
    ("LeakyRelu", activation::leaky_relu),
    ("LogSoftmax", softmax::softmax),
    ("MatMul", dense::matmul),
    ("Max", activation::max),
    ("MaxPool", max_pool::import),
    ("Min", activation::min),
    ("Mish", activation::mish),
    ("Mul", mul::import),
    ("Neg", arithmetic::neg),
    ("PRelu", activation::parametric_relu),
    ("Pad", pad::import),
    ("Pow", activation::pow),
    ("QuantizeLinear", quantized::quantize),
    ("ReduceMax", max_pool::reduce),
    ("ReduceMean", average_pool::reduce_mean),
    ("ReduceSum", average_pool::reduce_sum),
    ("Relu", activation::relu),
    ("Reshape", reshape::reshape),
    ("Resize", resize::import),
    ("Selu", activation::selu),
    ("Shape", reshape::shape),
    ("Sigmoid", activation::sigmoid),
    ("Slice", select::slice),
    ("Softmax", softmax::softmax),
    ("Softplus", activation::softplus),
    ("Softsign", activation::softsign),
    ("Split", select::split),
    ("Sqrt", activation::sqrt),
    ("Squeeze", reshape::squeeze),
    ("Sub", arithmetic::sub),
    ("Tanh", activation::tanh),
    ("ThresholdedRelu", activation::thresholded_relu),
    ("Transpose", reshape::transpose),
    ("Unsqueeze", reshape::unsqueeze),
    ("Upsample", resize::upsample),
];

/// Operators of activations that exporters apply to constants, such as parts of shapes, too.
pub const FOLDS: &[(&str, Fold)] = &[
    ("Add", add::FOLD),
    ("Concat", concat::FOLD),
    ("Div", arithmetic::DIV),
    ("Max", activation::MAX),
    ("Min", activation::MIN),
    ("Mod", arithmetic::MOD),
    ("Mul", mul::FOLD),
    ("Pow", activation::POW),
    ("Sub", arithmetic::SUB),
];

/// Operators that are int8 themselves in files of other tools (QOperator).
pub const FORMS: &[Form] = &[
    activation::LEAKY_RELU_FORM,
    activation::SIGMOID_FORM,
    add::FORM,
    average_pool::FORM,
    average_pool::GLOBAL_FORM,
    concat::FORM,
    conv::FORM,
    dense::GEMM_FORM,
    dense::MATMUL_FORM,
    mul::FORM,
];

/// How a node of an int8 file is read: what its output, of that name, is.
type Read = for<'a> fn(&mut Reader<'a>, &'a Node, &str) -> Result<Held, Problem>;

/// Every ONNX operator of int8 files but the last `Flatten`.
pub const INT8: &[(&str, Read)] = &[
    ("Add", add::read),
    ("Cast", lookup::read_index),
    ("Clip", activation::read_clamp),
    ("Concat", concat::read),
    ("DequantizeLinear", arithmetic::read_operand),
    ("Gather", lookup::read),
    ("MaxPool", max_pool::read),
    ("Mul", mul::read),
    ("Pad", pad::read),
    ("QLinearConv", conv::read),
    ("QuantizeLinear", arithmetic::read_result),
    ("Resize", resize::read),
];

/// Writes an operator to a float file, but for its node, which is returned.
pub fn export(export: &mut Export<'_>, op: &FloatOp) -> Node {
    match op {
        FloatOp::Conv(conv) => conv::export(export, conv),
        FloatOp::Activation(activation) => activation::export(export, activation),
        FloatOp::MaxPool(pool) => max_pool::export(export, pool),
        FloatOp::AveragePool(pool) => average_pool::export(export, pool),
        FloatOp::Add => add::export(export),
        FloatOp::Mul => mul::export(export),
        FloatOp::Concat => concat::export(export),
        FloatOp::Pad(pad) => pad::export(export, pad),
        FloatOp::UpsampleNearest2 => resize::export(export),
    }
}

/// Writes an operator to an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node) {
    match &node.op {
        QuantizedOp::Conv(conv) => conv::write(writer, node, conv),
        QuantizedOp::MaxPool(pool) => max_pool::write(writer, node, pool),
        QuantizedOp::AveragePool(pool) => average_pool::write(writer, node, pool),
        QuantizedOp::Add(add) => add::write(writer, node, add),
        QuantizedOp::Mul(mul) => mul::write(writer, node, mul),
        QuantizedOp::Lookup(lookup) => lookup::write(writer, node, lookup),
        QuantizedOp::Concat => concat::write(writer, node),
        QuantizedOp::Pad(pad) => pad::write(writer, node, pad),
        QuantizedOp::UpsampleNearest2 => resize::write(writer, node),
    }
}
