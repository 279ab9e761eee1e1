//! [`QuantizedModel`] to ONNX.

use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_quantize::graph::{
    Clamp, Node as QuantizedNode, QuantizedConv, QuantizedModel, QuantizedOp, TensorId,
};
use serde_json::json;

use super::super::float_export::{oihw, windowed};
use super::super::proto::data_type::{INT8, INT32};
use super::super::{Attribute, Data, Graph, Model, Node, Tensor, ValueInfo, info};
use super::{QUANTIZATION, UNCLAMPED, UNFLATTENED};

/// Writes an int8 model as ONNX. The batch is dynamic.
pub fn write(model: &QuantizedModel) -> Model {
    let mut writer = Writer { model, onnx: Graph { name: model.graph.name.clone(), ..Graph::default() } };
    writer.onnx.inputs.push(writer.value(model.graph.input));
    for node in &model.graph.nodes {
        writer.node(node);
    }
    let output = model.graph.tensor(model.graph.output);
    let unflattened = writer.name(model.graph.output);
    let flatten = Node::new("Flatten", &[&unflattened], &[&output.name]).with("axis", Attribute::Int(1));
    writer.onnx.nodes.push(flatten);
    writer.onnx.outputs.push(ValueInfo::new(&output.name, INT8, &[-1, output.shape.channels as i64]));

    let grids: serde_json::Map<String, serde_json::Value> = model
        .graph
        .tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), json!([tensor.info.scale, tensor.info.zero_point])))
        .collect();
    let mut onnx = Model { graph: writer.onnx, opset: 17, ..Model::default() };
    onnx.metadata.insert(QUANTIZATION.into(), serde_json::Value::Object(grids).to_string());
    info::write(&model.info, &mut onnx.metadata);
    onnx
}

struct Writer<'a> {
    model: &'a QuantizedModel,
    onnx: Graph,
}

impl Writer<'_> {
    /// The ONNX name of a tensor.
    fn name(&self, id: TensorId) -> String {
        let name = &self.model.graph.tensor(id).name;
        match id == self.model.graph.output {
            true => format!("{name}{UNFLATTENED}"),
            false => name.clone(),
        }
    }

    fn value(&self, id: TensorId) -> ValueInfo {
        let Shape { height, width, channels } = self.model.graph.tensor(id).shape;
        ValueInfo::new(&self.name(id), INT8, &[-1, channels as i64, height as i64, width as i64])
    }

    fn zero_point(&self, id: TensorId) -> i8 {
        self.model.graph.tensor(id).info.zero_point
    }

    fn constant(&mut self, name: String, tensor: Tensor) -> String {
        self.onnx.initializers.insert(name.clone(), tensor);
        name
    }

    fn node(&mut self, node: &QuantizedNode<QuantizedOp>) {
        let output = self.name(node.output);
        let inputs: Vec<String> = node.inputs.iter().map(|&id| self.name(id)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        match &node.op {
            QuantizedOp::Conv(conv) => {
                let target = clamp_target(&output, conv.clamp);
                let depth = self.model.graph.tensor(node.inputs[0]).shape.channels / conv.groups;
                self.convolution(node, &target, conv, depth);
                self.clamp(&target, &output, conv.clamp);
            }
            QuantizedOp::AveragePool { window, multiplier } => {
                let channels = self.model.graph.tensor(node.inputs[0]).shape.channels;
                self.average_pool(node, &output, window, *multiplier, channels);
            }
            QuantizedOp::Add { multipliers: [a, b], clamp } => {
                let target = clamp_target(&output, *clamp);
                self.elementwise("Add", node, &target, [*a, *b]);
                self.clamp(&target, &output, *clamp);
            }
            QuantizedOp::Mul { multiplier } => {
                let one = const { Multiplier::new(1 << 16).unwrap() };
                self.elementwise("Mul", node, &output, [*multiplier, one]);
            }
            QuantizedOp::Lookup(table) => self.lookup(inputs[0], &output, table),
            QuantizedOp::MaxPool(window) => {
                self.onnx.nodes.push(windowed("MaxPool", &inputs, &output, window));
            }
            QuantizedOp::Concat => {
                let concat = Node::new("Concat", &inputs, &[&output]).with("axis", Attribute::Int(1));
                self.onnx.nodes.push(concat);
            }
            QuantizedOp::Pad(padding) => self.pad(inputs[0], &output, padding, self.zero_point(node.output)),
            QuantizedOp::UpsampleNearest2 => self.upsample(inputs[0], &output),
        }
        if node.output != self.model.graph.output {
            let value = self.value(node.output);
            self.onnx.values.push(value);
        }
    }

    fn convolution(
        &mut self,
        node: &QuantizedNode<QuantizedOp>,
        output: &str,
        conv: &QuantizedConv,
        depth: usize,
    ) {
        let [rows, columns] = conv.window.kernel;
        let outputs = conv.bias.len();
        let weights = oihw(&conv.weights, outputs, rows * columns, depth);
        let weights = Tensor::new(&[outputs, depth, rows, columns], Data::I8(weights));
        let scales: Vec<f32> = conv.multipliers.iter().map(|multiplier| multiplier.to_f64() as f32).collect();
        let bias = Tensor::new(&[outputs], Data::I32(conv.bias.clone()));
        self.qlinear_conv(node, output, &conv.window, conv.groups, weights, scales, Some(bias));
    }

    fn average_pool(
        &mut self,
        node: &QuantizedNode<QuantizedOp>,
        output: &str,
        window: &Window,
        multiplier: Multiplier,
        channels: usize,
    ) {
        let [rows, columns] = window.kernel;
        let ones = Tensor::new(&[channels, 1, rows, columns], Data::I8(vec![1; channels * rows * columns]));
        let scales = vec![multiplier.to_f64() as f32; channels];
        self.qlinear_conv(node, output, window, channels, ones, scales, None);
    }

    #[allow(clippy::too_many_arguments)]
    fn qlinear_conv(
        &mut self,
        node: &QuantizedNode<QuantizedOp>,
        output: &str,
        window: &Window,
        groups: usize,
        weights: Tensor,
        scales: Vec<f32>,
        bias: Option<Tensor>,
    ) {
        let channels = scales.len();
        let one = self.constant("goldcrest/one".into(), Tensor::f32(&[], vec![1.0]));
        let input_zero = self.zero(self.zero_point(node.inputs[0]));
        let output_zero = self.zero(self.zero_point(node.output));
        let weights = self.constant(format!("{output}/weights"), weights);
        let scales = self.constant(format!("{output}/multipliers"), Tensor::f32(&[channels], scales));
        let zeros = Tensor::new(&[channels], Data::I8(vec![0; channels]));
        let zeros = self.constant(format!("{output}/weights_zero"), zeros);
        let input = self.name(node.inputs[0]);
        let mut inputs = vec![&*input, &one, &input_zero, &weights, &scales, &zeros, &one, &output_zero];
        let bias = bias.map(|bias| self.constant(format!("{output}/bias"), bias));
        inputs.extend(bias.as_deref());
        let conv =
            windowed("QLinearConv", &inputs, output, window).with("group", Attribute::Int(groups as i64));
        self.onnx.nodes.push(conv);
    }

    /// The initializer of a zero point.
    fn zero(&mut self, zero_point: i8) -> String {
        let tensor = Tensor::new(&[], Data::I8(vec![zero_point]));
        self.constant(format!("goldcrest/zero/{zero_point}"), tensor)
    }

    fn elementwise(
        &mut self,
        op: &str,
        node: &QuantizedNode<QuantizedOp>,
        output: &str,
        multipliers: [Multiplier; 2],
    ) {
        let mut operands = Vec::new();
        for (index, (&id, multiplier)) in node.inputs.iter().zip(multipliers).enumerate() {
            let ratio = Tensor::f32(&[], vec![multiplier.to_f64() as f32]);
            let ratio = self.constant(format!("{output}/ratio{index}"), ratio);
            let zero = self.zero(self.zero_point(id));
            let operand = format!("{output}/operand{index}");
            let inputs = [&*self.name(id), &ratio, &zero];
            self.onnx.nodes.push(Node::new("DequantizeLinear", &inputs, &[&operand]));
            operands.push(operand);
        }
        let real = format!("{output}/real");
        self.onnx.nodes.push(Node::new(op, &[&operands[0], &operands[1]], &[&real]));
        let one = self.constant("goldcrest/one".into(), Tensor::f32(&[], vec![1.0]));
        let zero = self.zero(self.zero_point(node.output));
        self.onnx.nodes.push(Node::new("QuantizeLinear", &[&real, &one, &zero], &[output]));
    }

    fn lookup(&mut self, input: &str, output: &str, table: &[i8; 256]) {
        // Index i is value i, index 256 + i value i < 0.
        let turned = (0..256usize).map(|index| table[(index + 128) % 256]).collect();
        let table = self.constant(format!("{output}/table"), Tensor::new(&[256], Data::I8(turned)));
        let index = format!("{output}/index");
        self.onnx.nodes.push(Node::new("Cast", &[input], &[&index]).with("to", Attribute::Int(INT32.into())));
        self.onnx
            .nodes
            .push(Node::new("Gather", &[&table, &index], &[output]).with("axis", Attribute::Int(0)));
    }

    fn pad(&mut self, input: &str, output: &str, padding: &Padding, zero_point: i8) {
        let Padding { top, left, bottom, right } = *padding;
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(|pad| pad as i64);
        let pads = self.constant(format!("{output}/pads"), Tensor::i64s(&pads));
        let zero = self.zero(zero_point);
        self.onnx.nodes.push(Node::new("Pad", &[input, &pads, &zero], &[output]));
    }

    fn upsample(&mut self, input: &str, output: &str) {
        let scales = self.constant("goldcrest/twice".into(), Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]));
        let resize = Node::new("Resize", &[input, "", &scales], &[output])
            .with("mode", Attribute::String("nearest".into()))
            .with("coordinate_transformation_mode", Attribute::String("asymmetric".into()))
            .with("nearest_mode", Attribute::String("floor".into()));
        self.onnx.nodes.push(resize);
    }

    fn clamp(&mut self, target: &str, output: &str, clamp: Clamp) {
        if clamp == Clamp::NONE {
            return;
        }
        let [low, high] = [clamp.low, clamp.high].map(|bound| self.zero(bound));
        self.onnx.nodes.push(Node::new("Clip", &[target, &low, &high], &[output]));
    }
}

/// The value that a clamped operator writes: the output itself where there is nothing to clamp.
fn clamp_target(output: &str, clamp: Clamp) -> String {
    match clamp == Clamp::NONE {
        true => output.to_owned(),
        false => format!("{output}{UNCLAMPED}"),
    }
}
