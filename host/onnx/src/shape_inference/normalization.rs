//! Operators that behave differently in training: batch normalization, dropout, the loss.

use super::{ShapeError, Site, TensorType};
use crate::proto::data_type;

pub(super) fn batch_normalization(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    let Some(channels) = x.shape.get(1) else {
        return Err(site.fail(format!("input {x} has no channels")));
    };
    for index in 1..5 {
        let parameter = site.input(index)?;
        if parameter.shape[..] != [channels.clone()] {
            return Err(
                site.fail(format!("input {index} is {parameter}, but the channels of {x} are normalized"))
            );
        }
    }
    let statistics = TensorType { element: x.element, shape: vec![channels.clone()] };
    Ok(vec![x.clone(), statistics.clone(), statistics])
}

pub(super) fn dropout(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let x = site.input(0)?;
    Ok(vec![x.clone(), TensorType { element: data_type::BOOL, shape: x.shape.clone() }])
}

pub(super) fn softmax_cross_entropy(site: &Site<'_>) -> Result<Vec<TensorType>, ShapeError> {
    let scores = site.input(0)?;
    let loss = match site.node.string("reduction").unwrap_or("mean") {
        "none" => site.input(1)?.shape.clone(),
        _ => Vec::new(),
    };
    Ok(vec![TensorType { element: scores.element, shape: loss }, scores.clone()])
}
