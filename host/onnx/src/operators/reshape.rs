//! Operators that only change how an activation is seen.

use super::{Importer, Problem, Value, select, unsupported};
use crate::import::{Axis, RANK, View};
use crate::proto::{data_type, element_name};
use crate::{Node, Tensor};

pub fn identity(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    Ok(Value::Activation(importer.activation(node, 0)?))
}

/// Real numbers of any size are floats here; the bytes of the input become what they are.
pub fn cast(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let to = node.int("to").and_then(|to| i32::try_from(to).ok()).unwrap_or(0);
    let view = importer.activation(node, 0)?;
    let is_real =
        [data_type::FLOAT, data_type::FLOAT16, data_type::BFLOAT16, data_type::DOUBLE].contains(&to);
    match is_real {
        true => Ok(Value::Activation(view)),
        false => unsupported(format!("casts an activation to {}; supported is float", element_name(to))),
    }
}

/// To the type of another value: floats stay floats.
pub fn cast_like(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    if importer.activation(node, 1).is_err() {
        importer.floats(node, 1)?;
    }
    Ok(Value::Activation(importer.activation(node, 0)?))
}

pub fn flatten(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let axis = node.int("axis").unwrap_or(1);
    let rank = view.axes.len();
    let Some(split) = view.dimension(axis).or((axis == rank as i64).then_some(rank)) else {
        return unsupported(format!("axis {axis} of {}", importer.describe(&view)));
    };
    let (lead, rest) = view.axes.split_at(split);
    Ok(Value::Activation(view.with(vec![lead.concat(), rest.concat()])))
}

pub fn reshape(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let Some(wanted) = importer.integers(node, 1, "shape")? else { return unsupported("has no shape") };
    if wanted.len() > RANK {
        return unsupported(format!("{} dimensions; supported are up to {RANK}", wanted.len()));
    }
    let sizes = importer.sizes(&view);
    let keep_zero = node.int("allowzero").unwrap_or(0) == 0;
    let mut target = Vec::new();
    for (index, &size) in wanted.iter().enumerate() {
        target.push(match (size, sizes.get(index)) {
            (0, Some(&size)) if keep_zero => Some(size),
            (-1, _) => None,
            (1.., _) => Some(size as usize),
            _ => return unsupported(format!("shape {wanted:?} for {}", importer.describe(&view))),
        });
    }
    let problem =
        || Problem(format!("shape {wanted:?} for {} splits or mixes dimensions", importer.describe(&view)));
    let known = target.iter().flatten().try_fold(1usize, |product, &size| product.checked_mul(size));
    let total: usize = sizes.iter().product();
    let known = known.filter(|&known| known > 0 && total.is_multiple_of(known)).ok_or_else(problem)?;
    if target.iter().filter(|size| size.is_none()).count() > 1 {
        return Err(problem());
    }
    let target: Vec<usize> = target.into_iter().map(|size| size.unwrap_or(total / known)).collect();
    let shape = importer.graph.tensor(view.tensor).shape;
    let reshaped = view.reshape(&target, shape, importer.batch).ok_or_else(problem)?;
    let Some((dimension, order)) = reshaped.shuffled(shape) else { return Ok(Value::Activation(reshaped)) };
    let output = select::push(importer, node, "", reshaped.tensor, &order)?;
    let mut axes = reshaped.axes.clone();
    axes[dimension] = vec![Axis::Channel];
    Ok(Value::Activation(reshaped.with(axes).of(output)))
}

pub fn squeeze(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let removed = match importer.integers(node, 1, "axes")? {
        Some(axes) => dimensions(importer, &view, &axes)?,
        // Every dimension of size 1, but not the batch.
        None => (1..view.axes.len()).filter(|&index| view.axes[index].is_empty()).collect(),
    };
    if !removed.iter().all(|&index| view.axes[index].is_empty()) {
        return unsupported(format!("removes dimensions of {} that are not 1", importer.describe(&view)));
    }
    let kept = (0..view.axes.len()).filter(|index| !removed.contains(index));
    Ok(Value::Activation(view.with(kept.map(|index| view.axes[index].clone()).collect())))
}

pub fn unsqueeze(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let axes = importer.integers(node, 1, "axes")?.unwrap_or_default();
    let rank = view.axes.len() + axes.len();
    if rank > RANK {
        return unsupported(format!("{rank} dimensions; supported are up to {RANK}"));
    }
    // Numbers count in the output.
    let output = view.with(vec![Vec::new(); rank]);
    let added = dimensions(importer, &output, &axes)?;
    let mut own = view.axes.iter();
    let fill = |index| match added.contains(&index) {
        true => Some(Vec::new()),
        false => own.next().cloned(),
    };
    match (0..rank).map(fill).collect() {
        Some(axes) => Ok(Value::Activation(view.with(axes))),
        None => unsupported(format!("axes {axes:?} repeat")),
    }
}

pub fn transpose(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let rank = view.axes.len();
    let order: Vec<usize> = match node.ints("perm") {
        Some(order) => dimensions(importer, &view, order)?,
        None => (0..rank).rev().collect(),
    };
    if !(order.len() == rank && (0..rank).all(|index| order.contains(&index))) {
        return unsupported(format!("perm {order:?} of {}", importer.describe(&view)));
    }
    Ok(Value::Activation(view.with(order.iter().map(|&index| view.axes[index].clone()).collect())))
}

/// The shape of an activation is a constant here: the batch counts as 1 where it is dynamic.
pub fn shape(importer: &mut Importer<'_>, node: &Node) -> Result<Value, Problem> {
    let view = importer.activation(node, 0)?;
    let sizes: Vec<i64> = importer.sizes(&view).iter().map(|&size| size as i64).collect();
    let rank = sizes.len() as i64;
    let clamp = |index: i64| (if index < 0 { index + rank } else { index }).clamp(0, rank) as usize;
    let (start, end) =
        (clamp(node.int("start").unwrap_or(0).max(-rank)), clamp(node.int("end").unwrap_or(rank).max(-rank)));
    Ok(Value::Constant(Tensor::i64s(&sizes[start.min(end)..end])))
}

fn dimensions(importer: &Importer<'_>, view: &View, axes: &[i64]) -> Result<Vec<usize>, Problem> {
    let resolved: Option<Vec<usize>> = axes.iter().map(|&axis| view.dimension(axis)).collect();
    resolved.ok_or_else(|| Problem(format!("axes {axes:?} of {}", importer.describe(view))))
}
