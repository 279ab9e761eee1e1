//! Operators that move values without computing, and the arithmetic of shapes.

use super::{Dimension, ShapeError, Site, TensorType, dimension};
use crate::Attribute;
use crate::proto::data_type;
use Dimension::Fixed;

pub(super) fn cast(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let element = site.node.int("to").and_then(|to| i32::try_from(to).ok());
    let element = element.ok_or_else(|| site.fail("attribute `to` is missing"))?;
    Ok(vec![TensorType { element, shape: site.input(0)?.shape.clone() }])
}

pub(super) fn flatten(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let axis = match site.node.int("axis").unwrap_or(1) {
        axis if axis == x.shape.len() as i64 => x.shape.len(),
        axis => site.axis(axis, x.shape.len())?,
    };
    let shape = vec![dimension::product(&x.shape[..axis]), dimension::product(&x.shape[axis..])];
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn reshape(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let Some(target) = site.symbolic_integers(1) else {
        let name = site.node.inputs.get(1).map_or("", String::as_str);
        return Err(
            site.fail(format!("the target shape `{name}` is computed in a way that is not supported"))
        );
    };
    let fail = || site.fail(format!("{x} cannot be reshaped to {}", dimension::Shown(target)));
    let copy_zero = site.node.int("allowzero").unwrap_or(0) == 0;
    let mut shape = Vec::with_capacity(target.len());
    for (axis, size) in target.iter().enumerate() {
        shape.push(match size {
            Fixed(0) if copy_zero => x.shape.get(axis).ok_or_else(fail)?.clone(),
            Fixed(size) if *size < -1 => return Err(fail()),
            size => size.clone(),
        });
    }
    let open: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] == Fixed(-1)).collect();
    match open[..] {
        [] => {
            // A fixed target (exported with a fixed batch) is taken at its word.
            let (from, to) = (dimension::product(&x.shape), dimension::product(&shape));
            if let (Fixed(from), Fixed(to)) = (from, to)
                && from != to
            {
                return Err(fail());
            }
        }
        [axis] => {
            let rest: Vec<_> = shape
                .iter()
                .enumerate()
                .filter(|&(other, _)| other != axis)
                .map(|(_, d)| d.clone())
                .collect();
            shape[axis] = dimension::quotient(&x.shape, &rest).ok_or_else(fail)?;
        }
        _ => return Err(fail()),
    }
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn squeeze(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let mut drop: Vec<bool> = match axes(site)? {
        None => x.shape.iter().map(|d| *d == Fixed(1)).collect(),
        Some(_) => vec![false; x.shape.len()],
    };
    for axis in axes(site)?.unwrap_or_default() {
        let axis = site.axis(axis, x.shape.len())?;
        if x.shape[axis] != Fixed(1) {
            return Err(site.fail(format!("axis {axis} of {x} is not 1")));
        }
        drop[axis] = true;
    }
    let shape = x.shape.iter().zip(drop).filter(|(_, drop)| !drop).map(|(d, _)| d.clone()).collect();
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn unsqueeze(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let axes = axes(site)?.ok_or_else(|| site.fail("axes are missing"))?;
    let rank = x.shape.len() + axes.len();
    let mut inserted = vec![false; rank];
    for axis in &axes {
        inserted[site.axis(*axis, rank)?] = true;
    }
    let mut rest = x.shape.iter();
    let shape: Option<Vec<_>> = inserted
        .iter()
        .map(|&inserted| if inserted { Some(Fixed(1)) } else { rest.next().cloned() })
        .collect();
    let shape = shape.ok_or_else(|| site.fail(format!("axes {axes:?} repeat")))?;
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn transpose(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let reversed: Vec<i64> = (0..x.shape.len() as i64).rev().collect();
    let order = site.node.ints("perm").unwrap_or(&reversed);
    let mut seen = vec![false; x.shape.len()];
    let mut shape = Vec::with_capacity(order.len());
    for &axis in order {
        let axis = site.axis(axis, x.shape.len())?;
        if std::mem::replace(&mut seen[axis], true) {
            return Err(site.fail(format!("perm = {order:?} repeats an axis")));
        }
        shape.push(x.shape[axis].clone());
    }
    if shape.len() != x.shape.len() {
        return Err(site.fail(format!("perm = {order:?} does not fit {x}")));
    }
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn concat(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let mut result = site.input(0)?.clone();
    let axis = site.node.int("axis").ok_or_else(|| site.fail("attribute `axis` is missing"))?;
    let axis = site.axis(axis, result.shape.len())?;
    for index in 1..site.node.inputs.len() {
        let other = site.input(index)?;
        let fits = other.shape.len() == result.shape.len()
            && (0..other.shape.len()).all(|a| a == axis || other.shape[a] == result.shape[a]);
        let (true, Fixed(a), Fixed(b)) =
            (fits, &result.shape[axis], other.shape.get(axis).unwrap_or(&Fixed(0)))
        else {
            return Err(site.fail(format!("{result} and {other} cannot be joined along axis {axis}")));
        };
        result.shape[axis] = Fixed(a.saturating_add(*b));
    }
    Ok(vec![result])
}

pub(super) fn pad(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let pads = site.integers(1)?;
    let rank = x.shape.len();
    if pads.len() != 2 * rank {
        return Err(site.fail(format!("pads = {pads:?} does not fit {x}")));
    }
    let mut shape = x.shape.clone();
    for (axis, size) in shape.iter_mut().enumerate() {
        let added = pads[axis].saturating_add(pads[axis + rank]);
        match size {
            _ if added == 0 => {}
            Fixed(size) if size.saturating_add(added) >= 0 => *size = size.saturating_add(added),
            _ => return Err(site.fail(format!("pads = {pads:?} does not fit {x}"))),
        }
    }
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn slice(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let (starts, ends) = (site.integers(1)?, site.integers(2)?);
    let axes = if site.has_input(3) { site.integers(3)? } else { (0..starts.len() as i64).collect() };
    let steps = if site.has_input(4) { site.integers(4)? } else { vec![1; starts.len()] };
    if starts.len() != ends.len() || starts.len() != axes.len() || starts.len() != steps.len() {
        return Err(site.fail("starts, ends, axes and steps have different lengths"));
    }
    let mut shape = x.shape.clone();
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = site.axis(*axis, shape.len())?;
        let Fixed(size) = shape[axis] else {
            return Err(site.fail(format!("axis {axis} of {x} is not fixed")));
        };
        if *step < 1 {
            return Err(site.fail(format!("step {step} is not supported")));
        }
        let clamp = |value: i64| if value < 0 { value.saturating_add(size).max(0) } else { value.min(size) };
        shape[axis] = Fixed(((clamp(*end) - clamp(*start)).max(0) as u64).div_ceil(*step as u64) as i64);
    }
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn gather(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let (x, indices) = (site.input(0)?, site.input(1)?);
    let axis = site.axis(site.node.int("axis").unwrap_or(0), x.shape.len())?;
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    Ok(vec![TensorType { element: x.element, shape }])
}

pub(super) fn shape(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let rank = shape_range(site, site.input(0)?.shape.len()).len();
    Ok(vec![TensorType { element: data_type::INT64, shape: vec![Fixed(rank as i64)] }])
}

pub(super) fn constant_of_shape(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let element = match site.node.attributes.get("value") {
        Some(Attribute::Tensor(tensor)) => tensor.data.element(),
        _ => data_type::FLOAT,
    };
    let shape = site.symbolic_integers(0).ok_or_else(|| site.fail("the shape is not known"))?.clone();
    Ok(vec![TensorType { element, shape }])
}

/// A list of computed length.
pub(super) fn range(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let name = site.node.outputs.first().map_or("", String::as_str);
    Ok(vec![TensorType {
        element: site.input(0)?.element,
        shape: vec![Dimension::Named(format!("{name}.length"))],
    }])
}

pub(super) fn one_hot(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    if site.node.int("axis").unwrap_or(-1) != -1 {
        return Err(site.fail("only axis = -1 is supported"));
    }
    let mut shape = site.input(0)?.shape.clone();
    match site.integers(1)?[..] {
        [depth] => shape.push(Fixed(depth)),
        _ => return Err(site.fail("`depth` is not one number")),
    }
    Ok(vec![TensorType { element: site.input(2)?.element, shape }])
}

/// The elements of a node's first output, where it computes with shapes.
pub(super) fn integers(site: &Site<'_>) -> Option<Vec<Dimension>> {
    match site.node.op.as_str() {
        "Constant" => match site.node.attributes.get("value")? {
            Attribute::Tensor(tensor) if tensor.data.len() <= 64 => {
                Some(tensor.as_i64()?.iter().map(|&value| Fixed(value)).collect())
            }
            _ => None,
        },
        "Shape" => {
            let shape = &site.input(0).ok()?.shape;
            Some(shape[shape_range(site, shape.len())].to_vec())
        }
        "Identity" | "Unsqueeze" | "Squeeze" | "Reshape" | "Cast" => site.symbolic_integers(0).cloned(),
        "Gather" => {
            let (values, indices) = (site.symbolic_integers(0)?, site.integers(1).ok()?);
            let resolve =
                |index: i64| usize::try_from(if index < 0 { index + values.len() as i64 } else { index });
            indices.iter().map(|&index| values.get(resolve(index).ok()?).cloned()).collect()
        }
        "Slice" => {
            let values = site.symbolic_integers(0)?;
            let (starts, ends) = (site.integers(1).ok()?, site.integers(2).ok()?);
            let (&[start], &[end]) = (&starts[..], &ends[..]) else {
                return None;
            };
            let len = values.len() as i64;
            let clamp = |v: i64| (if v < 0 { v.saturating_add(len).max(0) } else { v.min(len) }) as usize;
            let plain = !site.has_input(4) || site.integers(4).ok()? == [1];
            values.get(clamp(start)..clamp(end)).filter(|_| plain).map(<[_]>::to_vec)
        }
        "Concat" => {
            let mut all = Vec::new();
            for index in 0..site.node.inputs.len() {
                all.extend_from_slice(site.symbolic_integers(index)?);
            }
            Some(all)
        }
        "Mul" => match (&site.symbolic_integers(0)?[..], &site.symbolic_integers(1)?[..]) {
            ([a], [b]) => Some(vec![dimension::product(&[a.clone(), b.clone()])]),
            _ => None,
        },
        _ => None,
    }
}

fn shape_range(site: &Site<'_>, rank: usize) -> std::ops::Range<usize> {
    let clamp = |value: i64| {
        let value = if value < 0 { value.saturating_add(rank as i64) } else { value };
        value.clamp(0, rank as i64) as usize
    };
    let start = clamp(site.node.int("start").unwrap_or(0));
    start..clamp(site.node.int("end").unwrap_or(rank as i64)).max(start)
}

/// Axes as the attribute (before opset 13) or the second input.
fn axes(site: &Site<'_>) -> Result<Option<Vec<i64>>, ShapeError> {
    match site.node.ints("axes") {
        Some(axes) => Ok(Some(axes.to_vec())),
        None if site.has_input(1) => site.integers(1).map(Some),
        None => Ok(None),
    }
}
