//! `Pad` with zeros around rows and columns, in an int8 file with the zero point.

use goldcrest_engine::shape::Padding;
use goldcrest_quantize::graph::{FloatOp, QuantizedOp};
use goldcrest_quantize::operators::Pad;

use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, unsupported, window};
use crate::import::Axis;
use crate::{Node, Tensor};

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
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
    let output = importer.push(node, "", FloatOp::Pad(Pad { padding }), &[view.tensor])?;
    Ok(Value::Activation(view.of(output)))
}

/// To a float file.
pub fn export(export: &mut Export<'_>, pad: &Pad) -> Node {
    let pads = export.constant("/pads", pads(pad));
    Node::new("Pad", &[export.inputs[0], &pads], &[export.output])
}

fn pads(pad: &Pad) -> Tensor {
    let Padding { top, left, bottom, right } = pad.padding;
    Tensor::i64s(&[0, 0, top, left, 0, 0, bottom, right].map(|pad| pad as i64))
}

/// From an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let input = reader.input(node, 0)?;
    reader.expect_zero_point(node, 2, input)?;
    let pads = reader.constant(node, 1)?;
    let pads: Option<Vec<usize>> =
        pads.as_i64().and_then(|pads| pads.iter().map(|&pad| window::extent(pad)).collect());
    match pads.as_deref() {
        Some(&[0, 0, top, left, 0, 0, bottom, right]) => {
            let padding = Padding { top, left, bottom, right };
            reader.push(output, QuantizedOp::Pad(Pad { padding }), vec![input])
        }
        _ => unsupported("it must pad rows and columns"),
    }
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node, pad: &Pad) {
    let (input, output) = (writer.name(node.inputs[0]), writer.name(node.output));
    let pads = writer.constant(format!("{output}/pads"), pads(pad));
    let zero = writer.zero_point(node.output);
    writer.push(Node::new("Pad", &[&input, &pads, &zero], &[&output]));
}
