//! Elementwise operators of several inputs: numpy's broadcasting.

use super::{Dimension, ShapeError, Site, TensorType, dimension};
use crate::proto::data_type;

/// The shape two shapes broadcast to, or `None` when they do not fit.
pub fn broadcast(a: &[Dimension], b: &[Dimension]) -> Option<Vec<Dimension>> {
    let rank = a.len().max(b.len());
    let axis = |shape: &[Dimension], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis].clone(),
        None => Dimension::Fixed(1),
    };
    (0..rank)
        .map(|index| match (axis(a, index), axis(b, index)) {
            (Dimension::Fixed(1), other) | (other, Dimension::Fixed(1)) => Some(other),
            (a, b) if a == b => Some(a),
            // A symbol meets a number: it can only be that number (or 1).
            (Dimension::Fixed(size), Dimension::Named(_)) | (Dimension::Named(_), Dimension::Fixed(size)) => {
                Some(Dimension::Fixed(size))
            }
            _ => None,
        })
        .collect()
}

pub(super) fn elementwise(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let mut result = site.input(0)?.clone();
    let takes_any = matches!(site.node.op.as_str(), "Min" | "Max" | "Sum");
    let count = if takes_any { site.node.inputs.len() } else { 2 };
    for index in 1..count {
        result.shape = join(site, &result.shape, index)?;
    }
    if matches!(site.node.op.as_str(), "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal") {
        result.element = data_type::BOOL;
    }
    Ok(vec![result])
}

pub(super) fn select(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let shape = join(site, &site.input(0)?.shape, 1)?;
    let shape = join(site, &shape, 2)?;
    Ok(vec![TensorType { element: site.input(1)?.element, shape }])
}

pub(super) fn expand(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let input = site.input(0)?;
    let Some(target) = site.symbolic_integers(1) else {
        return Err(site.fail("the target shape is not known"));
    };
    let shape = broadcast(&input.shape, target)
        .ok_or_else(|| site.fail(format!("{input} does not expand to {}", dimension::Shown(target))))?;
    Ok(vec![TensorType { element: input.element, shape }])
}

fn join(site: &Site<'_>, shape: &[Dimension], index: usize) -> Result<Vec<Dimension>, ShapeError> {
    let other = site.input(index)?;
    broadcast(shape, &other.shape)
        .ok_or_else(|| site.fail(format!("shapes {} and {other} do not broadcast", dimension::Shown(shape))))
}
