//! Small networks in the forms that exporters write, with random weights: what tests of every crate import
//! and quantize.

use goldcrest_quantize::random::Random;

use crate::{Attribute, Data, Model, Node, Tensor, ValueInfo};

/// A model under construction.
pub struct Sample {
    /// The model so far.
    pub model: Model,
    random: Random,
}

impl Sample {
    /// A model of one image input of this shape (batch dynamic) and one output of two dimensions.
    pub fn new(input: &[i64], classes: i64) -> Self {
        let mut model = Model { opset: 17, ..Model::default() };
        model.graph.name = "sample".into();
        let shape: Vec<i64> = std::iter::once(-1).chain(input.iter().copied()).collect();
        model.graph.inputs.push(ValueInfo::float("image", &shape));
        model.graph.outputs.push(ValueInfo::float("logits", &[-1, classes]));
        Self { model, random: Random::new(1) }
    }

    /// Adds a node.
    pub fn node(&mut self, node: Node) -> &mut Self {
        self.model.graph.nodes.push(node);
        self
    }

    /// An operator without attributes.
    pub fn op(&mut self, op: &str, inputs: &[&str], output: &str) -> &mut Self {
        self.node(Node::new(op, inputs, &[output]))
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> &mut Self {
        self.model.graph.initializers.insert(name.into(), tensor);
        self
    }

    /// Adds a constant of one dimension.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> &mut Self {
        self.constant(name, Tensor::i64s(values))
    }

    /// Adds a constant without dimensions.
    pub fn scalar(&mut self, name: &str, value: f32) -> &mut Self {
        self.constant(name, Tensor::new(&[], Data::F32(vec![value])))
    }

    /// Random floats in `low..high`.
    pub fn floats(&mut self, name: &str, shape: &[usize], low: f32, high: f32) -> &mut Self {
        let random = &mut self.random;
        let values = (0..shape.iter().product()).map(|_| low + (high - low) * random.unit()).collect();
        self.constant(name, Tensor::f32(shape, values))
    }

    /// A convolution with random weights `[outputs, depth, kernel, kernel]` and bias.
    pub fn conv(
        &mut self,
        input: &str,
        output: &str,
        weights: [usize; 4],
        attributes: &[(&str, &[i64])],
    ) -> &mut Self {
        let (w, b) = (format!("{output}.weight"), format!("{output}.bias"));
        let reach = (3.0 / (weights[1] * weights[2] * weights[3]) as f32).sqrt();
        self.floats(&w, &weights, -reach, reach).floats(&b, &weights[..1], -0.5, 0.5);
        let mut node = Node::new("Conv", &[input, &w, &b], &[output]);
        for &(name, values) in attributes {
            let value = match name {
                "group" => Attribute::Int(values[0]),
                _ => Attribute::Ints(values.to_vec()),
            };
            node = node.with(name, value);
        }
        self.node(node)
    }

    /// `BatchNormalization` with random statistics.
    pub fn batch_norm(&mut self, input: &str, output: &str, channels: usize) -> &mut Self {
        let names = ["scale", "bias", "mean", "var"].map(|name| format!("{output}.{name}"));
        for (name, low) in names.iter().zip([0.5, -0.5, -0.5, 0.5]) {
            self.floats(name, &[channels], low, low + 1.0);
        }
        let [scale, bias, mean, var] = &names;
        self.op("BatchNormalization", &[input, scale, bias, mean, var], output)
    }

    /// The end of a classifier: global average pool, flatten, Gemm.
    pub fn head(&mut self, input: &str, channels: usize, classes: usize) -> &mut Self {
        self.floats("head.weight", &[classes, channels], -0.5, 0.5).floats(
            "head.bias",
            &[classes],
            -0.5,
            0.5,
        );
        self.op("GlobalAveragePool", &[input], "pooled").op("Flatten", &["pooled"], "flat");
        let gemm = Node::new("Gemm", &["flat", "head.weight", "head.bias"], &["logits"]);
        self.node(gemm.with("transB", Attribute::Int(1)))
    }
}

/// Every operator that can be quantized, in one network on 32x32 colour images.
pub fn every_operator() -> Model {
    let mut sample = Sample::new(&[3, 32, 32], 10);
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    sample
        .conv("image", "stem", [8, 3, 3, 3], &[("strides", &[2, 2]), ("pads", &[0, 0, 1, 1])])
        .op("HardSwish", &["stem"], "swished")
        .conv("swished", "depthwise", [8, 1, 5, 5], &[("group", &[8]), ("pads", &[2, 2, 2, 2])])
        .scalar("zero", 0.0)
        .scalar("six", 6.0)
        .op("Clip", &["depthwise", "zero", "six"], "clipped")
        // Squeeze and excite.
        .op("GlobalAveragePool", &["clipped"], "squeezed")
        .conv("squeezed", "reduced", [4, 8, 1, 1], &[])
        .op("Relu", &["reduced"], "reduced.relu")
        .conv("reduced.relu", "expanded", [8, 4, 1, 1], &[])
        .node(Node::new("HardSigmoid", &["expanded"], &["gate"]).with("alpha", Attribute::Float(1.0 / 6.0)))
        .op("Mul", &["gate", "clipped"], "excited")
        .conv("excited", "projected", [8, 8, 1, 1], &[])
        .op("Add", &["projected", "swished"], "sum")
        .op("Relu", &["sum"], "sum.relu")
        .node(
            Node::new("MaxPool", &["sum.relu"], &["max"])
                .with("kernel_shape", ints(&[3, 3]))
                .with("strides", ints(&[2, 2]))
                .with("pads", ints(&[1, 1, 1, 1])),
        )
        .node(
            Node::new("AveragePool", &["sum.relu"], &["average"])
                .with("kernel_shape", ints(&[3, 3]))
                .with("strides", ints(&[2, 2]))
                .with("pads", ints(&[1, 1, 0, 0]))
                .with("count_include_pad", Attribute::Int(1)),
        )
        .conv(
            "max",
            "grouped",
            [8, 4, 3, 3],
            &[("group", &[2]), ("dilations", &[2, 2]), ("pads", &[2, 2, 2, 2])],
        )
        .node(Node::new("LeakyRelu", &["grouped"], &["leaky"]).with("alpha", Attribute::Float(0.1)))
        .node(Node::new("Concat", &["leaky", "average", "max"], &["joined"]).with("axis", Attribute::Int(1)))
        .conv("joined", "down", [8, 24, 3, 3], &[("strides", &[2, 2]), ("pads", &[1, 1, 1, 1])])
        .constant("scales", Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]))
        .node(
            Node::new("Resize", &["down", "", "scales"], &["up"])
                .with("coordinate_transformation_mode", Attribute::String("asymmetric".into()))
                .with("nearest_mode", Attribute::String("floor".into())),
        )
        .op("Sigmoid", &["up"], "sigmoid")
        .op("Tanh", &["up"], "tanh")
        .op("Mul", &["sigmoid", "tanh"], "product")
        .integers("pads", &[0, 0, 1, 0, 0, 0, 0, 1])
        .op("Pad", &["product", "pads"], "padded")
        .node(Node::new("MaxPool", &["padded"], &["kept"]).with("kernel_shape", ints(&[2, 2])))
        .floats("slope", &[8, 1, 1], 0.0, 0.5)
        .op("PRelu", &["kept", "slope"], "sloped")
        .op("Sigmoid", &["sloped"], "sloped.sigmoid")
        .op("Mul", &["sloped", "sloped.sigmoid"], "silu")
        .head("silu", 8, 10);
    sample.model
}
