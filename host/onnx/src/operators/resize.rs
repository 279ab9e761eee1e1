//! `Resize` by 2 to the nearest value, the same on int8.

use goldcrest_quantize::graph::{FloatOp, QuantizedOp};

use super::{Export, Held, Importer, Int8Node, Problem, Reader, Value, Writer, unsupported};
use crate::{Attribute, Node, Tensor};

/// Rows and columns twice.
const SCALES: [f32; 4] = [1.0, 1.0, 2.0, 2.0];

/// How it is written.
const ATTRIBUTES: [(&str, &str); 3] =
    [("mode", "nearest"), ("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")];

/// From a file.
pub fn import(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    // Opset 10 has no region of interest, and counts outputs from their corner.
    let old = importer.opset < 11;
    let mode = node.string("mode").unwrap_or("nearest");
    let transform = match old {
        true => "asymmetric",
        false => node.string("coordinate_transformation_mode").unwrap_or("half_pixel"),
    };
    let nearest = match old {
        true => "floor",
        false => node.string("nearest_mode").unwrap_or("round_prefer_floor"),
    };
    // The pairs for which output 2i and 2i + 1 both read input i.
    let repeats = match transform {
        "asymmetric" => matches!(nearest, "floor" | "round_prefer_floor"),
        "half_pixel" | "pytorch_half_pixel" => nearest.starts_with("round_prefer"),
        _ => false,
    };
    if mode != "nearest" || !repeats {
        return unsupported(format!("mode `{mode}`, `{transform}`, `{nearest}`; supported is plain nearest"));
    }
    let place = if old { 1 } else { 2 };
    let scales = importer.floats(node, place)?.filter(|scales| !scales.data.is_empty());
    let sizes = if old { None } else { importer.constant(node, 3)? };
    let scales = scales.as_ref().and_then(|scales| scales.as_f32());
    twice(importer, node, scales, sizes.as_ref().and_then(|sizes| sizes.as_i64()))
}

/// `Upsample`, which `Resize` replaced: its scales are an input in opset 9, an attribute before.
pub fn upsample(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let mode = node.string("mode").unwrap_or("nearest");
    if mode != "nearest" {
        return unsupported(format!("attribute `mode` is `{mode}`; supported is `nearest`"));
    }
    let scales = importer.floats(node, 1)?;
    let scales = scales.as_ref().and_then(|scales| scales.as_f32());
    twice(importer, node, scales.or(node.floats("scales")), None)
}

fn twice(
    importer: &mut Importer<'_>,
    node: &Node,
    scales: Option<&[f32]>,
    target: Option<&[i64]>,
) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let sizes = importer.sizes(&view);
    let doubled = match (scales, target) {
        (Some(scales), _) => scales == SCALES,
        (None, Some(target)) => {
            target == [sizes[0], sizes[1], 2 * sizes[2], 2 * sizes[3]].map(|size| size as i64)
        }
        (None, None) => false,
    };
    if !doubled {
        return unsupported(format!("resizes {} by other factors than 2", importer.describe(&view)));
    }
    let output = importer.push(node, "", FloatOp::UpsampleNearest2, &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}

/// To a float file.
pub fn export(export: &mut Export<'_>) -> Node {
    let scales = export.constant("/scales", Tensor::f32(&[4], SCALES.to_vec()));
    written(export.inputs[0], &scales, export.output)
}

fn written(input: &str, scales: &str, output: &str) -> Node {
    let node = Node::new("Resize", &[input, "", scales], &[output]);
    ATTRIBUTES.iter().fold(node, |node, (name, value)| node.with(name, Attribute::String((*value).into())))
}

/// From an int8 file.
pub fn read<'a>(reader: &mut Reader<'a>, node: &'a Node, output: &str) -> Result<Held, Problem> {
    let plain = ATTRIBUTES.iter().all(|(name, value)| node.string(name) == Some(*value));
    if !plain || reader.floats(node, 2)? != SCALES || node.inputs.len() != 3 {
        return unsupported("it must repeat rows and columns twice");
    }
    let input = reader.input(node, 0)?;
    reader.push(output, QuantizedOp::UpsampleNearest2, vec![input])
}

/// To an int8 file.
pub fn write(writer: &mut Writer<'_>, node: &Int8Node) {
    let (input, output) = (writer.name(node.inputs[0]), writer.name(node.output));
    let scales = writer.constant("goldcrest/twice".into(), Tensor::f32(&[4], SCALES.to_vec()));
    writer.push(written(&input, &scales, &output));
}
