//! How ONNX's dimensions map to height, width and channels.
//!
//! Exporters transpose, flatten and reshape activations at will. None of that moves data on the
//! device: an ONNX value is a [`View`] of a tensor, each dimension a product of the tensor's axes.
//! `[N, C, H, W]`, its transpose `[N, H, W, C]` and its flattening `[N, C*H*W]` are views of one tensor.

use std::collections::VecDeque;

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::graph::TensorId;

/// An axis of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Images of a batch; not an axis of the tensor, but a dimension in ONNX.
    Batch,
    /// Height.
    Row,
    /// Width.
    Column,
    /// Channels.
    Channel,
    /// Channels in so many groups: the group. Appears with [`Axis::Member`] only.
    Group(usize),
    /// Channels in so many groups: the place in the group.
    Member(usize),
}

impl Axis {
    /// ONNX's layout of images.
    pub const IMAGE: [Axis; 4] = [Axis::Batch, Axis::Channel, Axis::Row, Axis::Column];

    /// Extent of the axis.
    pub fn size(self, shape: Shape, batch: usize) -> usize {
        match self {
            Self::Batch => batch,
            Self::Row => shape.height,
            Self::Column => shape.width,
            Self::Channel => shape.channels,
            Self::Group(groups) => groups,
            Self::Member(groups) => shape.channels / groups,
        }
    }
}

/// A tensor as an ONNX node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The tensor.
    pub tensor: TensorId,
    /// The axes of each dimension, outermost first. Axes of size 1 do not appear, so a dimension of size
    /// 1 is empty and two views are the same when their axes are equal.
    pub axes: Vec<Vec<Axis>>,
}

impl View {
    /// A view with one axis per dimension.
    pub fn new(tensor: TensorId, axes: &[Axis], shape: Shape, batch: usize) -> Self {
        let dimension = |&axis: &Axis| match axis.size(shape, batch) {
            1 => Vec::new(),
            _ => vec![axis],
        };
        Self { tensor, axes: axes.iter().map(dimension).collect() }
    }

    /// The same dimensions over other axes.
    pub fn with(&self, axes: Vec<Vec<Axis>>) -> Self {
        Self { tensor: self.tensor, axes }
    }

    /// Another tensor of the same shape, seen the same way.
    pub fn of(&self, tensor: TensorId) -> Self {
        Self { tensor, axes: self.axes.clone() }
    }

    /// Size of each dimension.
    pub fn sizes(&self, shape: Shape, batch: usize) -> Vec<usize> {
        self.axes.iter().map(|axes| axes.iter().map(|axis| axis.size(shape, batch)).product()).collect()
    }

    /// The view with dimensions of other sizes in the same row-major order, or `None` when a dimension
    /// would hold a part of an axis. Only channels may be split, into groups.
    pub fn reshape(&self, sizes: &[usize], shape: Shape, batch: usize) -> Option<Self> {
        let mut rest: VecDeque<Axis> = self.axes.iter().flatten().copied().collect();
        let mut axes = Vec::new();
        for &size in sizes {
            let (mut dimension, mut product) = (Vec::new(), 1usize);
            while product < size {
                let axis = rest.pop_front()?;
                let own = axis.size(shape, batch);
                let groups = size / product;
                let splits =
                    axis == Axis::Channel && groups > 1 && groups < own && own.is_multiple_of(groups);
                if splits && size.is_multiple_of(product) {
                    rest.push_front(Axis::Member(groups));
                    dimension.push(Axis::Group(groups));
                    product = size;
                    continue;
                }
                product = product.checked_mul(own)?;
                // Both parts of the channels in their order are the channels.
                match (dimension.last(), axis) {
                    (Some(Axis::Group(_)), Axis::Member(_)) => {
                        dimension.pop();
                        dimension.push(Axis::Channel);
                    }
                    _ => dimension.push(axis),
                }
            }
            if product != size {
                return None;
            }
            axes.push(dimension);
        }
        rest.is_empty().then(|| self.with(axes))
    }

    /// Where a dimension holds channels in another order, that order: for each place, the channel. The
    /// dimension then holds the members of a group behind each other, group by group, the other way
    /// round.
    pub fn shuffled(&self, shape: Shape) -> Option<(usize, Vec<usize>)> {
        let shuffles = |axes: &Vec<Axis>| matches!(**axes, [Axis::Member(_), Axis::Group(_)]);
        let dimension = self.axes.iter().position(shuffles)?;
        let Axis::Group(groups) = self.axes[dimension][1] else { return None };
        let members = shape.channels / groups;
        let order = (0..members).flat_map(|member| (0..groups).map(move |group| group * members + member));
        Some((dimension, order.collect()))
    }

    /// Resolves ONNX's axis number (negative counts from the end).
    pub fn dimension(&self, axis: i64) -> Option<usize> {
        let rank = self.axes.len() as i64;
        let index = if axis < 0 { axis.checked_add(rank)? } else { axis };
        (0..rank).contains(&index).then_some(index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Axis::{Channel, Column, Row};

    #[test]
    fn reshaping_groups_axes_in_row_major_order() {
        let shape = Shape::new(4, 1, 6);
        let view = View::new(TensorId(0), &Axis::IMAGE, shape, 1);
        assert_eq!(view.axes, [vec![], vec![Channel], vec![Row], vec![]]);
        let flat = view.reshape(&[1, 24], shape, 1).unwrap();
        assert_eq!(flat.axes, [vec![], vec![Channel, Row]]);
        assert_eq!(flat.reshape(&[1, 6, 4, 1], shape, 1).unwrap().axes, view.axes);
        assert_eq!(flat.reshape(&[1, 8, 3], shape, 1), None, "a part of the channels and the rows");
        assert_eq!(flat.reshape(&[1, 6], shape, 1), None, "too few values");
        assert_eq!(flat.reshape(&[1, 6, 4, 2], shape, 1), None, "too many values");
    }

    #[test]
    fn channels_are_split_and_shuffled() {
        let shape = Shape::new(5, 7, 6);
        let view = View::new(TensorId(0), &Axis::IMAGE, shape, 1);
        let split = view.reshape(&[1, 2, 3, 5, 7], shape, 1).unwrap();
        assert_eq!(
            split.axes,
            [vec![], vec![Axis::Group(2)], vec![Axis::Member(2)], vec![Row], vec![Column]]
        );
        assert_eq!(split.sizes(shape, 1), [1, 2, 3, 5, 7]);
        assert_eq!(split.reshape(&[1, 6, 5, 7], shape, 1).unwrap(), view);
        assert_eq!(split.shuffled(shape), None);
        let turned = split.with([0, 2, 1, 3, 4].map(|index: usize| split.axes[index].clone()).to_vec());
        let merged = turned.reshape(&[1, 6, 5, 7], shape, 1).unwrap();
        assert_eq!(merged.shuffled(shape), Some((1, vec![0, 3, 1, 4, 2, 5])));
    }

    #[test]
    fn a_fixed_batch_is_an_axis_like_others() {
        let shape = Shape::new(2, 3, 1);
        let view = View::new(TensorId(0), &Axis::IMAGE, shape, 8);
        let flat = view.reshape(&[8, 6], shape, 8).unwrap();
        assert_eq!(flat.axes, [vec![Axis::Batch], vec![Row, Column]]);
        assert_eq!(flat.sizes(shape, 8), [8, 6]);
    }
}
