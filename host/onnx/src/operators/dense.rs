//! `Gemm` and `MatMul` with constant weights: convolutions whose kernel covers the whole input, or 1x1
//! where they are applied at every position.

use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::graph::FloatConv;

use super::{Importer, Problem, Value, unsupported};
use crate::Node;
use crate::import::{Axis, Form, Operands, View, Weights};

/// `alpha * A * B + beta * C`, A the activation.
pub fn gemm(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    if node.int("transA").unwrap_or(0) != 0 {
        return unsupported("transposes its activation (transA)");
    }
    if view.axes.len() != 2 {
        return unsupported(format!("reads {}; flatten it first", importer.describe(&view)));
    }
    let weights = importer.weights(node, 1)?;
    let &[rows, columns] = weights.shape() else { return no_matrix(&weights) };
    let transposed = node.int("transB").unwrap_or(0) != 0;
    let [outputs, inputs] = if transposed { [rows, columns] } else { [columns, rows] };
    let (alpha, beta) = (node.float("alpha").unwrap_or(1.0), node.float("beta").unwrap_or(1.0));
    let c = importer.floats(node, 2)?;
    importer.spend_floats(outputs)?;
    let bias = match c.as_ref().map(|c| (c.as_f32().unwrap_or_default(), &*c.shape)) {
        None => vec![0.0; outputs],
        Some(([value], _)) => vec![value * beta; outputs],
        Some((values, [.., last])) if values.len() == outputs && *last == outputs => {
            values.iter().map(|value| value * beta).collect()
        }
        Some((_, shape)) => return unsupported(format!("bias of shape {shape:?} for {outputs} outputs")),
    };
    let at = |output: usize, input: usize| {
        alpha * weights.at(if transposed { output * inputs + input } else { input * outputs + output })
    };
    fully_connected(importer, node, &view, 1, [outputs, inputs], bias, at)
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
    let weights = importer.weights(node, 1)?;
    let &[inputs, outputs] = weights.shape() else { return no_matrix(&weights) };
    importer.spend_floats(outputs)?;
    let (last, bias) = (view.axes.len() - 1, vec![0.0; outputs]);
    let at = |output: usize, input: usize| weights.at(input * outputs + output);
    fully_connected(importer, node, &view, last, [outputs, inputs], bias, at)
}

/// A product over one dimension of a node's first input, with what waits there for its weights.
fn fully_connected(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    dimension: usize,
    [outputs, inputs]: [usize; 2],
    mut bias: Vec<f32>,
    weight: impl Fn(usize, usize) -> f32,
) -> Result<Value, Problem> {
    let factors = importer.factors(node, 0).filter(|factors| factors.scale.len() == inputs);
    let Some(factors) = factors else {
        return Ok(Value::Activation(push(
            importer,
            node,
            view,
            dimension,
            [outputs, inputs],
            bias,
            weight,
        )?));
    };
    for (output, bias) in bias.iter_mut().enumerate() {
        let moved = |(input, &shift): (usize, &f32)| f64::from(weight(output, input)) * f64::from(shift);
        *bias = (f64::from(*bias) + factors.shift.iter().enumerate().map(moved).sum::<f64>()) as f32;
    }
    let scaled = |output: usize, input: usize| weight(output, input) * factors.scale[input];
    Ok(Value::Activation(push(importer, node, view, dimension, [outputs, inputs], bias, scaled)?))
}

/// `MatMul` as an int8 operator of another tool.
pub const MATMUL_FORM: Form = Form {
    op: "QLinearMatMul",
    float: "MatMul",
    operands: Operands::Weights { axis: |_| 1, bias: None },
    output: 6,
};

/// `Gemm` as an int8 operator of another tool. The scales of its weights count outputs.
pub const GEMM_FORM: Form = Form {
    op: "QGemm",
    float: "Gemm",
    operands: Operands::Weights {
        axis: |node| if node.int("transB").unwrap_or(0) != 0 { 0 } else { 1 },
        bias: Some((6, |node| node.float("alpha").unwrap_or(1.0))),
    },
    output: 7,
};

fn no_matrix(weights: &Weights<'_>) -> Result<Value, Problem> {
    unsupported(format!("weights of shape {:?}; supported is a matrix", weights.shape()))
}

/// Adds the product over one dimension of a view: `weight(output, input)`, the input being a place in the
/// dimension.
pub fn push(
    importer: &mut Importer<'_>,
    node: &Node,
    view: &View,
    dimension: usize,
    [outputs, inputs]: [usize; 2],
    bias: Vec<f32>,
    weight: impl Fn(usize, usize) -> f32,
) -> Result<View, Problem> {
    let shape = importer.graph.tensor(view.tensor).shape;
    let axes = &view.axes[dimension];
    let elsewhere = || view.axes.iter().enumerate().filter(|&(index, _)| index != dimension);
    if view.axes.iter().flatten().any(|axis| matches!(axis, Axis::Group(_) | Axis::Member(_))) {
        return unsupported(format!("multiplies over a part of {}", importer.describe(view)));
    }
    let mixes_batch = axes.contains(&Axis::Batch);
    let alone = elsewhere().all(|(_, axes)| axes.iter().all(|&axis| axis == Axis::Batch));
    let per_position = axes.iter().all(|&axis| axis == Axis::Channel)
        && elsewhere().all(|(_, axes)| !axes.contains(&Axis::Channel));
    let size: usize = axes.iter().map(|axis| axis.size(shape, importer.batch)).product();
    if mixes_batch || !(alone || per_position) {
        return unsupported(format!("multiplies over a part of {}", importer.describe(view)));
    }
    if size != inputs || outputs == 0 {
        return unsupported(format!("weights of {inputs} inputs and {outputs} outputs for {size} inputs"));
    }
    importer.spend_floats(inputs * outputs)?;
    let window = Window::new(if alone { [shape.height, shape.width] } else { [1, 1] }, [1, 1]);
    let mut weights = Vec::with_capacity(inputs * outputs);
    // At every position, the dimension is the channels.
    let order = |input: usize| if alone { place(axes, shape, input) } else { input };
    for output in 0..outputs {
        weights.extend((0..inputs).map(|input| weight(output, order(input))));
    }
    let conv = FloatConv { window, groups: 1, weights, bias };
    let output = importer.push(node, "", conv.into(), &[view.tensor])?;
    let mut axes = view.axes.clone();
    axes[dimension] = if outputs == 1 { vec![] } else { vec![Axis::Channel] };
    Ok(View { tensor: output, axes })
}

/// Where the value of a tensor at a place of height, width and channels stands in a flattened dimension.
fn place(axes: &[Axis], shape: Shape, index: usize) -> usize {
    let (row, rest) = (index / (shape.width * shape.channels), index % (shape.width * shape.channels));
    let (column, channel) = (rest / shape.channels, rest % shape.channels);
    axes.iter().fold(0, |place, axis| {
        place * axis.size(shape, 1)
            + match axis {
                Axis::Row => row,
                Axis::Column => column,
                Axis::Channel => channel,
                // A view with split channels is not multiplied.
                Axis::Batch | Axis::Group(_) | Axis::Member(_) => 0,
            }
    })
}
