//! `Pad` with zeros around rows and columns.

use goldcrest_engine::shape::Padding;
use goldcrest_quantize::graph::FloatOp;

use super::layout::Axis;
use super::{Importer, Node, Problem, Value, unsupported};

pub fn pad(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let mode = node.string("mode").unwrap_or("constant");
    if mode != "constant" {
        return unsupported(format!("mode `{mode}`; supported is `constant`"));
    }
    let value = match importer.floats(node, 2)? {
        Some(tensor) => tensor.as_f32().and_then(|values| values.first().copied()).unwrap_or(0.0),
        None => node.float("value").unwrap_or(0.0),
    };
    if value != 0.0 {
        return unsupported(format!("pads with {value}; supported is 0"));
    }
    let rank = view.axes.len();
    let mut dimensions: Vec<usize> = (0..rank).collect();
    if let Some(axes) = importer.constant(node, 3)? {
        let resolved = axes.as_i64().map(|axes| axes.iter().map(|&axis| view.dimension(axis)).collect());
        let Some(Some(resolved)) = resolved else { return unsupported("its axes do not fit its input") };
        dimensions = resolved;
    }
    let pads = importer.integers(node, 1, "pads")?.unwrap_or_default();
    if pads.len() != 2 * dimensions.len() || !pads.iter().all(|pad| (0..0x8000).contains(pad)) {
        return unsupported(format!("pads {pads:?} of {}", importer.describe(&view)));
    }
    let mut padding = Padding::default();
    for (index, &dimension) in dimensions.iter().enumerate() {
        let (before, after) = (pads[index] as usize, pads[index + dimensions.len()] as usize);
        match *view.axes[dimension] {
            _ if (before, after) == (0, 0) => {}
            [Axis::Row] => (padding.top, padding.bottom) = (before, after),
            [Axis::Column] => (padding.left, padding.right) = (before, after),
            _ => {
                let found = importer.describe(&view);
                return unsupported(format!(
                    "pads dimension {dimension} of {found}; supported are rows and columns"
                ));
            }
        }
    }
    if padding == Padding::default() {
        return Ok(Value::Activation(view));
    }
    let output = importer.push(node, "", FloatOp::Pad(padding), &[view.tensor])?;
    Ok(Value::Activation(view.of(output)))
}
