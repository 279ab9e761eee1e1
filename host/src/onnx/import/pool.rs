//! Pools over windows and over whole images.

use goldcrest_shared::quantize::graph::FloatOp;
use goldcrest_shared::shape::{Shape, Window};

use super::layout::Axis;
use super::{Importer, Node, Problem, Value, conv, unsupported};

pub fn max(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let mut window = window(node, shape)?;
    let [rows, columns] = ceil_padding(node, &window, shape);
    // Padding never wins a maximum, so more of it is what rounding up means.
    window.padding.bottom += rows;
    window.padding.right += columns;
    let output = importer.push(node, "", FloatOp::MaxPool(window), &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

pub fn average(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let window = window(node, shape)?;
    if ceil_padding(node, &window, shape) != [0, 0] {
        return unsupported(
            "ceil_mode cuts its last window short; pad the input to a multiple of the stride",
        );
    }
    let padded = window.padding != Default::default();
    let count_include_pad = !padded || node.int("count_include_pad").unwrap_or(0) != 0;
    let op = FloatOp::AveragePool { window, count_include_pad };
    let output = importer.push(node, "", op, &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

pub fn global_average(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let output = push_global(importer, node, view.tensor)?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// A mean over rows and columns, wherever the layout has them.
pub fn reduce_mean(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let Some(axes) = importer.integers(node, 1, "axes")? else {
        return unsupported("reduces over all dimensions; supported are rows and columns");
    };
    let reduced: Option<Vec<usize>> = axes.iter().map(|&axis| view.dimension(axis)).collect();
    let Some(reduced) = reduced else {
        return unsupported(format!("axes {axes:?} of {}", importer.describe(&view)));
    };
    let kept = || (0..view.axes.len()).filter(|index| !reduced.contains(index));
    if !reduced.iter().all(|&index| conv::spatial(&view.axes[index]))
        || !kept().all(|index| !view.axes[index].iter().any(|axis| conv::spatial(&[*axis])))
    {
        let found = importer.describe(&view);
        return unsupported(format!(
            "reduces axes {axes:?} of {found}; supported is exactly rows and columns"
        ));
    }
    let output = push_global(importer, node, view.tensor)?;
    let axes: Vec<Vec<Axis>> = match node.int("keepdims").unwrap_or(1) {
        0 => kept().map(|index| view.axes[index].clone()).collect(),
        _ => (0..view.axes.len())
            .map(|index| if reduced.contains(&index) { vec![] } else { view.axes[index].clone() })
            .collect(),
    };
    Ok(Value::Activation(view.with(axes).of(output)))
}

fn push_global(
    importer: &mut Importer<'_>,
    node: &Node,
    input: goldcrest_shared::quantize::graph::TensorId,
) -> Result<goldcrest_shared::quantize::graph::TensorId, Problem> {
    let Shape { height, width, .. } = importer.graph.tensor(input).shape;
    let window = Window::new([height, width], [1, 1]);
    importer.push(node, "", FloatOp::AveragePool { window, count_include_pad: true }, &[input])
}

fn window(node: &Node, input: Shape) -> Result<Window, Problem> {
    match node.ints("kernel_shape") {
        Some(&[rows @ 1..=0x7fff, columns @ 1..=0x7fff]) => {
            conv::window(node, [rows as usize, columns as usize], input)
        }
        other => unsupported(format!("kernel_shape {other:?}; supported are rows and columns")),
    }
}

/// Rows and columns of further padding that make rounding down equal the node's `ceil_mode`.
fn ceil_padding(node: &Node, window: &Window, input: Shape) -> [usize; 2] {
    if node.int("ceil_mode").unwrap_or(0) == 0 {
        return [0, 0];
    }
    let extra = |axis: usize, size: usize, before: usize, after: usize| {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let (padded, stride) = (size + before + after, window.stride[axis]);
        if padded < reach {
            return 0;
        }
        let mut outputs = (padded - reach).div_ceil(stride) + 1;
        // A window that would start in the padding behind the input does not count.
        if (outputs - 1) * stride >= size + before {
            outputs -= 1;
        }
        ((outputs - 1) * stride + reach).saturating_sub(padded)
    };
    let padding = window.padding;
    [extra(0, input.height, padding.top, padding.bottom), extra(1, input.width, padding.left, padding.right)]
}
