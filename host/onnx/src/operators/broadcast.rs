//! Two activations of which one is repeated to the shape of the other: a value per channel, or per
//! position. The device knows products with a value per channel; everything else is made of operators
//! that it has.

use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::graph::{FloatConv, FloatOp, TensorId};

use super::arithmetic::{mismatch, same_shape};
use super::{Importer, Problem, affine};
use crate::Node;
use crate::import::View;

/// How two activations go together.
pub enum Broadcast {
    /// Both have one shape.
    Same,
    /// The other has one value per channel of the whole.
    Channel { whole: View, other: View },
    /// The other has one value per row and column of the whole.
    Position { whole: View, other: View },
}

/// How two activations go together.
///
/// # Errors
/// When they do not.
pub fn find(importer: &Importer<'_>, a: &View, b: &View) -> Result<Broadcast, Problem> {
    if a.axes == b.axes && same_shape(importer, a, b) {
        return Ok(Broadcast::Same);
    }
    for (whole, other) in [(a, b), (b, a)] {
        let (shape, own) =
            (importer.graph.tensor(whole.tensor).shape, importer.graph.tensor(other.tensor).shape);
        if !is_part(whole, other) {
            continue;
        }
        let (whole, other) = (whole.clone(), other.clone());
        if own == Shape::new(1, 1, shape.channels) {
            return Ok(Broadcast::Channel { whole, other });
        }
        if own == Shape::new(shape.height, shape.width, 1) {
            return Ok(Broadcast::Position { whole, other });
        }
    }
    mismatch(importer, a, b)
}

/// Whether every dimension of `other` is that of `whole`, or 1, counted from the last.
fn is_part(whole: &View, other: &View) -> bool {
    let Some(lead) = whole.axes.len().checked_sub(other.axes.len()) else { return false };
    whole.axes[lead..].iter().zip(&other.axes).all(|(axes, own)| own.is_empty() || own == axes)
}

/// The larger of two activations and the other one in its shape.
pub fn of_one_shape(
    importer: &mut Importer<'_>,
    node: &Node,
    a: &View,
    b: &View,
) -> Result<(View, TensorId), Problem> {
    match find(importer, a, b)? {
        Broadcast::Same => Ok((a.clone(), b.tensor)),
        // A tensor of ones, times the value of each channel.
        Broadcast::Channel { whole, other } => {
            let channels = importer.graph.tensor(whole.tensor).shape.channels;
            importer.spend_floats(2 * channels)?;
            let (zeros, ones) = (vec![0.0; channels], vec![1.0; channels]);
            let ones = affine::push(importer, node, "/ones", whole.tensor, zeros, ones)?;
            let spread = importer.push(node, "/spread", FloatOp::Mul, &[ones, other.tensor])?;
            Ok((whole, spread))
        }
        // A 1x1 convolution that repeats the one channel.
        Broadcast::Position { whole, other } => {
            let channels = importer.graph.tensor(whole.tensor).shape.channels;
            importer.spend_floats(2 * channels)?;
            let (weights, bias) = (vec![1.0; channels], vec![0.0; channels]);
            let conv = FloatConv { window: Window::new([1, 1], [1, 1]), groups: 1, weights, bias };
            let spread = importer.push(node, "/spread", conv.into(), &[other.tensor])?;
            Ok((whole, spread))
        }
    }
}
