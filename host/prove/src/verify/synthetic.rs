//! Small int8 networks around one operator, for inputs that no image would give it.

use std::ops::Range;

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Shape, Window};
use goldcrest_quantize::graph::{
    Clamp, Graph, ModelInfo, Node, Normalization, Quantization, QuantizedConv, QuantizedGraph,
    QuantizedModel, QuantizedOp, Tensor, TensorId,
};
use goldcrest_quantize::infer::Infer;
use goldcrest_quantize::operators::MaxPool;

/// What the names of tensors begin with that belong to no layer of a model.
pub const OWN: &str = "synthetic/";

/// A network under construction. The input is tensor 0.
pub struct Builder {
    graph: QuantizedGraph,
}

impl Builder {
    /// A network of no nodes.
    pub fn new(shape: Shape, zero_point: i8) -> Self {
        // With this scale, and the mean that `finish` sets, the int8 input of pixel `p` is `p - 128`.
        let info = Quantization { scale: 1.0 / 255.0, zero_point };
        let tensors = vec![Tensor { name: format!("{OWN}input"), shape, info }];
        let (input, output) = (TensorId(0), TensorId(0));
        Self { graph: Graph { name: "synthetic".into(), tensors, nodes: Vec::new(), input, output } }
    }

    /// The shape of the input.
    pub fn input(&self) -> Shape {
        self.graph.tensor(TensorId(0)).shape
    }

    /// Adds an operator.
    ///
    /// # Panics
    /// When the operator does not fit its inputs: a defect of the caller.
    pub fn push(&mut self, name: &str, op: QuantizedOp, inputs: &[TensorId], zero_point: i8) -> TensorId {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.graph.tensor(id).shape).collect();
        let shape = op.output_shape(&shapes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let id = TensorId(self.graph.tensors.len());
        let info = Quantization { scale: 1.0, zero_point };
        self.graph.tensors.push(Tensor { name: name.into(), shape, info });
        self.graph.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), output: id });
        id
    }

    /// Some channels of the input as a tensor of their own with another zero point, the values as they are.
    /// The input's zero point must be 0.
    pub fn channels(&mut self, name: &str, channels: Range<usize>, zero_point: i8) -> TensorId {
        let all = self.input().channels;
        let one_hot = |channel| (0..all).map(move |input| i8::from(input == channel));
        let conv = QuantizedConv {
            window: Window::new([1, 1], [1, 1]),
            groups: 1,
            weights: channels.clone().flat_map(one_hot).collect(),
            bias: vec![-i32::from(zero_point); channels.len()],
            multipliers: vec![const { Multiplier::new(1 << 16).unwrap() }; channels.len()],
            clamp: Clamp::NONE,
        };
        self.push(&format!("{OWN}{name}"), conv.into(), &[TensorId(0)], zero_point)
    }

    /// The largest value of every channel, as a network's output must have one row and one column.
    pub fn reduce(&mut self, id: TensorId) -> TensorId {
        let &Tensor { shape, info, .. } = self.graph.tensor(id);
        if (shape.height, shape.width) == (1, 1) {
            return id;
        }
        self.push(&format!("{OWN}largest/{}", id.0), largest(shape), &[id], info.zero_point)
    }

    /// The network with this output of one row and one column.
    pub fn finish(mut self, output: TensorId) -> QuantizedModel {
        self.graph.output = output;
        let (input, output) = (self.graph.tensor(TensorId(0)), self.graph.tensor(output));
        let channels = input.shape.channels;
        let mean = (128.0 + f32::from(input.info.zero_point)) / 255.0;
        let normalization = Normalization { mean: vec![mean; channels], std: vec![1.0; channels] };
        let labels = (0..output.shape.channels).map(|class| class.to_string()).collect();
        QuantizedModel {
            graph: self.graph,
            info: ModelInfo { labels, normalization, preprocessing: Default::default() },
        }
    }
}

/// The largest value of every channel of a tensor, which has one row and one column then.
pub fn largest(Shape { height, width, .. }: Shape) -> QuantizedOp {
    QuantizedOp::MaxPool(MaxPool { window: Window::new([height, width], [1, 1]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_int8_value_has_a_pixel() {
        for zero_point in [-128, -100, -1, 0, 55, 127] {
            let mut builder = Builder::new(Shape::new(1, 1, 2), zero_point);
            let output = builder.channels("all", 0..2, 0);
            let table = builder.finish(output).pixel_table(1);
            assert!(table.iter().copied().eq(i8::MIN..=i8::MAX), "zero point {zero_point}");
        }
    }
}
