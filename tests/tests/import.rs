//! Imported graphs compute what the files compute: both run in ONNX Runtime on random images.

use goldcrest_data::random::Random;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::import::{float_model, image_input};
use goldcrest_onnx::samples::{Sample, every_operator};
use goldcrest_onnx::{Attribute, Data, Model, Node, Tensor, float_export};
use goldcrest_prove::verify::layout::to_nchw;
use goldcrest_prove::verify::onnxruntime::OnnxRuntime;
use goldcrest_quantize::FloatGraph;
use goldcrest_quantize::graph::{Activation, FloatOp};
use goldcrest_train::architecture;
use ort::session::builder::GraphOptimizationLevel;

/// Imports a model and compares its outputs with the file's.
fn imported(model: &Model) -> FloatGraph {
    let (graph, _) = float_model(model).unwrap_or_else(|error| panic!("{error}"));
    let input = image_input(model).unwrap();
    let Shape { height, width, channels } = input.shape;
    let sizes = if input.channels_last { [height, width, channels] } else { [channels, height, width] };
    let level = GraphOptimizationLevel::Disable;
    let file = OnnxRuntime::load(model, sizes, model.graph.outputs.clone(), level).unwrap();
    let export = float_export::write(&graph);
    let outputs = export.graph.outputs.last().cloned().into_iter().collect();
    let own = OnnxRuntime::load(&export, [channels, height, width], outputs, level).unwrap();

    let mut random = Random::stream(7, &[]);
    let images: Vec<f32> = (0..3 * input.shape.len()).map(|_| random.unit() * 2.0 - 1.0).collect();
    let nchw = if input.channels_last { to_nchw(&images, input.shape) } else { images.clone() };
    let batch = input.batch.unwrap_or(3) * input.shape.len();
    let expected = file.run::<f32, f32>(&images[..batch]).unwrap().concat();
    let found = own.run::<f32, f32>(&nchw[..batch]).unwrap().concat();
    assert_eq!(expected.len(), found.len());
    assert!(expected.iter().any(|value| value.abs() > 1e-2), "the test says nothing: {expected:?}");
    for (a, b) in expected.iter().zip(&found) {
        assert!((a - b).abs() < 1e-4, "{a} in the file, {b} imported: {expected:?} {found:?}");
    }
    graph
}

/// Names of a graph's operators.
fn operators(graph: &FloatGraph) -> Vec<&'static str> {
    let name = |op: &FloatOp| match op {
        FloatOp::Conv(_) => "conv",
        FloatOp::Activation(Activation::Relu) => "relu",
        FloatOp::Activation(_) => "activation",
        FloatOp::MaxPool(_) => "max",
        FloatOp::AveragePool { .. } => "average",
        FloatOp::Add => "add",
        FloatOp::Mul => "mul",
        FloatOp::Concat => "concat",
        FloatOp::Pad(_) => "pad",
        FloatOp::UpsampleNearest2 => "upsample",
    };
    graph.nodes.iter().map(|node| name(&node.op)).collect()
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

#[test]
fn our_own_architectures() {
    for name in ["lenet5", "resnet8", "mobilenetv1-025"] {
        let model = architecture::load(name).unwrap().build(Shape::new(32, 32, 3), 10, 1).unwrap();
        let graph = imported(&model);
        let batch_norms = model.graph.nodes.iter().filter(|node| node.op == "BatchNormalization").count();
        let convolutions =
            model.graph.nodes.iter().filter(|node| ["Conv", "Gemm"].contains(&&*node.op)).count();
        assert_eq!(operators(&graph).iter().filter(|&&op| op == "conv").count(), convolutions, "{name}");
        assert!(name == "lenet5" || batch_norms > 0);
    }
}

#[test]
fn every_operator_of_the_table() {
    let graph = imported(&every_operator());
    let operators = operators(&graph);
    for op in ["conv", "relu", "activation", "max", "average", "add", "mul", "concat", "pad", "upsample"] {
        assert!(operators.contains(&op), "{op} in {operators:?}");
    }
    let silu = graph.nodes.iter().filter(|node| node.op == FloatOp::Activation(Activation::Silu));
    assert_eq!(silu.count(), 1, "x * sigmoid(x) is one node");
}

#[test]
fn keras_as_tf2onnx_writes_it() {
    // NHWC input, transposes around each block, padding as a node, MatMul + Add, Softmax at the end.
    let mut sample = Sample::new(&[8, 8, 3], 5);
    let nchw = |input: &str, output: &str| {
        Node::new("Transpose", &[input], &[output]).with("perm", ints(&[0, 3, 1, 2]))
    };
    let nhwc = |input: &str, output: &str| {
        Node::new("Transpose", &[input], &[output]).with("perm", ints(&[0, 2, 3, 1]))
    };
    sample
        .integers("pads", &[0, 1, 1, 0, 0, 1, 1, 0])
        .op("Pad", &["image", "pads"], "padded")
        .node(nchw("padded", "x"))
        .conv("x", "conv", [4, 3, 3, 3], &[])
        .batch_norm("conv", "norm", 4)
        .op("Relu", &["norm"], "relu")
        .node(
            Node::new("MaxPool", &["relu"], &["pool"])
                .with("kernel_shape", ints(&[2, 2]))
                .with("strides", ints(&[2, 2])),
        )
        .node(nhwc("pool", "nhwc"))
        .floats("shift", &[4], -1.0, 1.0)
        .op("Add", &["nhwc", "shift"], "shifted")
        .integers("shape", &[-1, 64])
        .op("Reshape", &["shifted", "shape"], "flat")
        .floats("dense", &[64, 5], -0.3, 0.3)
        .op("MatMul", &["flat", "dense"], "product")
        .floats("bias", &[5], -1.0, 1.0)
        .op("Add", &["product", "bias"], "logits");
    let graph = imported(&sample.model);
    // The shift behind the pool stays apart from the first convolution, but moves into the second.
    assert_eq!(operators(&graph), ["conv", "relu", "max", "conv"]);
    assert!(matches!(&graph.nodes[0].op, FloatOp::Conv(conv) if conv.window.padding.top == 1));

    let last = sample.model.graph.nodes.last_mut().unwrap();
    last.outputs[0] = "scores".into();
    sample.op("Softmax", &["scores"], "logits");
    let (graph, _) = float_model(&sample.model).unwrap();
    assert_eq!(operators(&graph), ["conv", "relu", "max", "conv"], "the last softmax is dropped");
}

#[test]
fn pytorch_as_torchscript_writes_it() {
    // x.view(x.size(0), -1) as Shape, Gather, Unsqueeze, Concat, Reshape; dropout; Gemm.
    let mut sample = Sample::new(&[2, 6, 5], 4);
    sample
        .conv("image", "conv", [3, 2, 3, 2], &[("strides", &[2, 1])])
        .op("Identity", &["conv"], "same")
        .op("Relu", &["same"], "relu")
        .op("Shape", &["relu"], "shape")
        .constant("index", Tensor::new(&[], Data::I64(vec![0])))
        .node(Node::new("Gather", &["shape", "index"], &["size"]).with("axis", Attribute::Int(0)))
        .integers("axes", &[0])
        .op("Unsqueeze", &["size", "axes"], "unsqueezed")
        .node(Node::new("Constant", &[], &["rest"]).with("value", Attribute::Tensor(Tensor::i64s(&[-1]))))
        .node(Node::new("Concat", &["unsqueezed", "rest"], &["target"]).with("axis", Attribute::Int(0)))
        .op("Reshape", &["relu", "target"], "flat")
        .op("Dropout", &["flat"], "dropped")
        .floats("weight", &[4, 24], -0.5, 0.5)
        .floats("bias", &[1, 4], -0.5, 0.5)
        .node(
            Node::new("Gemm", &["dropped", "weight", "bias"], &["logits"])
                .with("transB", Attribute::Int(1))
                .with("alpha", Attribute::Float(0.5))
                .with("beta", Attribute::Float(2.0)),
        );
    assert_eq!(operators(&imported(&sample.model)), ["conv", "relu", "conv"]);
}

#[test]
fn a_fixed_batch_and_a_matrix_the_other_way_round() {
    let mut sample = Sample::new(&[2, 4, 4], 3);
    sample.model.graph.inputs[0].shape = Some([2, 2, 4, 4].map(goldcrest_onnx::Dimension::Fixed).into());
    sample
        .integers("shape", &[2, 32])
        .op("Reshape", &["image", "shape"], "flat")
        .floats("weight", &[32, 3], -0.5, 0.5)
        .op("Gemm", &["flat", "weight"], "logits");
    assert_eq!(operators(&imported(&sample.model)), ["conv"]);
}

#[test]
fn normalization_in_the_graph_and_reductions() {
    let mut sample = Sample::new(&[3, 8, 8], 6);
    sample
        .floats("mean", &[1, 3, 1, 1], 0.0, 1.0)
        .op("Sub", &["image", "mean"], "centered")
        .scalar("deviation", 0.25)
        .op("Div", &["centered", "deviation"], "normalized")
        .conv("normalized", "padded", [6, 3, 3, 3], &[("pads", &[1, 1, 1, 1])])
        .batch_norm("padded", "norm", 6)
        .scalar("low", -0.5)
        .scalar("high", 2.0)
        .op("Max", &["norm", "low"], "above")
        .op("Min", &["above", "high"], "between")
        .node(Node::new("ReduceMean", &["between"], &["mean_kept"]).with("axes", ints(&[2, 3])))
        .op("Squeeze", &["mean_kept"], "vector")
        .scalar("one", 1.0)
        .op("Sub", &["one", "vector"], "logits");
    // Padding keeps the shift of the normalization apart: zeros are padded behind it.
    assert_eq!(operators(&imported(&sample.model))[..2], ["conv", "conv"]);
}

#[test]
fn windows_that_round_up_and_pad_by_name() {
    let mut sample = Sample::new(&[2, 7, 10], 4);
    sample
        .floats("weight", &[4, 2, 3, 3], -0.5, 0.5)
        .node(
            Node::new("Conv", &["image", "weight"], &["conv"])
                .with("auto_pad", Attribute::String("SAME_UPPER".into()))
                .with("strides", ints(&[2, 2])),
        )
        .node(
            Node::new("MaxPool", &["conv"], &["max"])
                .with("kernel_shape", ints(&[2, 2]))
                .with("strides", ints(&[2, 2]))
                .with("ceil_mode", Attribute::Int(1)),
        )
        .node(
            Node::new("AveragePool", &["max"], &["average"])
                .with("kernel_shape", ints(&[2, 2]))
                .with("pads", ints(&[1, 1, 0, 0])),
        )
        .node(
            Node::new("AveragePool", &["average"], &["short"])
                .with("kernel_shape", ints(&[2, 2]))
                .with("strides", ints(&[2, 2]))
                .with("ceil_mode", Attribute::Int(1)),
        )
        .head("short", 4, 2);
    imported(&sample.model);
}

#[test]
fn everything_unsupported_is_named_at_once() {
    let mut sample = Sample::new(&[3, 8, 8], 4);
    sample
        .conv("image", "conv", [4, 3, 3, 3], &[])
        .node(Node::new("Erf", &["conv"], &["erf"]))
        .op("Relu", &["erf"], "relu")
        .node(Node::new("Attention", &["relu"], &["attended"]).in_domain("com.example"))
        .node(Node::new("Transpose", &["conv"], &["turned"]).with("perm", ints(&[0, 1, 3, 2])))
        .conv("turned", "other", [4, 4, 3, 3], &[])
        .op("Softmax", &["conv"], "soft")
        .head("attended", 4, 4);
    let error = float_model(&sample.model).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "4 of the model's nodes cannot be imported:");
    assert_eq!(lines[1], "  `erf` (Erf, input 1x4x6x6): Goldcrest has no such operator");
    assert!(lines[2].starts_with("  `attended` (com.example.Attention, input ?)"), "{}", lines[2]);
    assert!(lines[3].starts_with("  `other` (Conv, input 1x4x6x6, 4x4x3x3, 4): reads [1, 4, 6, 6] where"));
    assert!(lines[4].starts_with("  `soft` (Softmax"), "{}", lines[4]);
}

#[test]
fn models_that_are_no_classifiers_say_why() {
    let message = |change: fn(&mut Model)| {
        let mut sample = Sample::new(&[3, 8, 8], 4);
        sample.conv("image", "conv", [4, 3, 3, 3], &[]).head("conv", 4, 4);
        change(&mut sample.model);
        float_model(&sample.model).unwrap_err().to_string()
    };
    assert!(message(|model| model.opset = 9).contains("opset 9"));
    assert!(message(|model| model.graph.inputs.clear()).contains("has 0 inputs"));
    assert!(message(|model| model.graph.inputs[0].shape = None).contains("no dimensions"));
    assert!(message(|model| model.graph.outputs[0].name = "conv".into()).contains("[1, 4, 6, 6]"));
    assert!(message(|model| model.graph.nodes.swap(0, 1)).contains("nothing before it writes"));
    assert!(message(|model| model.graph.outputs[0].name = "image".into()).contains("`image`"));
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Bytes of a real file, some of them changed, or the file cut short.
        #[test]
        fn damaged_files_end_in_an_error_or_a_graph(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = BYTES.get_or_init(|| {
                let mut sample = Sample::new(&[3, 8, 8], 4);
                sample
                    .conv("image", "conv", [4, 3, 3, 3], &[("pads", &[1, 1, 1, 1])])
                    .batch_norm("conv", "norm", 4)
                    .integers("shape", &[-1, 256])
                    .op("Reshape", &["norm", "shape"], "vector")
                    .floats("weight", &[256, 4], -1.0, 1.0)
                    .op("MatMul", &["vector", "weight"], "logits");
                sample.model.encode()
            }).clone();
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(model) = Model::decode(&bytes) {
                let _ = float_model(&model);
            }
        }
    }
}
