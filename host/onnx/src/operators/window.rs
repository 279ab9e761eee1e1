//! Windows as ONNX has them, in attributes.

use goldcrest_engine::shape::{Padding, Shape, Window};

use super::{Problem, unsupported};
use crate::{Attribute, Node};

/// A node with a window's attributes.
pub fn node(op: &str, inputs: &[&str], output: &str, window: &Window) -> Node {
    let ints = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
    let Padding { top, left, bottom, right } = window.padding;
    Node::new(op, inputs, &[output])
        .with("kernel_shape", ints(&window.kernel))
        .with("strides", ints(&window.stride))
        .with("dilations", ints(&window.dilation))
        .with("pads", ints(&[top, left, bottom, right]))
}

/// The window that a node's attributes describe over an input.
pub fn over(node: &Node, kernel: [usize; 2], input: Shape) -> Result<Window, Problem> {
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

/// The window of a pool over an input.
pub fn pool(node: &Node, input: Shape) -> Result<Window, Problem> {
    match node.ints("kernel_shape") {
        Some(&[rows @ 1..=0x7fff, columns @ 1..=0x7fff]) => {
            over(node, [rows as usize, columns as usize], input)
        }
        other => unsupported(format!("kernel_shape {other:?}; supported are rows and columns")),
    }
}

/// Rows and columns of further padding that make rounding down equal the node's `ceil_mode`.
pub fn ceil_padding(node: &Node, window: &Window, input: Shape) -> [usize; 2] {
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

/// The window of a node of an int8 file, which has all attributes.
pub fn written(node: &Node) -> Result<Window, Problem> {
    let read = |name: &str| -> Option<Vec<usize>> { node.ints(name)?.iter().map(|&v| extent(v)).collect() };
    let pair = |name: &str| match read(name).as_deref() {
        Some(&[rows, columns]) => Ok([rows, columns]),
        _ => unsupported(format!("{name} must hold rows and columns")),
    };
    let Some(&[top, left, bottom, right]) = read("pads").as_deref() else {
        return unsupported("pads must be [top, left, bottom, right]");
    };
    if node.attributes.contains_key("auto_pad") || node.int("ceil_mode").unwrap_or(0) != 0 {
        return unsupported("auto_pad and ceil_mode have no place in an int8 model");
    }
    Ok(Window {
        kernel: pair("kernel_shape")?,
        stride: pair("strides")?,
        dilation: pair("dilations")?,
        padding: Padding { top, left, bottom, right },
    })
}

/// A number of rows or columns in an int8 file.
pub fn extent(value: i64) -> Option<usize> {
    usize::try_from(value).ok().filter(|&value| value < 1 << 15)
}
