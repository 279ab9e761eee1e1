//! Models that other tools quantized: `QuantizeLinear` and `DequantizeLinear` around float operators (QDQ). On
//! activations they change nothing here but say which grid the tensor has; on weights and biases they are
//! computed, and the scales remembered.

use goldcrest_shared::quantize::graph::Quantization;

use super::{Importer, Node, Problem, Tensor, Value, unsupported};
use crate::onnx::Data;

/// Notes the grid of an activation.
pub fn quantize(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let grid = grid(importer, node)?;
    match importer.grids.get(&view.tensor) {
        Some(known) if *known != grid => unsupported(format!(
            "gives an activation a second grid ({} and {}); only one can be kept",
            known.scale, grid.scale
        )),
        _ => {
            importer.grids.insert(view.tensor, grid);
            Ok(Value::Activation(view))
        }
    }
}

/// The inverse: the activation is what it was.
pub fn dequantize(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    quantize(importer, node)
}

/// The grid that a node's scale and zero point make; unsigned values are seen as signed ones 128 lower.
fn grid(importer: &Importer<'_>, node: &Node) -> Result<Quantization, Problem> {
    let scale = importer.floats(node, 1)?;
    let Some(&[scale]) = scale.as_ref().and_then(|scale| scale.as_f32()) else {
        return unsupported("quantizes an activation with more than one scale; supported is one per tensor");
    };
    if !scale.is_finite() || scale <= 0.0 {
        return unsupported(format!("scale {scale} is not positive"));
    }
    let zero_point = match importer.constant(node, 2)?.as_ref().map(|zero| &zero.data) {
        None => i8::MIN,
        Some(Data::I8(zero)) if zero.len() == 1 => zero[0],
        Some(Data::U8(zero)) if zero.len() == 1 => (i16::from(zero[0]) - 128) as i8,
        Some(_) => return unsupported("its zero point is not one int8 or uint8 value"),
    };
    Ok(Quantization { scale, zero_point })
}

/// `DequantizeLinear` of a constant.
pub fn dequantized(
    node: &Node,
    values: &Tensor,
    scale: &Tensor,
    zero: Option<&Tensor>,
) -> Result<Tensor, Problem> {
    let at = axis(node, values, scale)?;
    let scales = scale.as_f32().unwrap_or_default();
    let real = |index: usize| -> Result<f32, Problem> {
        let channel = at(index);
        Ok((integer(values, index)? - zero_point(zero, channel)?) as f32 * scales[channel])
    };
    Ok(Tensor::f32(&values.shape, (0..values.data.len()).map(real).collect::<Result<_, Problem>>()?))
}

/// `QuantizeLinear` of a constant: to int8 or uint8, as its zero point is; to uint8 without one.
pub fn quantized(
    node: &Node,
    values: &Tensor,
    scale: &Tensor,
    zero: Option<&Tensor>,
) -> Result<Tensor, Problem> {
    let Some(real) = values.as_f32() else { return unsupported("quantizes a constant that is not float") };
    let at = axis(node, values, scale)?;
    let scales = scale.as_f32().unwrap_or_default();
    let signed = matches!(zero.map(|zero| &zero.data), Some(Data::I8(_)));
    let (low, high) = if signed { (-128.0, 127.0) } else { (0.0, 255.0) };
    let integer = |(index, &value): (usize, &f32)| -> Result<f32, Problem> {
        let channel = at(index);
        let zero = zero_point(zero, channel)? as f32;
        Ok(((value / scales[channel]).round_ties_even() + zero).clamp(low, high))
    };
    let integers = real.iter().enumerate().map(integer);
    let data = match signed {
        true => Data::I8(integers.map(|value| Ok(value? as i8)).collect::<Result<_, Problem>>()?),
        false => Data::U8(integers.map(|value| Ok(value? as u8)).collect::<Result<_, Problem>>()?),
    };
    Ok(Tensor::new(&values.shape, data))
}

/// The zero point of a channel; there is one for all, or one for each.
fn zero_point(zeros: Option<&Tensor>, channel: usize) -> Result<i64, Problem> {
    match zeros {
        None => Ok(0),
        Some(zeros) if zeros.data.len() == 1 => integer(zeros, 0),
        Some(zeros) => integer(zeros, channel),
    }
}

fn integer(tensor: &Tensor, index: usize) -> Result<i64, Problem> {
    let found = match &tensor.data {
        Data::I8(values) => values.get(index).map(|&value| value.into()),
        Data::U8(values) => values.get(index).map(|&value| value.into()),
        Data::I32(values) => values.get(index).map(|&value| value.into()),
        _ => return unsupported("quantized constants are int8, uint8 or int32"),
    };
    found.map_or_else(|| unsupported("has fewer zero points than scales"), Ok)
}

/// From an element's place to the place of its scale.
fn axis(node: &Node, values: &Tensor, scale: &Tensor) -> Result<impl Fn(usize) -> usize + use<>, Problem> {
    let count = scale.as_f32().map_or(0, <[f32]>::len);
    let rank = values.shape.len() as i64;
    let axis = node.int("axis").unwrap_or(1);
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
    let inner = match (count, values.shape.get(axis)) {
        (1, _) => usize::MAX,
        (_, Some(&size)) if size == count && count > 0 => values.shape[axis + 1..].iter().product(),
        _ => return unsupported(format!("{count} scales for a constant of shape {:?}", values.shape)),
    };
    Ok(move |index: usize| (index / inner) % count)
}
