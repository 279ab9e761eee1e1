//! `Resize` by 2 to the nearest value.

use goldcrest_quantize::graph::FloatOp;

use super::{Importer, Node, Problem, Value, unsupported};

pub fn resize(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.image(node, 0)?;
    let mode = node.string("mode").unwrap_or("nearest");
    let transform = node.string("coordinate_transformation_mode").unwrap_or("half_pixel");
    let nearest = node.string("nearest_mode").unwrap_or("round_prefer_floor");
    // The pairs for which output 2i and 2i + 1 both read input i.
    let repeats = match transform {
        "asymmetric" => matches!(nearest, "floor" | "round_prefer_floor"),
        "half_pixel" | "pytorch_half_pixel" => nearest.starts_with("round_prefer"),
        _ => false,
    };
    if mode != "nearest" || !repeats {
        return unsupported(format!("mode `{mode}`, `{transform}`, `{nearest}`; supported is plain nearest"));
    }
    let sizes = importer.sizes(&view);
    let scales = importer.floats(node, 2)?.filter(|scales| !scales.data.is_empty());
    let doubled = match (scales, importer.constant(node, 3)?) {
        (Some(scales), _) => scales.as_f32() == Some(&[1.0, 1.0, 2.0, 2.0]),
        (None, Some(target)) => {
            let wanted = [sizes[0], sizes[1], 2 * sizes[2], 2 * sizes[3]].map(|size| size as i64);
            target.as_i64() == Some(&wanted)
        }
        (None, None) => false,
    };
    if !doubled {
        return unsupported(format!("resizes {} by other factors than 2", importer.describe(&view)));
    }
    let output = importer.push(node, "", FloatOp::UpsampleNearest2, &[view.tensor])?;
    Ok(Value::Activation(importer.image_view(output)))
}
