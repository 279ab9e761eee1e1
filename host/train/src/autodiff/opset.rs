//! Models of other operator sets in the form of opset 17, which training graphs are written in.
//!
//! Among the operators that can be trained, the definitions of opset 11 to 22 differ from those of
//! opset 17 only in where axes stand, in axes for `Pad`, and in dilation for `AveragePool`.

use std::collections::BTreeMap;

use goldcrest_onnx::{Attribute, Attributes, Data, Model, Node, Tensor};

use super::AutodiffError;

const SUPPORTED: std::ops::RangeInclusive<i64> = 11..=22;

/// Rewrites a model's nodes to opset 17.
pub(super) fn to_17(model: &mut Model) -> Result<(), AutodiffError> {
    let found = model.opset;
    if !SUPPORTED.contains(&found) {
        let (oldest, newest) = SUPPORTED.into_inner();
        return Err(AutodiffError::Opset { found, oldest, newest });
    }
    let constants = &mut model.graph.initializers;
    for node in &mut model.graph.nodes {
        match node.op.as_str() {
            "Squeeze" | "Unsqueeze" | "ReduceSum" if found < 13 => axes_to_input(node, constants),
            "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSumSquare" | "ReduceL2" if found >= 18 => {
                axes_to_attribute(node, constants)?;
            }
            "Pad" if found >= 18 => pad_every_axis(node, constants)?,
            "AveragePool" if found >= 19 => refuse_dilation(node)?,
            _ => {}
        }
    }
    model.opset = 17;
    Ok(())
}

fn axes_to_input(node: &mut Node, constants: &mut BTreeMap<String, Tensor>) {
    if let Some(Attribute::Ints(axes)) = node.attributes.remove("axes") {
        let name = format!("{}.axes", node.outputs[0]);
        constants.insert(name.clone(), Tensor::i64s(&axes));
        node.inputs.truncate(1);
        node.inputs.push(name);
    }
}

fn axes_to_attribute(node: &mut Node, constants: &BTreeMap<String, Tensor>) -> Result<(), AutodiffError> {
    if let Some(name) = node.inputs.get(1).filter(|name| !name.is_empty()) {
        let Some(axes) = constants.get(name).and_then(Tensor::as_i64) else {
            return Err(AutodiffError::unsupported(node, format!("its axes `{name}` are not constant")));
        };
        node.attributes.insert("axes".into(), Attribute::Ints(axes.to_vec()));
    }
    node.inputs.truncate(1);
    if node.attributes.remove("noop_with_empty_axes") == Some(Attribute::Int(1))
        && !node.attributes.contains_key("axes")
    {
        *node = Node { op: "Identity".into(), attributes: Attributes::default(), ..node.clone() };
    }
    Ok(())
}

/// `Pad` with axes takes two numbers for each of them, before and after.
fn pad_every_axis(node: &mut Node, constants: &mut BTreeMap<String, Tensor>) -> Result<(), AutodiffError> {
    let Some(name) = node.inputs.get(3).filter(|name| !name.is_empty()) else { return Ok(()) };
    let numbers = |name: &String| match &constants.get(name)?.data {
        Data::I64(values) => Some(values.clone()),
        Data::I32(values) => Some(values.iter().map(|&value| value.into()).collect()),
        _ => None,
    };
    let (Some(axes), Some(pads)) = (numbers(name), numbers(&node.inputs[1])) else {
        return Err(AutodiffError::unsupported(node, "its pads and axes are not constant"));
    };
    // Images have four axes; a negative axis counts from their end.
    let mut full = vec![0; 8];
    for (index, axis) in axes.iter().enumerate() {
        let resolved = if *axis < 0 { axis + 4 } else { *axis };
        match (usize::try_from(resolved), pads.get(index), pads.get(index + axes.len())) {
            (Ok(axis), Some(before), Some(after)) if axis < 4 => {
                (full[axis], full[axis + 4]) = (*before, *after);
            }
            _ => {
                let problem = format!("axes {axes:?} with pads {pads:?} do not fit an image");
                return Err(AutodiffError::unsupported(node, problem));
            }
        }
    }
    let name = format!("{}.pads", node.outputs[0]);
    constants.insert(name.clone(), Tensor::i64s(&full));
    node.inputs[1] = name;
    node.inputs.truncate(3);
    Ok(())
}

fn refuse_dilation(node: &mut Node) -> Result<(), AutodiffError> {
    match node.attributes.remove("dilations") {
        Some(Attribute::Ints(dilations)) if dilations.iter().any(|&dilation| dilation != 1) => {
            Err(AutodiffError::unsupported(node, format!("dilations = {dilations:?} is not supported")))
        }
        _ => Ok(()),
    }
}
