//! `Mul` of two activations, or of one and a constant for each channel.
//!
//! An int8 file has `DequantizeLinear(k / 2^16)`, `DequantizeLinear(1)`, `Mul`, `QuantizeLinear(1)`.

use goldcrest_engine::requantize::Multiplier;
use goldcrest_quantize::graph::{FloatOp, QuantizedOp};
use goldcrest_quantize::operators::QuantizedMul;

use super::arithmetic::{self, Operands, affine, mismatch, operands, same_shape};
use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer};
use crate::Node;
use crate::import::View;

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(a, b) => {
            // Squeeze-and-excite writes the factor per channel on either side.
            let (whole, factor) = match broadcasts(importer, &a, &b) {
                true => (a, b),
                false => (b, a),
            };
            if !broadcasts(importer, &whole, &factor) {
                return mismatch(importer, &whole, &factor);
            }
            let output = importer.push(node, "", FloatOp::Mul, &[whole.tensor, factor.tensor])?;
            Ok(Value::Activation(whole.of(output)))
        }
        Operands::Constant { view, values, .. } => {
            let zeros = vec![0.0; values.len()];
            affine(importer, node, &view, values, zeros)
        }
    }
}

/// Whether `factor` has the shape of `whole`, or is one value per channel at the same dimension.
fn broadcasts(importer: &Importer<'_>, whole: &View, factor: &View) -> bool {
    if whole.axes == factor.axes && same_shape(importer, whole, factor) {
        return true;
    }
    let (a, b) = (importer.graph.tensor(whole.tensor).shape, importer.graph.tensor(factor.tensor).shape);
    let aligned = || {
        let lead = whole.axes.len() - factor.axes.len();
        whole.axes[lead..].iter().zip(&factor.axes).all(|(axes, own)| own.is_empty() || own == axes)
    };
    (b.height, b.width, b.channels) == (1, 1, a.channels)
        && whole.axes.len() >= factor.axes.len()
        && aligned()
}

/// To a float file.
pub fn export(export: &mut Export<'_>) -> Node {
    Node::new("Mul", export.inputs, &[export.output])
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
