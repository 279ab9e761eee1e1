//! `Conv` over rows and columns: any kernel, stride, dilation, padding and groups.

use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_quantize::graph::{FloatConv, FloatOp};

use super::known::Weights;
use super::layout::Axis;
use super::{Importer, Node, Problem, Value, dense, unsupported};

pub fn conv(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let weights = importer.weights(node, 1)?;
    let &[outputs, depth, rows, columns] = weights.shape() else {
        return unsupported(format!("weights of shape {:?}; supported are four dimensions", weights.shape()));
    };
    let bias = importer.floats(node, 2)?;
    if let Some(found) = bias.as_ref().map(|bias| bias.data.len()).filter(|&found| found != outputs) {
        return unsupported(format!("{found} biases for {outputs} outputs"));
    }
    importer.spend_floats(outputs)?;
    let bias = match bias.as_ref().and_then(|bias| bias.as_f32()) {
        Some(values) => values.to_vec(),
        None => vec![0.0; outputs],
    };
    let view = importer.activation(node, 0)?;
    let flattened =
        view.axes.len() == 4 && view.axes[1].len() > 1 && view.axes[2..].iter().all(Vec::is_empty);
    if flattened && [rows, columns] == [1, 1] && node.int("group").unwrap_or(1) == 1 {
        // A fully connected layer written as a 1x1 convolution over a flattened activation.
        let mut output = dense::push(importer, node, &view, 1, [outputs, depth], bias, |output, input| {
            weights.at(output * depth + input)
        })?;
        output.axes.extend([vec![], vec![]]);
        return Ok(Value::Activation(output));
    }
    let view = importer.image(node, 0)?;
    let shape = importer.graph.tensor(view.tensor).shape;
    let window = window(node, [rows, columns], shape)?;
    let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
    importer.spend_floats(outputs * depth * rows * columns)?;
    let conv = FloatConv { window, groups, weights: ohwi(&weights, [outputs, depth, rows, columns]), bias };
    let output = importer.push(node, "", FloatOp::Conv(conv), &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// OIHW to OHWI.
fn ohwi(weights: &Weights<'_>, [outputs, depth, rows, columns]: [usize; 4]) -> Vec<f32> {
    let area = rows * columns;
    let mut turned = Vec::with_capacity(outputs * area * depth);
    for output in 0..outputs {
        for tap in 0..area {
            turned.extend((0..depth).map(|input| weights.at((output * depth + input) * area + tap)));
        }
    }
    turned
}

/// The window that a node's attributes describe over an input.
pub fn window(node: &Node, kernel: [usize; 2], input: Shape) -> Result<Window, Problem> {
    let pair = |name: &str| match node.ints(name) {
        None => Ok([1, 1]),
        Some(&[rows, columns]) => match (usize::try_from(rows), usize::try_from(columns)) {
            (Ok(rows @ 1..=0x7fff), Ok(columns @ 1..=0x7fff)) => Ok([rows, columns]),
            _ => unsupported(format!("{name} [{rows}, {columns}] must be positive")),
        },
        Some(other) => unsupported(format!("{name} {other:?}; supported are rows and columns")),
    };
    let declared = pair("kernel_shape")?;
    if node.ints("kernel_shape").is_some() && declared != kernel {
        return unsupported(format!("kernel_shape {declared:?} differs from its weights' {kernel:?}"));
    }
    let window = Window {
        kernel,
        stride: pair("strides")?,
        dilation: pair("dilations")?,
        padding: Padding::default(),
    };
    Ok(Window { padding: padding(node, &window, input)?, ..window })
}

fn padding(node: &Node, window: &Window, input: Shape) -> Result<Padding, Problem> {
    let auto = node.string("auto_pad").unwrap_or("NOTSET");
    if auto == "SAME_UPPER" || auto == "SAME_LOWER" {
        let total = |axis: usize, size: usize| {
            let reach = (window.kernel[axis].max(1) - 1) * window.dilation[axis] + 1;
            let outputs = size.div_ceil(window.stride[axis]);
            ((outputs - 1) * window.stride[axis] + reach).saturating_sub(size)
        };
        let split = |total: usize| match auto {
            "SAME_UPPER" => (total / 2, total.div_ceil(2)),
            _ => (total.div_ceil(2), total / 2),
        };
        let ((top, bottom), (left, right)) = (split(total(0, input.height)), split(total(1, input.width)));
        return Ok(Padding { top, left, bottom, right });
    }
    if auto != "NOTSET" && auto != "VALID" {
        return unsupported(format!("auto_pad `{auto}` is unknown"));
    }
    match node.ints("pads").filter(|_| auto == "NOTSET") {
        None => Ok(Padding::default()),
        Some(&[top, left, bottom, right]) => {
            let size = |pad: i64| match usize::try_from(pad) {
                Ok(pad @ 0..=0x7fff) => Ok(pad),
                _ => unsupported(format!("padding {pad} is negative or absurd")),
            };
            Ok(Padding { top: size(top)?, left: size(left)?, bottom: size(bottom)?, right: size(right)? })
        }
        Some(other) => unsupported(format!("pads {other:?}; supported are [top, left, bottom, right]")),
    }
}

/// Whether axes are rows and columns only.
pub fn spatial(axes: &[Axis]) -> bool {
    axes.iter().all(|axis| matches!(axis, Axis::Row | Axis::Column))
}
