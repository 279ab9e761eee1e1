//! Reductions over axes. Axes are an attribute up to opset 17, and an input for `ReduceSum` from
//! opset 13 and for all from 18: both forms are read.

use super::{Dimension, ShapeError, Site, TensorType};

pub(super) fn reduce(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let axes = match site.node.ints("axes") {
        Some(axes) => axes.to_vec(),
        None if site.has_input(1) => site.integers(1)?,
        None => Vec::new(),
    };
    if axes.is_empty() && site.node.int("noop_with_empty_axes").unwrap_or(0) != 0 {
        return Ok(vec![x.clone()]);
    }
    let mut reduced = vec![axes.is_empty(); x.shape.len()];
    for axis in axes {
        reduced[site.axis(axis, x.shape.len())?] = true;
    }
    let keep = site.node.int("keepdims").unwrap_or(1) != 0;
    let shape = x.shape.iter().zip(&reduced).filter_map(|(dimension, &reduced)| match (reduced, keep) {
        (false, _) => Some(dimension.clone()),
        (true, true) => Some(Dimension::Fixed(1)),
        (true, false) => None,
    });
    Ok(vec![TensorType { element: x.element, shape: shape.collect() }])
}
