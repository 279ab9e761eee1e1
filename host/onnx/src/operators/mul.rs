//! `Mul` of two activations, or of one and a constant for each channel.
//!
//! An int8 file has `DequantizeLinear(k / 2^16)`, `DequantizeLinear(1)`, `Mul`, `QuantizeLinear(1)`.

use goldcrest_engine::requantize::Multiplier;
use goldcrest_quantize::graph::{FloatOp, QuantizedOp, TensorId};
use goldcrest_quantize::operators::QuantizedMul;

use super::arithmetic::{self, Operands, operands};
use super::broadcast::Broadcast;
use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, affine, broadcast};
use crate::Node;
use crate::import::{Fold, Form, Operands as Int8Operands};

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(a, b) => {
            // A factor per channel needs no more: squeeze-and-excite writes it on either side.
            let (whole, factor) = match broadcast::find(importer, &a, &b)? {
                Broadcast::Channel { whole, other } => (whole, other.tensor),
                _ => broadcast::of_one_shape(importer, node, &a, &b)?,
            };
            let output = push(importer, node, [whole.tensor, factor])?;
            Ok(Value::Activation(whole.of(output)))
        }
        Operands::Constant { view, values, index } => {
            let zeros = vec![0.0; values.len()];
            affine::apply(importer, node, index, &view, values, zeros)
        }
    }
}

/// The product of two tensors as the output of a node.
pub fn push(importer: &mut Importer<'_>, node: &Node, inputs: [TensorId; 2]) -> Result<TensorId, Problem> {
    importer.push(node, "", FloatOp::Mul, &inputs)
}

/// Of constants.
pub const FOLD: Fold = Fold::Arithmetic(|a, b| a * b, i64::wrapping_mul);

/// As an int8 operator of another tool.
pub const FORM: Form = Form { op: "QLinearMul", float: "Mul", operands: Int8Operands::Two, output: 6 };

/// To a float file.
pub fn export(export: &mut Export<'_>) -> Node {
    written(export.inputs, export.output)
}

/// The node of a float file.
pub fn written(inputs: &[&str], output: &str) -> Node {
    Node::new("Mul", inputs, &[output])
}

/// From an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, _: &str) -> Result<Held, Problem> {
    let product = |[multiplier, one]: [Multiplier; 2]| {
        (one.k() == 1 << 16).then_some(QuantizedOp::Mul(QuantizedMul { multiplier }))
    };
    arithmetic::read_operands(reader, node, product)
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, mul: &QuantizedMul) {
    let one = const { Multiplier::new(1 << 16).unwrap() };
    let output = writer.name(node.output);
    arithmetic::write(writer, "Mul", node, &output, [mul.multiplier, one]);
}
