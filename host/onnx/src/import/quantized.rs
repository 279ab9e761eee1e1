//! Models that other tools quantized: `QuantizeLinear` and `DequantizeLinear` around float operators (QDQ).
//! On activations they change nothing here but say which grid the tensor has; on weights and biases they are
//! computed, and the scales remembered.

use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::{Activation, FloatOp, Quantization, TensorId};
use goldcrest_quantize::operators::FloatOperator;

use super::known::{Constant, Dequantized};
use super::{Importer, Node, Problem, Tensor, Value, View, constant, unsupported};
use crate::Data;
use crate::proto::data_type;

/// Notes the grid of an activation, and what it cuts off.
pub fn quantize(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let grid = grid(importer, node)?;
    let view = saturate(importer, node, &view, grid)?;
    note(importer, view, grid)
}

/// The inverse: the activation is what it was.
pub fn dequantize(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let grid = grid(importer, node)?;
    note(importer, view, grid)
}

fn note(importer: &mut Importer<'_>, view: View, grid: Quantization) -> Result<Value, Problem> {
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

/// Bounds an activation by its grid where that computes something: some tools write a Relu as the end of a
/// grid at 0. Behind a convolution or an addition, bounds cost nothing; elsewhere they are kept where values
/// below 0 are cut off.
fn saturate(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    grid: Quantization,
) -> Result<View, Problem> {
    let tensor = view.tensor;
    if let Some(&saturated) = importer.saturated.get(&tensor) {
        return Ok(view.of(saturated));
    }
    let graph = &importer.graph;
    let writes = graph.nodes.iter().rev().find(|node| node.output == tensor);
    let (Some(writes), false) = (writes, importer.grids.contains_key(&tensor)) else {
        return Ok(view.clone());
    };
    let (low, high) = (-128.0 - f32::from(grid.zero_point), 127.0 - f32::from(grid.zero_point));
    let (low, high) = (low * grid.scale, high * grid.scale);
    let cuts = writes.op.rules().takes_bounds() || low == 0.0 && !is_positive(graph, tensor, BACK);
    if !cuts {
        return Ok(view.clone());
    }
    let clip = FloatOp::Activation(Activation::Clip { low, high });
    let saturated = importer.push(node, "", clip, &[tensor])?;
    importer.saturated.insert(tensor, saturated);
    Ok(view.of(saturated))
}

/// How many nodes back the sign of a value is looked for.
const BACK: usize = 8;

/// Whether a tensor is known to have no value below 0.
fn is_positive(graph: &FloatGraph, tensor: TensorId, back: usize) -> bool {
    let writes = graph.nodes.iter().rev().find(|node| node.output == tensor);
    let Some(node) = writes.filter(|_| back > 0) else { return false };
    let inputs = || node.inputs.iter().all(|&input| is_positive(graph, input, back - 1));
    match &node.op {
        FloatOp::Activation(Activation::Sigmoid | Activation::HardSigmoid { .. }) => true,
        FloatOp::Activation(activation) => activation.bounds().is_some_and(|(low, _)| low >= 0.0),
        FloatOp::Conv(_) => false,
        _ => inputs(),
    }
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
        None if is_signed(node) => 0,
        None => i8::MIN,
        Some(Data::I8(zero)) if zero.len() == 1 => zero[0],
        Some(Data::U8(zero)) if zero.len() == 1 => (i16::from(zero[0]) - 128) as i8,
        Some(_) => return unsupported("its zero point is not one int8 or uint8 value"),
    };
    Ok(Quantization { scale, zero_point })
}

/// Whether a node without a zero point makes int8 values.
fn is_signed(node: &Node) -> bool {
    node.int("output_dtype") == Some(data_type::INT8.into())
}

/// Scales and zero points: one of each for a whole tensor, or for each place along one axis.
#[derive(Clone, Debug)]
pub struct Scales<'a> {
    scales: Constant<'a>,
    zeros: Option<Constant<'a>>,
    axis: usize,
    /// Neighbours along the axis are this many elements apart.
    distance: usize,
}

impl<'a> Scales<'a> {
    /// The scales of a node's constant: inputs 1 and 2.
    fn of(
        node: &Node,
        values: &Tensor,
        scales: &Constant<'a>,
        zeros: Option<&Constant<'a>>,
    ) -> Result<Self, Problem> {
        let count = scales.as_f32().map_or(0, <[f32]>::len);
        let rank = values.shape.len() as i64;
        let axis = node.int("axis").unwrap_or(1);
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        if count != 1 && (count == 0 || values.shape.get(axis) != Some(&count)) {
            return unsupported(format!("{count} scales for a constant of shape {:?}", values.shape));
        }
        if let Some(zeros) = zeros {
            if integer(&zeros.data, 0).is_none() {
                return unsupported("its zero points are not int8, uint8 or int32");
            }
            if zeros.data.len() != 1 && zeros.data.len() < count {
                return unsupported("has fewer zero points than scales");
            }
        }
        let (scales, zeros) = (scales.clone(), zeros.cloned());
        Ok(Self { scales, zeros, axis, distance: distance(&values.shape, axis) })
    }

    /// The scale and the zero point of the element at a place.
    fn at(&self, index: usize) -> (f32, i64) {
        let scales = self.scales.as_f32().unwrap_or_default();
        let channel = if scales.len() == 1 { 0 } else { index / self.distance % scales.len() };
        let zero = self.zeros.as_ref().and_then(|zeros| match zeros.data.len() {
            1 => integer(&zeros.data, 0),
            _ => integer(&zeros.data, channel),
        });
        (scales[channel], zero.unwrap_or(0))
    }

    /// What an integer stands for.
    pub fn real(&self, integers: &Tensor, index: usize) -> f32 {
        let (scale, zero) = self.at(index);
        (integer(&integers.data, index).unwrap_or(0) - zero) as f32 * scale
    }
}

/// How many elements neighbours along an axis are apart.
fn distance(shape: &[usize], axis: usize) -> usize {
    shape.iter().skip(axis.saturating_add(1)).product::<usize>().max(1)
}

fn integer(data: &Data, index: usize) -> Option<i64> {
    match data {
        Data::I8(values) => values.get(index).map(|&value| value.into()),
        Data::U8(values) => values.get(index).map(|&value| value.into()),
        Data::I32(values) => values.get(index).map(|&value| value.into()),
        _ => None,
    }
}

/// `DequantizeLinear` of a constant.
pub fn dequantized<'a>(node: &Node, inputs: &[Option<Constant<'a>>]) -> Result<Dequantized<'a>, Problem> {
    let [Some(integers), Some(scales), zeros @ ..] = inputs else { return unsupported("lacks an input") };
    if !matches!(integers.data, Data::I8(_) | Data::U8(_) | Data::I32(_)) {
        return unsupported("quantized constants are int8, uint8 or int32");
    }
    let zeros = zeros.first().and_then(Option::as_ref);
    Ok(Dequantized { integers: integers.clone(), scales: Scales::of(node, integers, scales, zeros)? })
}

/// An operator that only moves elements, applied to the integers; `None` for others, which need the floats.
pub fn moved<'a>(
    node: &Node,
    constant: &Dequantized<'a>,
    others: &[Option<Constant<'a>>],
) -> Option<Result<Dequantized<'a>, Problem>> {
    let mut scales = constant.scales.clone();
    let single = scales.scales.data.len() == 1;
    match &*node.op {
        "Identity" => return Some(Ok(constant.clone())),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if single => {}
        "Transpose" if single => {}
        "Transpose" => {
            let order = constant::order(node, &constant.integers).ok()?;
            scales.axis = order.iter().position(|&from| from == scales.axis)?;
        }
        _ => return None,
    }
    let inputs = [&[Some(constant.integers.clone())], others].concat();
    Some(constant::fold(node, &inputs).map(|integers| {
        scales.distance = distance(&integers.shape, scales.axis);
        Dequantized { integers: integers.into(), scales }
    }))
}

/// `QuantizeLinear` of a constant: to int8 or uint8, as its zero point is; to uint8 without one.
pub fn quantized<'a>(
    node: &Node,
    values: &Tensor,
    scale: &Constant<'a>,
    zero: Option<&Constant<'a>>,
) -> Result<Tensor, Problem> {
    let Some(real) = values.as_f32() else { return unsupported("quantizes a constant that is not float") };
    let scales = Scales::of(node, values, scale, zero)?;
    let signed = match zero {
        Some(zero) => matches!(zero.data, Data::I8(_)),
        None => is_signed(node),
    };
    let (low, high) = if signed { (-128.0, 127.0) } else { (0.0, 255.0) };
    let integers = real.iter().enumerate().map(|(index, &value)| {
        let (scale, zero) = scales.at(index);
        ((value / scale).round_ties_even() + zero as f32).clamp(low, high)
    });
    let data = match signed {
        true => Data::I8(integers.map(|value| value as i8).collect()),
        false => Data::U8(integers.map(|value| value as u8).collect()),
    };
    Ok(Tensor::new(&values.shape, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attribute;

    #[test]
    fn integers_that_move_keep_their_scales() {
        let integers = Tensor::new(&[2, 3], Data::I8(vec![1, 2, 3, 4, 5, 6]));
        let (scales, zeros) = (Tensor::f32(&[2], vec![1.0, 10.0]), Tensor::new(&[2], Data::I8(vec![0, 1])));
        let node = Node::new("DequantizeLinear", &["q", "s", "z"], &["w"]).with("axis", Attribute::Int(0));
        let inputs = [Some(integers.into()), Some(scales.into()), Some(zeros.into())];
        let constant = dequantized(&node, &inputs).unwrap();
        assert_eq!(constant.tensor(), Tensor::f32(&[2, 3], vec![1.0, 2.0, 3.0, 30.0, 40.0, 50.0]));
        let turned = moved(&Node::new("Transpose", &["w"], &["t"]), &constant, &[]).unwrap().unwrap();
        assert_eq!(turned.tensor(), Tensor::f32(&[3, 2], vec![1.0, 30.0, 2.0, 40.0, 3.0, 50.0]));
        // The scales would no longer lie along one axis.
        assert!(moved(&Node::new("Flatten", &["w"], &["f"]), &constant, &[]).is_none());
    }

    #[test]
    fn scales_and_zero_points_must_fit() {
        let problem = |scales: usize, zeros: usize| {
            let integers = Tensor::new(&[2, 3], Data::I8(vec![1; 6]));
            let (scales, zeros) = (vec![1.0; scales], Data::I8(vec![0; zeros]));
            let inputs = [
                Some(integers.into()),
                Some(Tensor::f32(&[scales.len()], scales).into()),
                Some(Tensor::new(&[zeros.len()], zeros).into()),
            ];
            dequantized(&Node::new("DequantizeLinear", &["q", "s", "z"], &["w"]), &inputs).err().map(|e| e.0)
        };
        assert_eq!(problem(3, 3), None);
        assert_eq!(problem(1, 1), None);
        assert!(problem(2, 2).unwrap().contains("2 scales"));
        assert!(problem(3, 2).unwrap().contains("fewer zero points"));
        assert!(problem(0, 0).unwrap().contains("0 scales"));
    }
}
