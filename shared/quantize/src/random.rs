//! Random int8 networks: seeded, valid, with outputs spread over the int8 range. Kernels are tested
//! and measured on them, because bits and instructions do not depend on training.

mod kernels;
mod layers;

pub use kernels::every_kernel;
pub use layers::layers;

use alloc::{boxed::Box, format, string::ToString, vec, vec::Vec};

use super::graph::{
    Clamp, Graph, ModelInfo, Node, Normalization, Quantization, QuantizedConv, QuantizedGraph,
    QuantizedModel, QuantizedOp, Tensor, TensorId,
};
use super::infer::Infer;
use super::operators::{Lookup, MaxPool, Pad, QuantizedAdd, QuantizedAveragePool, QuantizedMul};
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Shape, Window};

/// Pseudo-random numbers: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// 2014).
///
/// The generator is written out here and not taken from a crate, because the same seed must give the same
/// numbers in every later version of Goldcrest.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that depend on the seed alone.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Self::mix(self.0)
    }

    /// 64 bits that depend on every bit of `z`; two `z` never give the same.
    pub const fn mix(mut z: u64) -> u64 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1) as u64) as i64
    }

    /// A number in `[0, 1)`, with 24 random bits.
    pub const fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Bytes, for pictures.
    pub fn pixels(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }
}

/// Grows a network node by node; every method returns the tensor it adds.
#[derive(Clone, Debug)]
pub struct Builder {
    graph: QuantizedGraph,
    random: Random,
    /// Draw weights, zero points and bounds from the ends of their ranges.
    extreme: bool,
}

impl Builder {
    /// A network with an input of a shape.
    pub fn new(seed: u64, input: Shape, extreme: bool) -> Self {
        let mut random = Random::new(seed);
        let info = quantization(&mut random, extreme);
        let graph = Graph {
            name: "random".to_string(),
            tensors: vec![Tensor { name: "input".to_string(), shape: input, info }],
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
        };
        Self { graph, random, extreme }
    }

    /// The input tensor.
    pub fn input(&self) -> TensorId {
        self.graph.input
    }

    /// The shape of a tensor.
    pub fn shape(&self, id: TensorId) -> Shape {
        self.graph.tensor(id).shape
    }

    fn push(&mut self, op: QuantizedOp, inputs: &[TensorId], same_quantization: bool) -> TensorId {
        let info = match same_quantization {
            true => self.graph.tensor(inputs[0]).info,
            false => quantization(&mut self.random, self.extreme),
        };
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.shape(id)).collect();
        let shape = op.output_shape(&shapes).unwrap_or(Shape::new(0, 0, 0));
        let output = TensorId(self.graph.tensors.len());
        let name = format!("t{}", output.0);
        self.graph.nodes.push(Node { name: format!("n{}", output.0), op, inputs: inputs.to_vec(), output });
        self.graph.tensors.push(Tensor { name, shape, info });
        output
    }

    fn weight(&mut self) -> i8 {
        match self.extreme {
            true => [-127, 127, -127, 0][self.random.within(0, 3) as usize],
            false => self.random.within(-127, 127) as i8,
        }
    }

    fn clamp(&mut self) -> Clamp {
        match self.random.within(0, 2) {
            0 => Clamp::NONE,
            1 => Clamp { low: self.random.within(-128, 0) as i8, high: 127 },
            _ => Clamp { low: self.random.within(-128, 0) as i8, high: self.random.within(0, 127) as i8 },
        }
    }

    /// A convolution; `clamp` of `None` draws one.
    pub fn conv(
        &mut self,
        input: TensorId,
        outputs: usize,
        window: Window,
        groups: usize,
        clamp: Option<Clamp>,
    ) -> TensorId {
        let depth = self.shape(input).channels / groups;
        let each = window.kernel[0] * window.kernel[1] * depth;
        let weights = (0..outputs * each).map(|_| self.weight()).collect();
        let bias = (0..outputs).map(|_| self.random.within(-20_000, 20_000) as i32).collect();
        // The accumulator's deviation is about 74 * 74 * sqrt(each); aim at a deviation of 50.
        let spread = 74 * 74 * ((each as i64) << 16).isqrt();
        let typical = (((65536 * 50) << 8) / spread).max(1);
        let typical = if self.extreme { typical * 40 } else { typical };
        let multiplier = |random: &mut Random| Multiplier::new(random.within(1, 2 * typical) as u32);
        let multipliers = (0..outputs).filter_map(|_| multiplier(&mut self.random)).collect();
        let clamp = clamp.unwrap_or_else(|| self.clamp());
        let conv = QuantizedConv { window, groups, weights, bias, multipliers, clamp };
        self.push(conv.into(), &[input], false)
    }

    /// A fully connected layer over all values of a tensor.
    pub fn fully_connected(&mut self, input: TensorId, outputs: usize) -> TensorId {
        let Shape { height, width, .. } = self.shape(input);
        self.conv(input, outputs, Window::new([height, width], [1, 1]), 1, Some(Clamp::NONE))
    }

    /// A maximum pool.
    pub fn max_pool(&mut self, input: TensorId, window: Window) -> TensorId {
        self.push(QuantizedOp::MaxPool(MaxPool { window }), &[input], true)
    }

    /// An average pool.
    pub fn average_pool(&mut self, input: TensorId, window: Window) -> TensorId {
        let taps = (window.kernel[0] * window.kernel[1]) as i64;
        let multiplier = self.multiplier(2 * 65536 / taps);
        self.push(QuantizedOp::AveragePool(QuantizedAveragePool { window, multiplier }), &[input], false)
    }

    fn multiplier(&mut self, largest: i64) -> Multiplier {
        Multiplier::new(self.random.within(1, largest.max(1)) as u32).unwrap_or(Multiplier::MAX)
    }

    /// A sum; `clamp` of `None` draws one.
    pub fn add(&mut self, a: TensorId, b: TensorId, clamp: Option<Clamp>) -> TensorId {
        let limit = if self.extreme { i64::from(QuantizedOp::ELEMENTWISE_LIMIT) } else { 50_000 };
        let multipliers = [self.multiplier(limit), self.multiplier(limit)];
        let clamp = clamp.unwrap_or_else(|| self.clamp());
        self.push(QuantizedOp::Add(QuantizedAdd { multipliers, clamp }), &[a, b], false)
    }

    /// A product.
    pub fn mul(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let limit = if self.extreme { i64::from(QuantizedOp::ELEMENTWISE_LIMIT) } else { 1500 };
        let multiplier = self.multiplier(limit);
        self.push(QuantizedOp::Mul(QuantizedMul { multiplier }), &[a, b], false)
    }

    /// A table.
    pub fn lookup(&mut self, input: TensorId) -> TensorId {
        let table = Box::new(core::array::from_fn(|_| self.random.bits() as i8));
        self.push(QuantizedOp::Lookup(Lookup { table }), &[input], false)
    }

    /// A concatenation; the inputs take the first one's quantization.
    pub fn concat(&mut self, inputs: &[TensorId]) -> TensorId {
        let info = self.graph.tensor(inputs[0]).info;
        for id in inputs {
            self.graph.tensors[id.0].info = info;
        }
        self.push(QuantizedOp::Concat, inputs, true)
    }

    /// Padding.
    pub fn pad(&mut self, input: TensorId, padding: Padding) -> TensorId {
        self.push(QuantizedOp::Pad(Pad { padding }), &[input], true)
    }

    /// Upsampling.
    pub fn upsample(&mut self, input: TensorId) -> TensorId {
        self.push(QuantizedOp::UpsampleNearest2, &[input], true)
    }

    /// The model with this output, which must be `1 x 1 x classes`.
    pub fn finish(mut self, output: TensorId) -> QuantizedModel {
        self.graph.output = output;
        let channels = self.shape(self.graph.input).channels;
        let labels = (0..self.shape(output).channels).map(|class| format!("class {class}")).collect();
        let normalization = Normalization { mean: vec![0.5; channels], std: vec![0.5; channels] };
        QuantizedModel {
            graph: self.graph,
            info: ModelInfo { labels, normalization, preprocessing: Default::default() },
        }
    }
}

fn quantization(random: &mut Random, extreme: bool) -> Quantization {
    let zero_point = match extreme {
        true => [-128, 127][random.within(0, 1) as usize],
        false => random.within(-128, 127) as i8,
    };
    Quantization { scale: 1.0 / 64.0, zero_point }
}

fn square(kernel: usize, stride: usize, padding: usize) -> Window {
    let padding = Padding { top: padding, left: padding, bottom: padding, right: padding };
    Window { padding, ..Window::new([kernel, kernel], [stride, stride]) }
}

/// Leaves the upper four bits of every weight.
pub fn to_four_bits(model: &mut QuantizedModel) {
    for node in &mut model.graph.nodes {
        if let Some(conv) = node.op.conv_mut() {
            conv.weights.iter_mut().for_each(|weight| *weight >>= 4);
        }
    }
}

/// ResNet-8 of MLPerf Tiny (image classification) with random weights: 12,501,632
/// multiply-accumulates.
pub fn resnet8(seed: u64) -> QuantizedModel {
    let mut net = Builder::new(seed, Shape::new(32, 32, 3), false);
    let relu = Some(Clamp::NONE);
    let mut x = net.conv(net.input(), 16, square(3, 1, 1), 1, relu);
    for (outputs, stride) in [(16, 1), (32, 2), (64, 2)] {
        // With stride 2, TensorFlow's SAME padding is below and to the right only.
        let window = match stride {
            1 => square(3, 1, 1),
            _ => Window {
                padding: Padding { top: 0, left: 0, bottom: 1, right: 1 },
                ..Window::new([3, 3], [stride, stride])
            },
        };
        let a = net.conv(x, outputs, window, 1, relu);
        let b = net.conv(a, outputs, square(3, 1, 1), 1, relu);
        let shortcut = match stride {
            1 => x,
            _ => net.conv(x, outputs, square(1, stride, 0), 1, relu),
        };
        x = net.add(shortcut, b, relu);
    }
    let pooled = net.average_pool(x, square(8, 1, 0));
    let logits = net.fully_connected(pooled, 10);
    net.finish(logits)
}

/// LeNet-5 for 32x32 colour pictures with random weights: 651,720 multiply-accumulates.
pub fn lenet5(seed: u64) -> QuantizedModel {
    let mut net = Builder::new(seed, Shape::new(32, 32, 3), false);
    let relu = Some(Clamp::NONE);
    let mut x = net.input();
    for outputs in [6, 16] {
        x = net.conv(x, outputs, square(5, 1, 0), 1, relu);
        x = net.max_pool(x, square(2, 2, 0));
    }
    for outputs in [120, 84, 10] {
        x = net.fully_connected(x, outputs);
    }
    net.finish(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_published_sequence() {
        // First outputs of SplitMix64 with state 1234567, as listed with the reference code.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }
}
