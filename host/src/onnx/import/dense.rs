//! `Gemm` and `MatMul` with constant weights: convolutions whose kernel covers the whole input, or 1x1
//! where they are applied at every position.

use goldcrest_shared::quantize::graph::{FloatConv, FloatOp};
use goldcrest_shared::shape::{Shape, Window};

use super::layout::{Axis, View};
use super::{Importer, Node, Problem, Value, unsupported};

/// `alpha * A * B + beta * C`, A the activation.
pub fn gemm(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    if node.int("transA").unwrap_or(0) != 0 {
        return unsupported("transposes its activation (transA)");
    }
    if view.axes.len() != 2 {
        return unsupported(format!("reads {}; flatten it first", importer.describe(&view)));
    }
    let (weights, outputs) = matrix(importer, node, node.int("transB").unwrap_or(0) != 0)?;
    let alpha = node.float("alpha").unwrap_or(1.0);
    let weights: Vec<f32> = weights.iter().map(|weight| weight * alpha).collect();
    let beta = node.float("beta").unwrap_or(1.0);
    let bias = match importer.floats(node, 2)? {
        None => vec![0.0; outputs],
        Some(c) => match c.as_f32() {
            Some([value]) => vec![value * beta; outputs],
            Some(values) if values.len() == outputs && c.shape.last() == Some(&outputs) => {
                values.iter().map(|value| value * beta).collect()
            }
            _ => return unsupported(format!("bias of shape {:?} for {outputs} outputs", c.shape)),
        },
    };
    Ok(Value::Activation(push(importer, node, &view, 1, &weights, outputs, bias)?))
}

/// Activation times constant matrix, over the last dimension.
pub fn matmul(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let Ok(view) = importer.activation(node, 0) else {
        return unsupported("multiplies a constant by an activation; supported is activation by constant");
    };
    if view.axes.len() < 2 {
        return unsupported(format!(
            "reads {}; supported are two dimensions or more",
            importer.describe(&view)
        ));
    }
    let (weights, outputs) = matrix(importer, node, false)?;
    let last = view.axes.len() - 1;
    Ok(Value::Activation(push(importer, node, &view, last, &weights, outputs, vec![0.0; outputs])?))
}

/// The constant matrix at input 1 as rows of outputs: `[outputs][inputs]`.
fn matrix(importer: &Importer<'_>, node: &Node, transposed: bool) -> Result<(Vec<f32>, usize), Problem> {
    let Some(tensor) = importer.floats(node, 1)? else { return unsupported("has no weights") };
    let (&[rows, columns], Some(values)) = (&*tensor.shape, tensor.as_f32()) else {
        return unsupported(format!("weights of shape {:?}; supported is a matrix", tensor.shape));
    };
    if transposed {
        return Ok((values.to_vec(), rows));
    }
    let turned =
        (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect();
    Ok((turned, columns))
}

/// Adds the product over one dimension of a view. `weights` are `[outputs][size of the dimension]`.
pub fn push(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    dimension: usize,
    weights: &[f32],
    outputs: usize,
    bias: Vec<f32>,
) -> Result<View, Problem> {
    let shape = importer.graph.tensor(view.tensor).shape;
    let axes = &view.axes[dimension];
    let elsewhere = || view.axes.iter().enumerate().filter(|&(index, _)| index != dimension);
    let mixes_batch = axes.contains(&Axis::Batch);
    let alone = elsewhere().all(|(_, axes)| axes.iter().all(|&axis| axis == Axis::Batch));
    let per_position = axes.iter().all(|&axis| axis == Axis::Channel)
        && elsewhere().all(|(_, axes)| !axes.contains(&Axis::Channel));
    let size: usize = axes.iter().map(|axis| axis.size(shape, importer.batch)).product();
    if mixes_batch || !(alone || per_position) {
        return unsupported(format!("multiplies over a part of {}", importer.describe(view)));
    }
    if size * outputs != weights.len() || outputs == 0 {
        return unsupported(format!("{} weights for {size} inputs and {outputs} outputs", weights.len()));
    }
    importer.spend(weights.len() + outputs)?;
    let (window, weights) = match alone {
        true => (Window::new([shape.height, shape.width], [1, 1]), covering(weights, axes, shape)),
        false => (Window::new([1, 1], [1, 1]), weights.to_vec()),
    };
    let conv = FloatConv { window, groups: 1, weights, bias };
    let output = importer.push(node, "", FloatOp::Conv(conv), &[view.tensor])?;
    let mut axes = view.axes.clone();
    axes[dimension] = if outputs == 1 { vec![] } else { vec![Axis::Channel] };
    Ok(View { tensor: output, axes })
}

/// Weights over a flattened dimension in the order of its axes, put in OHWI order.
fn covering(weights: &[f32], axes: &[Axis], shape: Shape) -> Vec<f32> {
    // Distance in the flattened dimension between neighbours along each axis.
    let stride = |wanted: Axis| match axes.iter().position(|&axis| axis == wanted) {
        Some(index) => axes[index + 1..].iter().map(|axis| axis.size(shape, 1)).product(),
        None => 0usize,
    };
    let (row, column, channel) = (stride(Axis::Row), stride(Axis::Column), stride(Axis::Channel));
    let mut turned = Vec::with_capacity(weights.len());
    for inputs in weights.chunks_exact(shape.len()) {
        for y in 0..shape.height {
            for x in 0..shape.width {
                turned.extend((0..shape.channels).map(|c| inputs[y * row + x * column + c * channel]));
            }
        }
    }
    turned
}
