//! [`QuantizedModel`] to ONNX.

use goldcrest_engine::shape::Shape;
use goldcrest_quantize::graph::{Clamp, QuantizedModel, TensorId};
use serde_json::json;

use super::super::proto::data_type::INT8;
use super::super::{Attribute, Data, Graph, Model, Node, Tensor, ValueInfo, info, operators};
use super::{QUANTIZATION, UNCLAMPED, UNFLATTENED};

/// Writes an int8 model as ONNX. The batch is dynamic.
pub fn write(model: &QuantizedModel) -> Model {
    let mut writer = Writer { model, onnx: Graph { name: model.graph.name.clone(), ..Graph::default() } };
    writer.onnx.inputs.push(writer.value(model.graph.input));
    for node in &model.graph.nodes {
        operators::write(&mut writer, node);
        if node.output != model.graph.output {
            let value = writer.value(node.output);
            writer.onnx.values.push(value);
        }
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

/// The file as it grows.
pub struct Writer<'a> {
    model: &'a QuantizedModel,
    onnx: Graph,
}

impl Writer<'_> {
    /// The ONNX name of a tensor.
    pub fn name(&self, id: TensorId) -> String {
        let name = &self.model.graph.tensor(id).name;
        match id == self.model.graph.output {
            true => format!("{name}{UNFLATTENED}"),
            false => name.clone(),
        }
    }

    /// The shape of a tensor.
    pub fn shape(&self, id: TensorId) -> Shape {
        self.model.graph.tensor(id).shape
    }

    fn value(&self, id: TensorId) -> ValueInfo {
        let Shape { height, width, channels } = self.shape(id);
        ValueInfo::new(&self.name(id), INT8, &[-1, channels as i64, height as i64, width as i64])
    }

    /// Adds an initializer; returns its name.
    pub fn constant(&mut self, name: String, tensor: Tensor) -> String {
        self.onnx.initializers.insert(name.clone(), tensor);
        name
    }

    /// Adds a node.
    pub fn push(&mut self, node: Node) {
        self.onnx.nodes.push(node);
    }

    /// The initializer of an int8 value.
    pub fn zero(&mut self, zero_point: i8) -> String {
        let tensor = Tensor::new(&[], Data::I8(vec![zero_point]));
        self.constant(format!("goldcrest/zero/{zero_point}"), tensor)
    }

    /// The initializer of a tensor's zero point.
    pub fn zero_point(&mut self, id: TensorId) -> String {
        self.zero(self.model.graph.tensor(id).info.zero_point)
    }

    /// Writes an operator with `write`, which gets the name to write under, and bounds behind it where there
    /// are some.
    pub fn clamped(&mut self, output: TensorId, clamp: Clamp, write: impl FnOnce(&mut Self, &str)) {
        let output = self.name(output);
        if clamp == Clamp::NONE {
            return write(self, &output);
        }
        let unclamped = format!("{output}{UNCLAMPED}");
        write(self, &unclamped);
        operators::write_clamp(self, &unclamped, &output, clamp);
    }
}
