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
        .node(Node::new("Einsum", &["conv"], &["sum"]))
        .op("Relu", &["sum"], "relu")
        .node(Node::new("Attention", &["relu"], &["attended"]).in_domain("com.example"))
        .node(Node::new("Transpose", &["conv"], &["turned"]).with("perm", ints(&[0, 1, 3, 2])))
        .conv("turned", "other", [4, 4, 3, 3], &[])
        .op("Softmax", &["conv"], "soft")
        .node(Node::new("Concat", &["attended", "other", "soft"], &["all"]).with("axis", Attribute::Int(1)))
        .head("all", 12, 4);
    let error = float_model(&sample.model).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "4 of the model's nodes cannot be imported:");
    assert_eq!(lines[1], "  `sum` (Einsum, input 1x4x6x6): Goldcrest has no such operator");
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
    assert!(message(|model| model.opset = 6).contains("opset 6, supported are 7 to 23"));
    assert!(message(|model| model.graph.inputs.clear()).contains("has 0 inputs"));
    assert!(message(|model| model.graph.inputs[0].shape = None).contains("no dimensions"));
    assert!(message(|model| model.graph.outputs[0].name = "conv".into()).contains("[1, 4, 6, 6]"));
    assert!(message(|model| model.graph.nodes.swap(0, 1)).contains("nothing before it writes"));
    assert!(message(|model| model.graph.outputs[0].name = "image".into()).contains("`image`"));
}

/// A field of a protobuf message.
fn field(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut value in [u64::from(tag << 3 | 2), content.len() as u64] {
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
    [bytes, content.to_vec()].concat()
}

/// The content of a message's first field of this number, whose other fields are messages, texts and
/// small integers.
fn content(message: &[u8], wanted: u32) -> Vec<u8> {
    let mut rest = message;
    let varint = |rest: &mut &[u8]| {
        let mut value = 0u64;
        for shift in (0..).step_by(7) {
            let byte = rest[0];
            *rest = &rest[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    };
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let length = varint(&mut rest) as usize;
        if key & 7 == 2 {
            if key >> 3 == u64::from(wanted) {
                return rest[..length].to_vec();
            }
            rest = &rest[length..];
        }
    }
    panic!("no field {wanted}");
}

/// A classifier whose weights `w` are missing, and those weights.
fn without_weights() -> (Model, Vec<f32>) {
    let mut sample = Sample::new(&[3, 8, 8], 4);
    sample.floats("w", &[4, 3, 3, 3], -0.5, 0.5).op("Conv", &["image", "w"], "y").head("y", 4, 4);
    let weights = sample.model.graph.initializers.remove("w").unwrap();
    (sample.model, weights.as_f32().unwrap().to_vec())
}

#[test]
fn constants_beside_the_model_are_read_and_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let (model, weights) = without_weights();
    let graph = content(&model.encode(), 7);
    let path = folder.path().join("model.onnx");
    let read = |entries: &[(&str, &str)]| {
        let mut tensor = vec![0x08, 4, 0x08, 3, 0x08, 3, 0x08, 3, 0x10, 1];
        tensor.extend(field(8, b"w"));
        for (key, value) in entries {
            let pair = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
            tensor.extend(field(13, &pair));
        }
        tensor.extend([14 << 3, 1]);
        let graph = [graph.clone(), field(5, &tensor)].concat();
        std::fs::write(&path, [field(7, &graph), field(8, &[0x10, 17])].concat()).unwrap();
        Model::read(&path).map_err(|error| error.to_string())
    };
    let bytes: Vec<u8> = [0.0f32].iter().chain(&weights).flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.path().join("model.onnx.data"), &bytes).unwrap();
    let place = ("location", "model.onnx.data");
    let model = read(&[place, ("offset", "4"), ("length", "432")]).unwrap();
    assert_eq!(model.graph.initializers["w"].as_f32(), Some(&*weights));
    assert_eq!(operators(&imported(&model)), ["conv", "average", "conv"]);
    assert_eq!(read(&[place, ("offset", "4")]).unwrap(), model, "the rest of the file");

    std::fs::create_dir(folder.path().join("inside")).unwrap();
    std::fs::write(folder.path().join("inside/data"), &bytes).unwrap();
    for (location, says) in [
        ("/etc/hostname", "only a file beside the model"),
        ("../model.onnx.data", "only a file beside the model"),
        ("inside/data", "only a file beside the model"),
        ("inside", "not a plain file"),
        ("other.data", "not beside the model"),
        ("", "only a file beside the model"),
    ] {
        let error = read(&[("location", location)]).unwrap_err();
        assert!(error.contains("tensor `w`") && error.contains(says), "{location}: {error}");
    }
    for (offset, length, says) in [
        ("8", "432", "cut short"),
        ("4", "400", "wants 108 elements"),
        ("x", "4", "`x` where a number belongs"),
    ] {
        let error = read(&[place, ("offset", offset), ("length", length)]).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("inside/data", folder.path().join("link")).unwrap();
        assert!(read(&[("location", "link")]).unwrap_err().contains("not a plain file"));
    }
}

#[test]
fn functions_of_a_model_are_written_out() {
    // `scaled_relu(x) = Relu(x) * c`, whose constant is made inside by an attribute of the call.
    let text = |tag: u32, text: &str| field(tag, text.as_bytes());
    let node = |op: &str, inputs: &[&str], output: &str, more: Vec<u8>| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
        field(7, &[inputs, text(2, output), text(4, op), more].concat())
    };
    let reference = [
        text(1, "value_float"),
        vec![20 << 3 | 0x80, 1, 1],
        vec![21 << 3 | 2 | 0x80, 1, 6],
        b"factor".to_vec(),
    ];
    let function = [
        text(1, "scaled_relu"),
        text(4, "x"),
        text(5, "y"),
        node("Relu", &["x"], "r", vec![]),
        node("Constant", &[], "c", field(5, &reference.concat())),
        node("Mul", &["r", "c"], "y", vec![]),
        text(10, "com.example"),
    ];
    let mut sample = Sample::new(&[3, 8, 8], 4);
    let call = |input: &str, output: &str, factor: f32| {
        let node = Node::new("scaled_relu", &[input], &[output]).in_domain("com.example");
        node.with("factor", Attribute::Float(factor))
    };
    sample.conv("image", "a", [4, 3, 3, 3], &[]).node(call("a", "b", 0.5));
    sample.conv("b", "c", [4, 4, 3, 3], &[]).node(call("c", "d", 2.0)).head("d", 4, 4);
    let file = |function: &[u8]| [sample.model.encode(), field(25, function)].concat();
    let model = Model::decode(&file(&function.concat())).unwrap();
    let ops: Vec<&str> = model.graph.nodes.iter().map(|node| &*node.op).collect();
    assert_eq!(ops[..8], ["Conv", "Relu", "Constant", "Mul", "Conv", "Relu", "Constant", "Mul"]);
    imported(&model);
    let value = |node: &Node| node.float("value_float");
    assert_eq!([value(&model.graph.nodes[2]), value(&model.graph.nodes[6])], [Some(0.5), Some(2.0)]);

    let endless = [text(1, "scaled_relu"), text(4, "x"), text(5, "y")].concat();
    let again =
        field(7, &[text(1, "x"), text(2, "y"), text(4, "scaled_relu"), text(7, "com.example")].concat());
    let error = Model::decode(&file(&[endless.clone(), again.clone(), text(10, "com.example")].concat()))
        .unwrap_err();
    assert!(error.to_string().contains("calls itself"), "{error}");
    // Sixteen functions that call the next one many times.
    let mut bytes = sample.model.encode();
    for depth in 0..16 {
        let (name, next) =
            (if depth == 0 { "scaled_relu".into() } else { format!("f{depth}") }, format!("f{}", depth + 1));
        let calls = field(7, &[text(1, "x"), text(2, "y"), text(4, &next), text(7, "com.example")].concat())
            .repeat(8);
        let head = [text(1, &name), text(4, "x"), text(5, "y")].concat();
        bytes.extend(field(25, &[head, calls, text(10, "com.example")].concat()));
    }
    let error = Model::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("no exporter writes such a model"), "{error}");
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
