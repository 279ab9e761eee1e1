//! The int8 semantics as plain loops: the executable specification of every [`QuantizedOp`], whose sums and
//! values the [operators](super::operators) say.
//!
//! Kernels, the exported ONNX and the device engine are tested against this. It is written to be
//! read, not to be fast; each output value comes from one formula, that of [`Computed::Sum`].
//!
//! All functions expect a graph that [`check`](super::check::check) accepts, and tensors of the
//! shapes it states, in HWC order.

use alloc::{vec, vec::Vec};

use super::graph::{Clamp, Node, Quantization, QuantizedGraph, QuantizedOp, Tensor, TensorId};
use super::operators::QuantizedOperator;
use goldcrest_engine::requantize::round_shift;
use goldcrest_engine::shape::{Shape, Window};

/// Runs the network on one int8 image (HWC) and returns every tensor, indexed by [`TensorId`].
pub fn run(graph: &QuantizedGraph, image: &[i8]) -> Vec<Vec<i8>> {
    let mut tensors = vec![Vec::new(); graph.tensors.len()];
    tensors[graph.input.0] = image.to_vec();
    for node in &graph.nodes {
        let inputs: Vec<&[i8]> = node.inputs.iter().map(|id| &*tensors[id.0]).collect();
        let values = run_node(graph, node, &inputs);
        tensors[node.output.0] = values;
    }
    tensors
}

/// Runs one node on its input tensors.
pub fn run_node(graph: &QuantizedGraph, node: &Node<QuantizedOp>, inputs: &[&[i8]]) -> Vec<i8> {
    let output = Output::new(graph, node, inputs);
    let shape = output.shape;
    let mut values = Vec::with_capacity(shape.len());
    for row in 0..shape.height {
        for column in 0..shape.width {
            values.extend((0..shape.channels).map(|channel| output.value([row, column, channel])));
        }
    }
    values
}

/// What one node writes, value by value.
pub struct Output<'a> {
    op: &'a dyn QuantizedOperator,
    inputs: Vec<Operand<'a>>,
    /// Shape of the output.
    pub shape: Shape,
    zero_point: i8,
}

/// An input tensor with its shape and zero point.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// HWC.
    pub values: &'a [i8],
    /// Its shape.
    pub shape: Shape,
    /// What stands for 0.
    pub zero_point: i32,
}

impl Operand<'_> {
    /// The stored value at a position.
    pub fn raw(&self, [row, column, channel]: [usize; 3]) -> i8 {
        self.values[(row * self.shape.width + column) * self.shape.channels + channel]
    }

    /// Value minus zero point.
    pub fn at(&self, position: [usize; 3]) -> i32 {
        i32::from(self.raw(position)) - self.zero_point
    }
}

impl<'a> Output<'a> {
    /// The output of a node on its input tensors.
    pub fn new(graph: &'a QuantizedGraph, node: &'a Node<QuantizedOp>, inputs: &[&'a [i8]]) -> Self {
        let operand = |(id, &values): (&TensorId, &&'a [i8])| {
            let tensor: &Tensor<Quantization> = graph.tensor(*id);
            Operand { values, shape: tensor.shape, zero_point: i32::from(tensor.info.zero_point) }
        };
        let output = graph.tensor(node.output);
        Self {
            op: node.op.rules(),
            inputs: node.inputs.iter().zip(inputs).map(operand).collect(),
            shape: output.shape,
            zero_point: output.info.zero_point,
        }
    }

    fn computed(&self, position: [usize; 3]) -> Computed {
        self.op.compute(&self.inputs, position, self.zero_point)
    }

    /// The integer before requantization at `[row, column, channel]`: the int32 accumulator of a
    /// convolution or average pool, the sum `(a - za) * ka + (b - zb) * kb` of an addition (in units of
    /// `2^-16`), the product of a multiplication. `None` for operators that only move or map values.
    pub fn accumulator(&self, position: [usize; 3]) -> Option<i64> {
        Some(self.sum(position)?.0)
    }

    /// The accumulator, and the `k` that it is multiplied by.
    pub fn sum(&self, position: [usize; 3]) -> Option<(i64, u32)> {
        match self.computed(position) {
            Computed::Sum { sum, k, .. } => Some((sum, k)),
            Computed::Value(_) => None,
        }
    }

    /// The int8 value at `[row, column, channel]`.
    pub fn value(&self, position: [usize; 3]) -> i8 {
        match self.computed(position) {
            Computed::Sum { sum, k, clamp: Clamp { low, high } } => {
                let rounded = round_shift(sum * i64::from(k)) + i64::from(self.zero_point);
                (rounded.clamp(-128, 127) as i8).clamp(low, high)
            }
            Computed::Value(value) => value,
        }
    }
}

/// What an operator makes of its inputs at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// `clamp(saturate(round_half_even(sum * k / 2^16) + zy))`.
    Sum {
        /// The accumulator.
        sum: i64,
        /// What it is multiplied by; 1 where multipliers are in the sum.
        k: u32,
        /// Bounds of the output.
        clamp: Clamp,
    },
    /// The int8 value itself.
    Value(i8),
}

/// The taps of a window at an output position that lie inside the input, as `(tap, row, column)`:
/// `tap` counts kernel rows and columns, `row` and `column` are the input's.
pub(crate) fn taps(
    window: &Window,
    input: Shape,
    [row, column, _]: [usize; 3],
) -> impl Iterator<Item = (usize, usize, usize)> {
    let window = *window;
    (0..window.kernel[0]).flat_map(move |ky| {
        (0..window.kernel[1]).filter_map(move |kx| {
            let y = (row * window.stride[0] + ky * window.dilation[0]).checked_sub(window.padding.top)?;
            let x = (column * window.stride[1] + kx * window.dilation[1]).checked_sub(window.padding.left)?;
            (y < input.height && x < input.width).then_some((ky * window.kernel[1] + kx, y, x))
        })
    })
}

#[cfg(test)]
mod tests;
