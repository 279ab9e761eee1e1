//! Matrix products.

use super::{ShapeError, Site, TensorType, broadcast, dimension};

pub(super) fn gemm(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let (a, b) = (site.input_of_rank(0, 2)?, site.input_of_rank(1, 2)?);
    let order = |name: &str| if site.node.int(name).unwrap_or(0) != 0 { [1, 0] } else { [0, 1] };
    let ([rows, inner], [other, columns]) = (order("transA"), order("transB"));
    if a.shape[inner] != b.shape[other] {
        return Err(site.fail(format!(
            "input {a} has {} values per row, but the weights {b} take {}",
            dimension::Shown(&a.shape[inner..=inner]),
            dimension::Shown(&b.shape[other..=other])
        )));
    }
    let shape = vec![a.shape[rows].clone(), b.shape[columns].clone()];
    if site.has_input(2) {
        let c = site.input(2)?;
        if broadcast(&shape, &c.shape).as_ref() != Some(&shape) {
            return Err(site.fail(format!("bias {c} does not fit the product {}", dimension::Shown(&shape))));
        }
    }
    Ok(vec![TensorType { element: a.element, shape }])
}

pub(super) fn matmul(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let (a, b) = (site.input(0)?, site.input(1)?);
    let fail = || site.fail(format!("{a} times {b} is not defined"));
    let ([batch_a @ .., rows, inner], [batch_b @ .., other, columns]) = (&a.shape[..], &b.shape[..]) else {
        return Err(site.fail(format!("{a} times {b}: only tensors of two or more axes are supported")));
    };
    if inner != other {
        return Err(fail());
    }
    let mut shape = broadcast(batch_a, batch_b).ok_or_else(fail)?;
    shape.extend([rows.clone(), columns.clone()]);
    Ok(vec![TensorType { element: a.element, shape }])
}
