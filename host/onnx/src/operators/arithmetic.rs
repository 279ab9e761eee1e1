//! Arithmetic: two activations, or one and a constant per channel.

use goldcrest_engine::requantize::Multiplier;
use goldcrest_quantize::graph::TensorId;

use super::{Held, Importer, Int8Node, Problem, Reader, RealOp, Value, Writer, add, affine, unsupported};
use crate::import::{Fold, View};
use crate::{Node, Tensor};

pub fn sub(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Activations(a, b) => {
            let less = negated(importer, node, "/minus", b.tensor)?;
            add::sum(importer, node, &a, &b.of(less))
        }
        Operands::Constant { view, values, index: 1 } => {
            affine::apply(importer, node, 1, &view, vec![-1.0; values.len()], values)
        }
        Operands::Constant { view, values, index } => {
            let shift = values.iter().map(|value| -value).collect();
            affine::apply(importer, node, index, &view, vec![1.0; values.len()], shift)
        }
    }
}

pub fn div(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    match operands(importer, node)? {
        Operands::Constant { view, values, index: 0 } => {
            let scale: Vec<f32> = values.iter().map(|value| value.recip()).collect();
            if !scale.iter().all(|scale| scale.is_finite()) {
                return unsupported("divides by zero");
            }
            let zeros = vec![0.0; scale.len()];
            affine::apply(importer, node, 0, &view, scale, zeros)
        }
        _ => unsupported("divides by an activation; only constants can divide"),
    }
}

/// An activation with the other sign. It vanishes in the convolution that writes the activation, where
/// nothing else reads it.
pub fn negated(
    importer: &mut Importer<'_>,
    node: &Node,
    suffix: &str,
    tensor: TensorId,
) -> Result<TensorId, Problem> {
    let channels = importer.graph.tensor(tensor).shape.channels;
    importer.spend_floats(2 * channels)?;
    affine::push(importer, node, suffix, tensor, vec![-1.0; channels], vec![0.0; channels])
}

pub fn neg(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let output = negated(importer, node, "", view.tensor)?;
    Ok(Value::Activation(view.of(output)))
}

/// `Sub` of constants.
pub const SUB: Fold = Fold::Arithmetic(|a, b| a - b, i64::wrapping_sub);

/// `Div` of constants.
pub const DIV: Fold = Fold::Arithmetic(|a, b| a / b, |a, b| a.checked_div(b).unwrap_or(0));

/// `Mod` of constants: the remainder has the sign of the divisor.
pub const MOD: Fold = Fold::Arithmetic(
    |a, b| a - b * (a / b).floor(),
    |a, b| match a.checked_rem(b).unwrap_or(0) {
        rest if rest != 0 && (rest < 0) != (b < 0) => rest + b,
        rest => rest,
    },
);

/// What an operator of two operands reads.
pub enum Operands {
    /// Two activations.
    Activations(View, View),
    /// An activation, at this input, and a constant for each of its channels, or for each element of a
    /// flattened dimension.
    Constant { view: View, values: Vec<f32>, index: usize },
}

/// The operands of a node.
pub fn operands(importer: &Importer<'_>, node: &Node) -> Result<Operands, Problem> {
    if node.inputs.len() != 2 {
        return unsupported(format!("has {} inputs, supported are two", node.inputs.len()));
    }
    let (view, index) = match (importer.activation(node, 0), importer.activation(node, 1)) {
        (Ok(a), Ok(b)) => return Ok(Operands::Activations(a, b)),
        (Ok(view), Err(_)) => (view, 0),
        (Err(_), Ok(view)) => (view, 1),
        (Err(problem), Err(_)) => return Err(problem),
    };
    match importer.floats(node, 1 - index)? {
        Some(constant) => {
            let values = affine::spread(importer, node, index, &view, &constant)?;
            Ok(Operands::Constant { values, view, index })
        }
        None => unsupported("lacks an operand"),
    }
}

/// Whether two tensors have one shape.
pub fn same_shape(importer: &Importer<'_>, a: &View, b: &View) -> bool {
    importer.graph.tensor(a.tensor).shape == importer.graph.tensor(b.tensor).shape
}

/// Says that two activations do not go together.
pub fn mismatch<T>(importer: &Importer<'_>, a: &View, b: &View) -> Result<T, Problem> {
    unsupported(format!(
        "combines {} and {}; both must have one shape and layout (a product also takes one value per \
         channel)",
        importer.describe(a),
        importer.describe(b)
    ))
}

/// `DequantizeLinear` in an int8 file: a tensor times a multiplier.
pub fn read_operand<'a>(reader: &mut Reader<'a>, node: &'a Node, _: &str) -> Result<Held, Problem> {
    let id = reader.input(node, 0)?;
    reader.expect_zero_point(node, 2, id)?;
    let &[ratio] = reader.floats(node, 1)? else { return unsupported("more than one scale") };
    Ok(Held::Operand(id, read_multiplier(ratio)?))
}

/// An operator of two dequantized tensors in an int8 file.
pub fn read_operands(reader: &Reader<'_>, node: &Node, op: RealOp) -> Result<Held, Problem> {
    match (reader.value(node, 0)?, reader.value(node, 1)?) {
        (&Held::Operand(a, ka), &Held::Operand(b, kb)) => Ok(Held::Real(op, [a, b], [ka, kb])),
        _ => unsupported("its operands are not dequantized tensors"),
    }
}

/// `QuantizeLinear` in an int8 file: the sum or the product before it as an int8 tensor.
pub fn read_result<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let (op, inputs) = match *reader.value(node, 0)? {
        Held::Real(op, inputs, multipliers) => (op(multipliers), inputs),
        _ => (None, [TensorId(0); 2]),
    };
    let Some(op) = op else {
        return unsupported("quantizes something else than a sum or a product of two tensors");
    };
    if reader.floats(node, 1)? != [1.0] {
        return unsupported("its scale must be 1: the multipliers are at the operands");
    }
    let value = reader.push(output, op, inputs.to_vec())?;
    reader.expect_zero_point(node, 2, reader.last())?;
    Ok(value)
}

/// A scale that must be on the grid.
pub fn read_multiplier(scale: f32) -> Result<Multiplier, Problem> {
    let k = f64::from(scale) * 65536.0;
    let found =
        if k >= 1.0 && k <= f64::from(i32::MAX) && k == k.trunc() { Multiplier::new(k as u32) } else { None };
    found.ok_or_else(|| Problem(format!("scale {scale} is not a multiple of 2^-16")))
}

/// Writes an operator of two operands to an int8 file.
pub fn write(writer: &mut Writer<'_>, op: &str, node: &Int8Node, output: &str, multipliers: [Multiplier; 2]) {
    let mut operands = Vec::new();
    for (index, (&id, multiplier)) in node.inputs.iter().zip(multipliers).enumerate() {
        let ratio = Tensor::f32(&[], vec![multiplier.to_f64() as f32]);
        let ratio = writer.constant(format!("{output}/ratio{index}"), ratio);
        let zero = writer.zero_point(id);
        let operand = format!("{output}/operand{index}");
        let inputs = [&*writer.name(id), &ratio, &zero];
        writer.push(Node::new("DequantizeLinear", &inputs, &[&operand]));
        operands.push(operand);
    }
    let real = format!("{output}/real");
    writer.push(Node::new(op, &[&operands[0], &operands[1]], &[&real]));
    let one = writer.constant("goldcrest/one".into(), Tensor::f32(&[], vec![1.0]));
    let zero = writer.zero_point(node.output);
    writer.push(Node::new("QuantizeLinear", &[&real, &one, &zero], &[output]));
}
