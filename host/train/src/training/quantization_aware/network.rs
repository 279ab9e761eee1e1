//! The network that training for int8 runs: the integers of [int8
//! arithmetic](../../../../docs/int8-semantics.md) as whole numbers in float32.
//!
//! A value stands for an int8 tensor minus its zero point; its step is 1. A convolution multiplies whole
//! numbers and adds whole numbers, which float32 does exactly, in any order, as long as no sum reaches
//! `2^24`. Times a multiplier `k / 2^16`, what does not saturate fits 24 bits as well, and `QuantizeLinear`
//! rounds it as the specification does. So training sees the bits of the int8 model, with any convolution of
//! any library. Scales appear where real numbers do: parameters are divided by theirs, pixels too, functions
//! are computed between two, and logits are multiplied by one.
//!
//! Tables of functions are the exception: float32 computes their entries here, double precision in the int8
//! model, and an entry next to a rounding tie may differ.

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::float_export::{oihw, operator, windowed};
use goldcrest_onnx::{Attribute, Data, Graph, Model, Node, Tensor, ValueInfo};
use goldcrest_prove::calibrate::{Outcome, PipelineError, given_outcome};
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::given::Given;
use goldcrest_quantize::graph::{Activation, Clamp, FloatOp, Node as Int8Node, TensorId};
use goldcrest_quantize::graph::{Quantization, QuantizedConv, QuantizedGraph, QuantizedOp};
use goldcrest_quantize::operators::{QuantizedAdd, QuantizedAveragePool, QuantizedMul};

use super::{BIAS, WEIGHTS, bias_scale};

/// Writes the network of a quantized file (QDQ), with float parameters that round to the file's integers.
pub fn write(file: &Model) -> Result<Model, PipelineError> {
    let (Outcome { float, model, report }, given) = given_outcome(file)?;
    let int8 = &model.graph;
    let mut writer = Writer {
        int8,
        float: &float,
        given: &given,
        onnx: Graph { name: int8.name.clone(), ..Graph::default() },
    };
    writer.input();
    for (node, layer) in int8.nodes.iter().zip(&report.layers) {
        // A copy on another grid, which a concatenation reads, has a name of its own.
        let function = float.nodes.iter().find(|float| float.output == layer.unbounded).map(|node| &node.op);
        let function = function.filter(|_| node.name == float.tensor(layer.float).name);
        writer.node(node, layer.unbounded, function);
    }
    writer.logits();
    Ok(Model { graph: writer.onnx, opset: 17, metadata: file.metadata.clone(), ..Model::default() })
}

struct Writer<'a> {
    int8: &'a QuantizedGraph,
    float: &'a FloatGraph,
    given: &'a Given,
    onnx: Graph,
}

impl Writer<'_> {
    fn grid(&self, id: TensorId) -> Quantization {
        self.int8.tensor(id).info
    }

    /// The name of a tensor's whole numbers.
    fn name(&self, id: TensorId) -> String {
        format!("{}.whole", self.int8.tensor(id).name)
    }

    fn push(&mut self, op: &str, inputs: &[&str], output: &str) {
        self.onnx.nodes.push(Node::new(op, inputs, &[output]));
    }

    fn constant(&mut self, name: String, tensor: Tensor) -> String {
        self.onnx.initializers.insert(name.clone(), tensor);
        name
    }

    fn scalar(&mut self, name: String, value: f32) -> String {
        self.constant(name, Tensor::f32(&[], vec![value]))
    }

    /// Pixels, in steps of the input's grid, to whole numbers.
    fn input(&mut self) {
        let tensor = self.int8.tensor(self.int8.input);
        let Shape { height, width, channels } = tensor.shape;
        let shape = [-1, channels as i64, height as i64, width as i64];
        self.onnx.inputs.push(ValueInfo::float(&tensor.name, &shape));
        let [scale, steps] = ["scale", "steps"].map(|part| format!("{}.{part}", tensor.name));
        let scale = self.scalar(scale, tensor.info.scale);
        self.push("Div", &[&tensor.name, &scale], &steps);
        self.round(&steps, self.int8.input);
    }

    /// The last whole numbers, as a row of real ones.
    fn logits(&mut self) {
        let (output, last) = (self.int8.tensor(self.int8.output), self.name(self.int8.output));
        let [row, scale, logits] = ["row", "scale", "logits"].map(|part| format!("{}.{part}", output.name));
        let scale = self.scalar(scale, output.info.scale);
        self.onnx.nodes.push(Node::new("Flatten", &[&last], &[&row]).with("axis", Attribute::Int(1)));
        self.push("Mul", &[&row, &scale], &logits);
        self.onnx.outputs = vec![ValueInfo::float(&logits, &[-1, output.shape.channels as i64])];
    }

    fn node(&mut self, node: &Int8Node<QuantizedOp>, written: TensorId, function: Option<&FloatOp>) {
        let output = self.name(node.output);
        let inputs: Vec<String> = node.inputs.iter().map(|&id| self.name(id)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let name = &node.name;
        match &node.op {
            QuantizedOp::Conv(conv) => {
                let sum = self.convolution(inputs[0], self.grid(node.inputs[0]), written, conv);
                let steps = self.multiplied(&sum, &format!("{name}.steps"), &conv.multipliers);
                self.round_within(&steps, node.output, conv.clamp);
            }
            QuantizedOp::AveragePool(QuantizedAveragePool { window, multiplier }) => {
                // Not `AveragePool`: its quotients are not exact.
                let channels = self.int8.tensor(node.inputs[0]).shape.channels;
                let [rows, columns] = window.kernel;
                let ones =
                    Tensor::new(&[channels, 1, rows, columns], Data::I8(vec![1; channels * rows * columns]));
                let ones = self.constant(format!("{name}.kernel"), ones);
                let one = self.scalar("goldcrest/one".into(), 1.0);
                let (kernel, sum) = (format!("{name}.ones"), format!("{name}.sum"));
                // What is dequantized is not a parameter.
                self.push("DequantizeLinear", &[&ones, &one], &kernel);
                let conv = windowed("Conv", &[inputs[0], &kernel], &sum, window);
                self.onnx.nodes.push(conv.with("group", Attribute::Int(channels as i64)));
                let steps = self.multiplied(&sum, &format!("{name}.steps"), &[*multiplier]);
                self.round(&steps, node.output);
            }
            QuantizedOp::Add(QuantizedAdd { multipliers: [a, b], clamp }) => {
                let operands = [(0, a), (1, b)].map(|(at, &multiplier)| {
                    self.multiplied(inputs[at], &format!("{name}.operand{at}"), &[multiplier])
                });
                let steps = format!("{name}.steps");
                self.push("Add", &[&operands[0], &operands[1]], &steps);
                self.round_within(&steps, node.output, *clamp);
            }
            QuantizedOp::Mul(QuantizedMul { multiplier }) => {
                let product = format!("{name}.product");
                self.push("Mul", &inputs, &product);
                let steps = self.multiplied(&product, &format!("{name}.steps"), &[*multiplier]);
                self.round(&steps, node.output);
            }
            QuantizedOp::Lookup(_) => {
                let steps = self.function(node, inputs[0], function);
                self.round(&steps, node.output);
            }
            // The rest moves whole numbers as the float operator moves real ones; padding is 0 in both.
            op => {
                if let Some(float) = op.rules().moves() {
                    self.moved(&float, &inputs, &output);
                }
            }
        }
    }

    fn moved(&mut self, op: &FloatOp, inputs: &[&str], output: &str) {
        let node = operator(&mut self.onnx, op, inputs, output);
        self.onnx.nodes.push(node);
    }

    /// The sums of a convolution, its parameters rounded to whole numbers.
    fn convolution(
        &mut self,
        x: &str,
        input: Quantization,
        written: TensorId,
        conv: &QuantizedConv,
    ) -> String {
        let name = self.float.tensor(written).name.clone();
        let (outputs, [rows, columns]) = (conv.bias.len(), conv.window.kernel);
        let depth = conv.weights.len() / (outputs * rows * columns);
        let scales: Vec<f32> = (0..outputs)
            .map(|channel| self.given.weight_scale(written, channel).unwrap_or(1.0) as f32)
            .collect();
        let weights = oihw(&conv.weights, outputs, rows * columns, depth);
        let each = weights.len() / outputs;
        let weights = weights.iter().enumerate().map(|(at, &whole)| f32::from(whole) * scales[at / each]);
        let weights = Tensor::f32(&[outputs, depth, rows, columns], weights.collect());
        let bias_scales: Vec<f32> = scales.iter().map(|&scale| bias_scale(input.scale, scale)).collect();
        let bias = conv
            .bias
            .iter()
            .zip(&bias_scales)
            .map(|(&whole, &scale)| (f64::from(whole) * f64::from(scale)) as f32);
        let bias = Tensor::f32(&[outputs], bias.collect());

        let weights =
            self.whole(&format!("{name}{WEIGHTS}"), weights, Tensor::f32(&[outputs, 1, 1, 1], scales));
        let bias = self.whole(&format!("{name}{BIAS}"), bias, Tensor::f32(&[outputs], bias_scales));
        let [low, high] = [("goldcrest/least", -127.0), ("goldcrest/most", 127.0)]
            .map(|(name, bound)| self.scalar(name.into(), bound));
        let cut = format!("{weights}.cut");
        self.push("Clip", &[&weights, &low, &high], &cut);
        let sum = format!("{name}.sum");
        let node = windowed("Conv", &[x, &cut, &bias], &sum, &conv.window);
        self.onnx.nodes.push(node.with("group", Attribute::Int(conv.groups as i64)));
        sum
    }

    /// A parameter in whole steps.
    fn whole(&mut self, name: &str, parameter: Tensor, scales: Tensor) -> String {
        let [scale, steps, whole] = ["scale", "steps", "whole"].map(|part| format!("{name}.{part}"));
        self.constant(name.to_owned(), parameter);
        self.constant(scale.clone(), scales);
        self.push("Div", &[name, &scale], &steps);
        self.push("Round", &[&steps], &whole);
        whole
    }

    /// `value` times one multiplier, or one for each channel.
    fn multiplied(&mut self, value: &str, output: &str, multipliers: &[Multiplier]) -> String {
        let reals: Vec<f32> = multipliers.iter().map(|multiplier| multiplier.to_f64() as f32).collect();
        if reals == [1.0] {
            return value.to_owned();
        }
        let shape: &[usize] = if reals.len() == 1 { &[] } else { &[1, reals.len(), 1, 1] };
        let multiplier = self.constant(format!("{output}.multiplier"), Tensor::f32(shape, reals));
        self.push("Mul", &[value, &multiplier], output);
        output.to_owned()
    }

    /// The function of a table, or another grid alone.
    fn function(&mut self, node: &Int8Node<QuantizedOp>, x: &str, function: Option<&FloatOp>) -> String {
        let name = &node.name;
        let [from, to] = [node.inputs[0], node.output].map(|id| self.grid(id).scale);
        let [real, steps] = ["real", "steps"].map(|part| format!("{name}.{part}"));
        let scale = self.scalar(format!("{real}.scale"), from);
        self.push("Mul", &[x, &scale], &real);
        let mut value = real;
        if let Some(op @ FloatOp::Activation(_)) = function {
            let written = format!("{name}.function");
            self.moved(op, &[&value], &written);
            value = written;
        }
        let scale = self.scalar(format!("{steps}.scale"), to);
        self.push("Div", &[&value, &scale], &steps);
        steps
    }

    /// Cuts steps at bounds of the operator's own, then rounds them.
    fn round_within(&mut self, steps: &str, id: TensorId, clamp: Clamp) {
        let zero = f32::from(self.grid(id).zero_point);
        let [low, high] = [clamp.low, clamp.high].map(|bound| f32::from(bound) - zero);
        let bounds = match [low + zero == -128.0, high + zero == 127.0] {
            // Saturation does it.
            [true, true] => return self.round(steps, id),
            [false, true] if low == 0.0 => Activation::Relu,
            _ => Activation::Clip { low, high },
        };
        let bounded = format!("{steps}.bounded");
        self.moved(&FloatOp::Activation(bounds), &[steps], &bounded);
        self.round(&bounded, id);
    }

    /// Steps to whole numbers within the grid of a tensor, under its name.
    fn round(&mut self, steps: &str, id: TensorId) {
        let (tensor, output) = (self.int8.tensor(id), self.name(id));
        let one = self.scalar("goldcrest/one".into(), 1.0);
        let zero = Tensor::new(&[], Data::I8(vec![tensor.info.zero_point]));
        let zero = self.constant(format!("{}.zero_point", tensor.name), zero);
        let integers = format!("{}.integers", tensor.name);
        self.push("QuantizeLinear", &[steps, &one, &zero], &integers);
        self.push("DequantizeLinear", &[&integers, &one, &zero], &output);
    }
}
