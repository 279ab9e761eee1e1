//! [`FloatGraph`]s as plain ONNX (opset 17, NCHW): every tensor of the graph is a value of that name,
//! `[N, C, H, W]`, so each can be asked for as an output.

use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::{Activation, FloatConv, FloatOp};

use super::{Attribute, Graph, Model, Node, Tensor, ValueInfo};

/// Writes a graph as an ONNX model whose outputs are all its tensors but the input, in the order of
/// its nodes. The batch is dynamic.
pub fn write(graph: &FloatGraph) -> Model {
    let mut onnx = Graph { name: graph.name.clone(), ..Graph::default() };
    let value = |name: &str, Shape { height, width, channels }: Shape| {
        ValueInfo::float(name, &[-1, channels as i64, height as i64, width as i64])
    };
    let input = graph.tensor(graph.input);
    onnx.inputs.push(value(&input.name, input.shape));
    for node in &graph.nodes {
        let inputs: Vec<&str> = node.inputs.iter().map(|&id| &*graph.tensor(id).name).collect();
        let output = graph.tensor(node.output);
        let written = operator(&mut onnx, &node.op, &inputs, &output.name);
        onnx.nodes.push(written);
        onnx.outputs.push(value(&output.name, output.shape));
    }
    Model { graph: onnx, opset: 17, ..Model::default() }
}

/// Adds the constants of an operator, and what stands before it; returns its node.
pub fn operator(onnx: &mut Graph, op: &FloatOp, inputs: &[&str], output: &str) -> Node {
    let mut constant = |suffix: &str, tensor: Tensor| {
        let name = format!("{output}{suffix}");
        onnx.initializers.insert(name.clone(), tensor);
        name
    };
    match op {
        FloatOp::Conv(conv) => {
            let weights = constant("/weights", weights(conv));
            let bias = constant("/bias", Tensor::f32(&[conv.bias.len()], conv.bias.clone()));
            windowed("Conv", &[inputs[0], &weights, &bias], output, &conv.window)
                .with("group", Attribute::Int(conv.groups as i64))
        }
        FloatOp::Activation(Activation::Clip { low, high }) => {
            let low = constant("/low", Tensor::f32(&[], vec![*low]));
            let high = constant("/high", Tensor::f32(&[], vec![*high]));
            Node::new("Clip", &[inputs[0], &low, &high], &[output])
        }
        FloatOp::Activation(Activation::Silu) => {
            let gate = format!("{output}/gate");
            onnx.nodes.push(Node::new("Sigmoid", &[inputs[0]], &[&gate]));
            Node::new("Mul", &[inputs[0], &gate], &[output])
        }
        FloatOp::Activation(activation) => simple(activation, inputs[0], output),
        FloatOp::MaxPool(window) => windowed("MaxPool", inputs, output, window),
        FloatOp::AveragePool { window, count_include_pad } => {
            let mut node = windowed("AveragePool", inputs, output, window)
                .with("count_include_pad", Attribute::Int((*count_include_pad).into()));
            // AveragePool knows dilations only since opset 19; the importer makes none.
            node.attributes.remove("dilations");
            node
        }
        FloatOp::Add => Node::new("Add", inputs, &[output]),
        FloatOp::Mul => Node::new("Mul", inputs, &[output]),
        FloatOp::Concat => Node::new("Concat", inputs, &[output]).with("axis", Attribute::Int(1)),
        FloatOp::Pad(padding) => {
            let Padding { top, left, bottom, right } = padding;
            let pads = [0, 0, *top, *left, 0, 0, *bottom, *right].map(|pad| pad as i64);
            let pads = constant("/pads", Tensor::i64s(&pads));
            Node::new("Pad", &[inputs[0], &pads], &[output])
        }
        FloatOp::UpsampleNearest2 => {
            let scales = constant("/scales", Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]));
            Node::new("Resize", &[inputs[0], "", &scales], &[output])
                .with("mode", Attribute::String("nearest".into()))
                .with("coordinate_transformation_mode", Attribute::String("asymmetric".into()))
                .with("nearest_mode", Attribute::String("floor".into()))
        }
    }
}

fn simple(activation: &Activation, input: &str, output: &str) -> Node {
    let node = |op: &str| Node::new(op, &[input], &[output]);
    match *activation {
        Activation::LeakyRelu { alpha } => node("LeakyRelu").with("alpha", Attribute::Float(alpha)),
        Activation::HardSigmoid { alpha, beta } => {
            node("HardSigmoid").with("alpha", Attribute::Float(alpha)).with("beta", Attribute::Float(beta))
        }
        Activation::Sigmoid => node("Sigmoid"),
        Activation::Tanh => node("Tanh"),
        Activation::HardSwish => node("HardSwish"),
        Activation::Relu | Activation::Clip { .. } | Activation::Silu => node("Relu"),
    }
}

/// A node with a window's attributes.
pub fn windowed(op: &str, inputs: &[&str], output: &str, window: &Window) -> Node {
    let ints = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
    let Padding { top, left, bottom, right } = window.padding;
    Node::new(op, inputs, &[output])
        .with("kernel_shape", ints(&window.kernel))
        .with("strides", ints(&window.stride))
        .with("dilations", ints(&window.dilation))
        .with("pads", ints(&[top, left, bottom, right]))
}

fn weights(conv: &FloatConv) -> Tensor {
    let [rows, columns] = conv.window.kernel;
    let depth = conv.weights.len() / (conv.bias.len() * rows * columns);
    let turned = oihw(&conv.weights, conv.bias.len(), rows * columns, depth);
    Tensor::f32(&[conv.bias.len(), depth, rows, columns], turned)
}

/// OHWI to OIHW.
pub fn oihw<T: Copy>(weights: &[T], outputs: usize, area: usize, depth: usize) -> Vec<T> {
    let at = |output: usize, input: usize, tap: usize| weights[(output * area + tap) * depth + input];
    (0..outputs)
        .flat_map(|output| (0..depth).flat_map(move |input| (0..area).map(move |tap| at(output, input, tap))))
        .collect()
}
