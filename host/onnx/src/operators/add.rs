//! `Add` of two activations, or of one and a constant for each channel.
//!
//! An int8 file has `DequantizeLinear(ka / 2^16)`, `DequantizeLinear(kb / 2^16)`, `Add`, `QuantizeLinear(1)`
//! [, `Clip`].

use goldcrest_quantize::graph::{Clamp, FloatOp, QuantizedOp, TensorId};
use goldcrest_quantize::operators::QuantizedAdd;

use super::arithmetic::{self, Operands, operands};
use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, affine, broadcast};
use crate::Node;
use crate::import::{Fold, Form, Operands as Int8Operands, View};

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(a, b) => sum(importer, node, &a, &b),
        Operands::Constant { view, values, index } => {
            affine::apply(importer, node, index, &view, vec![1.0; values.len()], values)
        }
    }
}

/// The sum of two activations, of which one may have one value per channel or per position of the other.
pub fn sum(importer: &mut Importer<'_>, node: &Node, a: &View, b: &View) -> Result<Value, Problem> {
    let (whole, other) = broadcast::of_one_shape(importer, node, a, b)?;
    let output = push(importer, node, [whole.tensor, other])?;
    Ok(Value::Activation(whole.of(output)))
}

/// The sum of two tensors as the output of a node.
pub fn push(importer: &mut Importer<'_>, node: &Node, inputs: [TensorId; 2]) -> Result<TensorId, Problem> {
    importer.push(node, "", FloatOp::Add, &inputs)
}

/// Of constants.
pub const FOLD: Fold = Fold::Arithmetic(|a, b| a + b, i64::wrapping_add);

/// As an int8 operator of another tool.
pub const FORM: Form = Form { op: "QLinearAdd", float: "Add", operands: Int8Operands::Two, output: 6 };

/// To a float file.
pub fn export(export: &mut Export<'_>) -> Node {
    Node::new("Add", export.inputs, &[export.output])
}

/// From an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, _: &str) -> Result<Held, Problem> {
    let sum = |multipliers| Some(QuantizedOp::Add(QuantizedAdd { multipliers, clamp: Clamp::NONE }));
    arithmetic::read_operands(reader, node, sum)
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, add: &QuantizedAdd) {
    writer.clamped(node.output, add.clamp, |writer, output| {
        arithmetic::write(writer, "Add", node, output, add.multipliers);
    });
}
