//! Single constructs of ONNX files, each behind a small convolution or where it belongs: every operator,
//! attribute and element type that is imported, and many that are not. Each is right, in float against
//! ONNX Runtime on the file itself, in int8 against float, and equal in every runner; or it is refused in
//! words that name it.
//!
//! A construct is a line in one of the functions below.

use std::sync::atomic::{AtomicUsize, Ordering};

use goldcrest_data::Split;
use goldcrest_data::random::Random;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::import::{Element, float_model, image_input, is_quantized};
use goldcrest_onnx::proto::data_type;
use goldcrest_onnx::samples::Sample;
use goldcrest_onnx::{Attribute, Data, Dimension, Model, Node, Tensor, ValueInfo, float_export};
use goldcrest_prove::calibrate::{Settings, normalize, quantize_model, take_over_model};
use goldcrest_prove::evaluate::{load, logits};
use goldcrest_prove::verify::layout::{to_hwc, to_nchw};
use goldcrest_prove::verify::onnxruntime::OnnxRuntime;
use goldcrest_prove::verify::{Int8File, Scope};
use goldcrest_quantize::graph::Normalization;
use goldcrest_quantize::pack::PackOptions;
use ort::session::builder::GraphOptimizationLevel;

/// What must become of a construct.
enum Outcome {
    /// It is computed as the file says, its pixels being `(pixel - zero) * scale`.
    Right { zero: f32, scale: f32 },
    /// It is refused, in words that contain these.
    Refused(&'static str),
}

struct Construct {
    name: String,
    model: Model,
    outcome: Outcome,
}

fn right(name: impl Into<String>, model: Model) -> Construct {
    pixels(name, model, 0.0, 1.0 / 255.0)
}

fn pixels(name: impl Into<String>, model: Model, zero: f32, scale: f32) -> Construct {
    Construct { name: name.into(), model, outcome: Outcome::Right { zero, scale } }
}

fn refused(name: impl Into<String>, model: Model, says: &'static str) -> Construct {
    Construct { name: name.into(), model, outcome: Outcome::Refused(says) }
}

/// Channels of `x`, which constructs read, and of `y`, which they write unless they say otherwise.
const CHANNELS: usize = 6;

/// A convolution writes `x`, 6 channels of 8x8; the construct reads it and writes `y` of some channels;
/// the end of a classifier reads that.
fn with_channels(channels: usize, build: impl FnOnce(&mut Sample)) -> Model {
    let mut sample = Sample::new(&[3, 8, 8], 4);
    sample.conv("image", "x", [CHANNELS, 3, 3, 3], &[("pads", &[1, 1, 1, 1])]);
    build(&mut sample);
    sample.head("y", channels, 4);
    sample.model
}

fn model(build: impl FnOnce(&mut Sample)) -> Model {
    with_channels(CHANNELS, build)
}

fn of_opset(opset: i64, build: impl FnOnce(&mut Sample)) -> Model {
    Model { opset, ..model(build) }
}

/// As [`model`], but `x` has no values below 0.
fn positive(build: impl FnOnce(&mut Sample)) -> Model {
    let mut sample = Sample::new(&[3, 8, 8], 4);
    sample.conv("image", "before", [CHANNELS, 3, 3, 3], &[("pads", &[1, 1, 1, 1])]).op(
        "Relu",
        &["before"],
        "x",
    );
    build(&mut sample);
    sample.head("y", CHANNELS, 4);
    sample.model
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn text(value: &str) -> Attribute {
    Attribute::String(value.into())
}

fn node(op: &str, attributes: &[(&str, Attribute)]) -> Node {
    reading(op, &["x"], attributes)
}

fn reading(op: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Node {
    attributes
        .iter()
        .fold(Node::new(op, inputs, &["y"]), |node, (name, value)| node.with(name, value.clone()))
}

/// Functions of single values.
fn activations() -> Vec<Construct> {
    let mut all: Vec<Construct> = [
        ("Relu", 17),
        ("Sigmoid", 17),
        ("Tanh", 17),
        ("HardSwish", 17),
        ("Softplus", 17),
        ("Softsign", 17),
        ("Abs", 17),
        ("Exp", 17),
        ("Erf", 17),
        ("Neg", 17),
        ("Identity", 17),
        ("Dropout", 17),
        ("Mish", 18),
        ("Gelu", 20),
        ("Elu", 17),
        ("Celu", 17),
        ("Selu", 17),
        ("LeakyRelu", 17),
        ("HardSigmoid", 17),
        ("Clip", 17),
    ]
    .into_iter()
    .map(|(op, opset)| {
        right(
            op,
            of_opset(opset, |sample| {
                sample.op(op, &["x"], "y");
            }),
        )
    })
    .collect();
    let one = |op: &str, name: &str, value: f32| {
        let built = node(op, &[(name, Attribute::Float(value))]);
        right(
            format!("{op} {name} {value}"),
            model(|sample| {
                sample.node(built);
            }),
        )
    };
    all.extend([
        one("Elu", "alpha", 0.5),
        one("Celu", "alpha", 2.0),
        one("Selu", "alpha", 1.2),
        one("Selu", "gamma", 0.7),
        one("LeakyRelu", "alpha", 0.3),
        one("LeakyRelu", "alpha", -0.2),
        one("HardSigmoid", "alpha", 0.5),
        one("HardSigmoid", "beta", 0.1),
        one("ThresholdedRelu", "alpha", 0.2),
    ]);
    let gelu = |kind: &str| {
        of_opset(20, |sample| {
            sample.node(node("Gelu", &[("approximate", text(kind))]));
        })
    };
    all.push(right("Gelu none", gelu("none")));
    all.push(right("Gelu tanh", gelu("tanh")));
    all.push(refused("Gelu other", gelu("other"), "attribute `approximate` is `other`"));
    all.push(right(
        "Sqrt",
        positive(|sample| {
            sample.op("Sqrt", &["x"], "y");
        }),
    ));
    for exponent in [2.0, 3.0] {
        let pow = model(|sample| {
            sample.scalar("e", exponent).op("Pow", &["x", "e"], "y");
        });
        all.push(right(format!("Pow {exponent}"), pow));
    }
    all.push(right(
        "Pow 0.5",
        positive(|sample| {
            sample.scalar("e", 0.5).op("Pow", &["x", "e"], "y");
        }),
    ));
    all.push(refused(
        "Pow of two activations",
        model(|sample| {
            sample.op("Pow", &["x", "x"], "y");
        }),
        "must be constant",
    ));
    for (low, high) in [(Some(-0.3), Some(0.4)), (None, Some(0.2)), (Some(0.0), None), (Some(0.0), Some(6.0))]
    {
        let clip = model(|sample| {
            let mut inputs = vec!["x"];
            inputs.push(if low.is_some() { "low" } else { "" });
            inputs.push(if high.is_some() { "high" } else { "" });
            for (name, value) in [("low", low), ("high", high)] {
                if let Some(value) = value {
                    sample.scalar(name, value);
                }
            }
            sample.op("Clip", &inputs, "y");
        });
        all.push(right(format!("Clip {low:?} {high:?}"), clip));
    }
    let old = node("Clip", &[("min", Attribute::Float(-0.1)), ("max", Attribute::Float(0.3))]);
    all.push(right(
        "Clip by attributes",
        of_opset(10, |sample| {
            sample.node(old);
        }),
    ));
    for op in ["Min", "Max"] {
        for inputs in [["x", "c"], ["c", "x"]] {
            let built = model(|sample| {
                sample.scalar("c", 0.1).op(op, &inputs, "y");
            });
            all.push(right(format!("{op} {inputs:?}"), built));
        }
        let channels = model(|sample| {
            sample.floats("c", &[CHANNELS, 1, 1], 0.0, 1.0).op(op, &["x", "c"], "y");
        });
        all.push(refused(format!("{op} per channel"), channels, "must be one number"));
        let three = model(|sample| {
            sample.scalar("c", 0.1).op(op, &["x", "c", "c"], "y");
        });
        all.push(refused(format!("{op} of three"), three, "3 inputs"));
    }
    for shape in [&[1usize][..], &[CHANNELS, 1, 1]] {
        let prelu = model(|sample| {
            sample.floats("slope", shape, 0.0, 0.5).op("PRelu", &["x", "slope"], "y");
        });
        all.push(right(format!("PRelu {shape:?}"), prelu));
    }
    let dead = model(|sample| {
        sample.conv("x", "d", [CHANNELS, CHANNELS, 3, 3], &[("pads", &[1, 1, 1, 1])]);
        sample.constant("d.bias", Tensor::f32(&[CHANNELS], vec![-100.0; CHANNELS]));
        sample.op("Relu", &["d"], "r").op("Add", &["x", "r"], "y");
    });
    all.push(right("Relu that never fires", dead));
    let dropping = model(|sample| {
        sample.scalar("ratio", 0.5).constant("training", Tensor::new(&[], Data::Bool(vec![true])));
        sample.op("Dropout", &["x", "ratio", "training"], "y");
    });
    all.push(right("Dropout in training", dropping));
    let gelu = model(|sample| {
        sample.scalar("root", std::f32::consts::SQRT_2).scalar("one", 1.0).scalar("half", 0.5);
        sample.op("Div", &["x", "root"], "a").op("Erf", &["a"], "b").op("Add", &["b", "one"], "c");
        sample.op("Mul", &["x", "c"], "d").op("Mul", &["d", "half"], "y");
    });
    all.push(right("Gelu in parts", gelu));
    let swish = model(|sample| {
        sample.op("Sigmoid", &["x"], "s").op("Mul", &["s", "x"], "y");
    });
    all.push(right("Silu in parts", swish));
    all
}

/// Arithmetic with constants and between activations.
fn arithmetic() -> Vec<Construct> {
    let mut all = Vec::new();
    for op in ["Add", "Sub", "Mul", "Div"] {
        for shape in [&[][..], &[1], &[CHANNELS, 1, 1], &[1, CHANNELS, 1, 1]] {
            for inputs in [["x", "c"], ["c", "x"]] {
                let built = model(|sample| {
                    sample.floats("c", shape, 0.5, 1.5).op(op, &inputs, "y");
                });
                let name = format!("{op} {inputs:?} {shape:?}");
                all.push(match (op, inputs[0]) {
                    ("Div", "c") => refused(name, built, "divides by an activation"),
                    _ => right(name, built),
                });
            }
        }
        for shape in [&[CHANNELS, 8, 8][..], &[8], &[1, 1, 8, 8]] {
            let built = model(|sample| {
                sample.floats("c", shape, 0.5, 1.5).op(op, &["x", "c"], "y");
            });
            all.push(refused(format!("{op} per element {shape:?}"), built, "one per channel is supported"));
        }
    }
    // Between activations: of one shape, per channel, per position.
    for op in ["Add", "Sub", "Mul", "Max", "Min", "Div"] {
        for (kind, inputs) in
            [("same", ["x", "b"]), ("channel", ["x", "c"]), ("channel", ["c", "x"]), ("position", ["x", "p"])]
        {
            let built = model(|sample| {
                sample.conv("image", "b", [CHANNELS, 3, 1, 1], &[]);
                sample.op("GlobalAveragePool", &["b"], "c").conv("image", "p", [1, 3, 1, 1], &[]);
                sample.op(op, &inputs, "y");
            });
            let name = format!("{op} of activations, {kind} {inputs:?}");
            all.push(match (op, kind) {
                ("Div", _) => refused(name, built, "divides by an activation"),
                ("Max" | "Min", "channel" | "position") => refused(name, built, "combines"),
                _ => right(name, built),
            });
        }
    }
    // Behind a flattening: an element each.
    for op in ["Add", "Sub", "Mul", "Div"] {
        for relu in [false, true] {
            let mut sample = Sample::new(&[3, 6, 6], 4);
            sample.conv("image", "x", [4, 3, 3, 3], &[("strides", &[2, 2])]).op("Flatten", &["x"], "f");
            sample.floats("c", &[16], 0.5, 1.5).op(op, &["f", "c"], "g").scalar("two", 2.0);
            sample.op("Mul", &["g", "two"], "h").op(if relu { "Relu" } else { "Identity" }, &["h"], "i");
            sample.floats("w", &[16, 4], -0.5, 0.5).op("MatMul", &["i", "w"], "logits");
            all.push(right(format!("{op} of flattened elements, relu {relu}"), sample.model));
        }
    }
    for relu in [false, true] {
        let mut sample = Sample::new(&[3, 6, 6], 4);
        sample.conv("image", "x", [4, 3, 3, 3], &[("strides", &[2, 2])]).op("Flatten", &["x"], "f");
        sample.batch_norm("f", "n", 16).op(if relu { "Relu" } else { "Identity" }, &["n"], "i");
        sample.floats("w", &[4, 16], -0.5, 0.5);
        sample.node(Node::new("Gemm", &["i", "w"], &["logits"]).with("transB", Attribute::Int(1)));
        all.push(right(format!("BatchNormalization of flattened elements, relu {relu}"), sample.model));
    }
    all
}

/// Convolutions and fully connected layers.
fn linear() -> Vec<Construct> {
    let mut all = Vec::new();
    let conv = |weights: [usize; 4], attributes: &[(&str, &[i64])]| {
        with_channels(weights[0], |sample| {
            sample.conv("x", "y", weights, attributes);
        })
    };
    let convolutions: [([usize; 4], &[(&str, &[i64])]); 12] = [
        ([5, 6, 1, 1], &[]),
        ([5, 6, 2, 3], &[]),
        ([5, 6, 3, 3], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        ([5, 6, 3, 3], &[("pads", &[0, 1, 2, 0]), ("strides", &[1, 2])]),
        ([5, 6, 5, 1], &[("pads", &[2, 0, 2, 0])]),
        ([5, 6, 3, 3], &[("dilations", &[2, 2]), ("pads", &[2, 2, 2, 2])]),
        ([5, 6, 3, 2], &[("dilations", &[1, 3])]),
        ([6, 3, 3, 3], &[("group", &[2])]),
        ([6, 2, 3, 3], &[("group", &[3])]),
        ([6, 1, 3, 3], &[("group", &[6]), ("pads", &[1, 1, 1, 1])]),
        ([12, 1, 3, 3], &[("group", &[6])]),
        ([6, 1, 5, 5], &[("group", &[6]), ("dilations", &[1, 1]), ("kernel_shape", &[5, 5])]),
    ];
    for (weights, attributes) in convolutions {
        all.push(right(format!("Conv {weights:?} {attributes:?}"), conv(weights, attributes)));
    }
    for auto_pad in ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"] {
        let built = with_channels(4, |sample| {
            sample.floats("w", &[4, 6, 3, 3], -0.3, 0.3);
            let node = Node::new("Conv", &["x", "w"], &["y"]).with("auto_pad", text(auto_pad));
            sample.node(node.with("strides", ints(&[2, 2])));
        });
        all.push(right(format!("Conv {auto_pad}"), built));
    }
    all.push(refused("Conv group 4", conv([4, 1, 3, 3], &[("group", &[4])]), "`y` (Conv"));
    all.push(refused("Conv kernel_shape", conv([4, 6, 3, 3], &[("kernel_shape", &[2, 2])]), "kernel_shape"));
    all.push(refused("Conv negative pads", conv([4, 6, 3, 3], &[("pads", &[-1, 0, 0, 0])]), "padding -1"));
    all.push(refused("Conv stride 0", conv([4, 6, 3, 3], &[("strides", &[0, 1])]), "strides"));
    all.push(refused(
        "Conv unknown attribute",
        conv([4, 6, 3, 3], &[("shear", &[1, 1])]),
        "attribute `shear`",
    ));
    let from_image = model(|sample| {
        sample.op("Conv", &["x", "x"], "y");
    });
    all.push(refused("Conv by an activation", from_image, "must be constant"));

    let flat = |build: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new(&[3, 4, 4], 4);
        sample.op("Flatten", &["image"], "f");
        build(&mut sample);
        sample.model
    };
    for (transposed, alpha, beta) in [(0, 1.0, 1.0), (1, 1.0, 1.0), (1, 0.5, 2.0), (0, 2.0, 0.0)] {
        let built = flat(&|sample| {
            let shape = if transposed == 1 { [4, 48] } else { [48, 4] };
            sample.floats("w", &shape, -0.3, 0.3).floats("c", &[4], -0.5, 0.5);
            let gemm =
                Node::new("Gemm", &["f", "w", "c"], &["logits"]).with("transB", Attribute::Int(transposed));
            sample.node(gemm.with("alpha", Attribute::Float(alpha)).with("beta", Attribute::Float(beta)));
        });
        all.push(right(format!("Gemm {transposed} {alpha} {beta}"), built));
    }
    let scalar = flat(&|sample| {
        sample.floats("w", &[48, 4], -0.3, 0.3).scalar("c", 0.5).op("Gemm", &["f", "w", "c"], "logits");
    });
    all.push(right("Gemm with one bias", scalar));
    let turned = flat(&|sample| {
        sample.floats("w", &[48, 4], -0.3, 0.3);
        sample.node(Node::new("Gemm", &["f", "w"], &["logits"]).with("transA", Attribute::Int(1)));
    });
    all.push(refused("Gemm transA", turned, "transA"));
    let product = flat(&|sample| {
        sample.floats("w", &[48, 5], -0.3, 0.3).op("MatMul", &["f", "w"], "h").op("Relu", &["h"], "r");
        sample.floats("v", &[5, 4], -0.8, 0.8).op("MatMul", &["r", "v"], "logits");
    });
    all.push(right("MatMul", product));
    for epsilon in [1e-5, 0.1] {
        let built = model(|sample| {
            sample.batch_norm("x", "y", CHANNELS);
            let norm = sample.model.graph.nodes.last_mut().expect("a node");
            norm.attributes.insert("epsilon".into(), Attribute::Float(epsilon));
            norm.attributes.insert("momentum".into(), Attribute::Float(0.3));
        });
        all.push(right(format!("BatchNormalization {epsilon}"), built));
    }
    for (name, value, says) in
        [("training_mode", 1, "training mode"), ("spatial", 0, "attribute `spatial` is 0")]
    {
        let built = model(|sample| {
            sample.batch_norm("x", "y", CHANNELS);
            let norm = sample.model.graph.nodes.last_mut().expect("a node");
            norm.attributes.insert(name.into(), Attribute::Int(value));
        });
        all.push(refused(format!("BatchNormalization {name}"), built, says));
    }
    all
}

/// Pools and reductions.
fn windows() -> Vec<Construct> {
    let mut all = Vec::new();
    let pool = |op: &str, opset: i64, attributes: &[(&str, Attribute)]| {
        let built = node(op, attributes);
        of_opset(opset, |sample| {
            sample.node(built);
        })
    };
    let (two, three) = (("kernel_shape", ints(&[2, 2])), ("kernel_shape", ints(&[3, 3])));
    let (halves, around) = (("strides", ints(&[2, 2])), ("pads", ints(&[1, 1, 1, 1])));
    for op in ["MaxPool", "AveragePool"] {
        for (name, attributes) in [
            ("2", vec![two.clone()]),
            ("2/2", vec![two.clone(), halves.clone()]),
            ("3 padded", vec![three.clone(), around.clone()]),
            ("3/2 padded", vec![three.clone(), halves.clone(), around.clone()]),
            ("3/2 up", vec![three.clone(), halves.clone(), ("ceil_mode", Attribute::Int(1))]),
            ("3/2 upper", vec![three.clone(), halves.clone(), ("auto_pad", text("SAME_UPPER"))]),
            ("3/2 lower", vec![three.clone(), halves.clone(), ("auto_pad", text("SAME_LOWER"))]),
            ("3/2 valid", vec![three.clone(), halves.clone(), ("auto_pad", text("VALID"))]),
        ] {
            all.push(right(format!("{op} {name}"), pool(op, 17, &attributes)));
        }
        all.push(refused(
            format!("{op} in rows"),
            pool(op, 17, &[("kernel_shape", ints(&[2]))]),
            "kernel_shape",
        ));
        let dilated = [two.clone(), ("dilations", ints(&[2, 3]))];
        all.push(right(format!("{op} dilated"), pool(op, 19, &dilated)));
        all.push(refused(
            format!("{op} unknown"),
            pool(op, 17, &[two.clone(), ("p", Attribute::Int(2))]),
            "attribute `p`",
        ));
    }
    let counts = ("count_include_pad", Attribute::Int(1));
    all.push(right(
        "AveragePool counts",
        pool("AveragePool", 17, &[three.clone(), around.clone(), counts.clone()]),
    ));
    let dilated = [three.clone(), ("pads", ints(&[2, 2, 2, 2])), ("dilations", ints(&[2, 2])), counts];
    all.push(right("AveragePool counts, dilated", pool("AveragePool", 19, &dilated)));
    let leaves_out = &dilated[..3];
    all.push(refused(
        "AveragePool leaves out, dilated",
        pool("AveragePool", 19, leaves_out),
        "leaves its padding out",
    ));
    all.push(right(
        "MaxPool in columns",
        pool("MaxPool", 17, &[two.clone(), ("storage_order", Attribute::Int(1))]),
    ));
    let indices = model(|sample| {
        sample.node(Node::new("MaxPool", &["x"], &["z", "i"]).with("kernel_shape", ints(&[2, 2])));
        sample.op("Cast", &["i"], "y");
    });
    all.push(refused("MaxPool indices", indices, "further output of MaxPool"));
    for op in ["GlobalAveragePool", "GlobalMaxPool"] {
        all.push(right(op, pool(op, 17, &[])));
    }
    for op in ["ReduceMean", "ReduceMax", "ReduceSum"] {
        for (axes, keep) in [(&[2, 3][..], 1), (&[-1, -2], 1), (&[3], 1), (&[2], 1)] {
            let built = of_opset(18, |sample| {
                sample.integers("axes", axes);
                sample.node(reading(op, &["x", "axes"], &[("keepdims", Attribute::Int(keep))]));
            });
            all.push(right(format!("{op} {axes:?}"), built));
        }
        let mut sample = Sample::new(&[3, 8, 8], 4);
        sample.conv("image", "x", [CHANNELS, 3, 3, 3], &[]).integers("axes", &[2, 3]);
        sample.node(Node::new(op, &["x", "axes"], &["v"]).with("keepdims", Attribute::Int(0)));
        sample.floats("w", &[CHANNELS, 4], -0.5, 0.5).op("MatMul", &["v", "w"], "logits");
        sample.model.opset = 18;
        all.push(right(format!("{op} to a vector"), sample.model));
        let channels = of_opset(18, |sample| {
            sample.integers("axes", &[1]).op(op, &["x", "axes"], "y");
        });
        all.push(refused(format!("{op} of channels"), channels, "supported are rows and columns"));
        let none = of_opset(18, |sample| {
            sample.node(node(op, &[("noop_with_empty_axes", Attribute::Int(1))]));
        });
        all.push(refused(format!("{op} of nothing"), none, "noop_with_empty_axes"));
        all.push(refused(
            format!("{op} of all"),
            of_opset(18, |sample| {
                sample.op(op, &["x"], "y");
            }),
            "all dimensions",
        ));
    }
    for op in ["ReduceMean", "ReduceMax"] {
        let old = node(op, &[("axes", ints(&[2, 3]))]);
        all.push(right(
            format!("{op} by attribute"),
            of_opset(13, |sample| {
                sample.node(old);
            }),
        ));
    }
    let sequence = of_opset(17, |sample| {
        sample.node(Node::new("ReduceMean", &["x"], &["z"]).with("axes", ints(&[3])));
        sample.node(Node::new("ReduceMean", &["z"], &["y"]).with("axes", ints(&[2])));
    });
    all.push(right("ReduceMean of columns, then of rows", sequence));
    all
}

/// Operators that change where values stand.
fn layouts() -> Vec<Construct> {
    let mut all = Vec::new();
    let end = |build: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new(&[3, 6, 4], 4);
        sample.conv("image", "x", [2, 3, 3, 3], &[]);
        build(&mut sample);
        sample.floats("w", &[16, 4], -0.5, 0.5).op("MatMul", &["f", "w"], "logits");
        sample.model
    };
    for axis in [1, -3] {
        let flatten = Node::new("Flatten", &["x"], &["f"]).with("axis", Attribute::Int(axis));
        all.push(right(
            format!("Flatten {axis}"),
            end(&|sample| {
                sample.node(flatten.clone());
            }),
        ));
    }
    for shape in [&[-1, 16][..], &[0, -1], &[0, 16]] {
        let built = end(&|sample| {
            sample.integers("s", shape).op("Reshape", &["x", "s"], "f");
        });
        all.push(right(format!("Reshape {shape:?}"), built));
    }
    let zero = end(&|sample| {
        sample.integers("s", &[0, 16]);
        sample.node(Node::new("Reshape", &["x", "s"], &["f"]).with("allowzero", Attribute::Int(1)));
    });
    all.push(refused("Reshape to nothing", zero, "shape [0, 16]"));
    let mixed = end(&|sample| {
        sample.integers("s", &[1, 4, 4]).op("Reshape", &["x", "s"], "a");
        sample.op("Relu", &["a"], "b").integers("t", &[1, 16]).op("Reshape", &["b", "t"], "f");
    });
    all.push(refused("Reshape across dimensions", mixed, "splits or mixes"));
    let counted = end(&|sample| {
        sample.op("Shape", &["x"], "s").constant("zero", Tensor::new(&[], Data::I64(vec![0])));
        sample.op("Gather", &["s", "zero"], "n").integers("axes", &[0]).op("Unsqueeze", &["n", "axes"], "m");
        sample
            .integers("rest", &[-1])
            .node(Node::new("Concat", &["m", "rest"], &["t"]).with("axis", Attribute::Int(0)));
        sample.op("Reshape", &["x", "t"], "f");
    });
    all.push(right("Reshape by a counted shape", counted));
    let turned = end(&|sample| {
        sample.node(Node::new("Transpose", &["x"], &["t"]).with("perm", ints(&[0, 2, 3, 1])));
        sample.op("Flatten", &["t"], "f");
    });
    all.push(right("Transpose, Flatten", turned));
    let squeezed = |opset: i64, by_input: bool| {
        of_opset(opset, |sample| {
            sample.op("GlobalAveragePool", &["x"], "p");
            if by_input {
                sample.integers("axes", &[2, 3]).op("Squeeze", &["p", "axes"], "s").op(
                    "Unsqueeze",
                    &["s", "axes"],
                    "y",
                );
            } else {
                sample.node(Node::new("Squeeze", &["p"], &["s"]).with("axes", ints(&[2, 3])));
                sample.node(reading("Unsqueeze", &["s"], &[("axes", ints(&[2, 3]))]));
            }
        })
    };
    all.push(right("Squeeze, Unsqueeze", squeezed(17, true)));
    all.push(right("Squeeze, Unsqueeze by attributes", squeezed(11, false)));

    for (groups, channels) in [(2, 6), (3, 6)] {
        let built = with_channels(5, |sample| {
            let members = channels / groups;
            sample.integers("split", &[-1, groups, members, 8, 8]).integers("whole", &[-1, channels, 8, 8]);
            sample.op("Reshape", &["x", "split"], "a");
            sample.node(Node::new("Transpose", &["a"], &["b"]).with("perm", ints(&[0, 2, 1, 3, 4])));
            sample.op("Reshape", &["b", "whole"], "c").conv("c", "y", [5, 6, 3, 3], &[]);
        });
        all.push(right(format!("channel shuffle of {groups} groups"), built));
    }
    let split = |opset: i64, node: Node, sizes: Option<&[i64]>| {
        of_opset(opset, |sample| {
            if let Some(sizes) = sizes {
                sample.integers("sizes", sizes);
            }
            sample.node(node).op("Relu", &["b"], "c");
            sample.node(Node::new("Concat", &["c", "a"], &["y"]).with("axis", Attribute::Int(1)));
        })
    };
    let parts = |inputs: &[&str]| Node::new("Split", inputs, &["a", "b"]).with("axis", Attribute::Int(1));
    all.push(right("Split in halves", split(13, parts(&["x"]), None)));
    all.push(right("Split by sizes", split(13, parts(&["x", "sizes"]), Some(&[2, 4]))));
    all.push(right("Split by attribute", split(11, parts(&["x"]).with("split", ints(&[1, 5])), None)));
    all.push(right("Split by number", split(18, parts(&["x"]).with("num_outputs", Attribute::Int(2)), None)));
    all.push(refused(
        "Split of rows",
        split(13, Node::new("Split", &["x"], &["a", "b"]).with("axis", Attribute::Int(2)), None),
        "supported are channels",
    ));
    for (name, bounds, kept) in [
        ("first", [1, 4, 1, 1], 3),
        ("last", [-3, i64::MAX, 1, 1], 3),
        ("every other", [0, 6, 1, 2], 3),
        ("backwards", [-1, i64::MIN, 1, -1], 6),
        ("all", [0, 6, 1, 1], 6),
        ("one", [2, 3, 1, 1], 1),
    ] {
        let built = with_channels(kept, |sample| {
            for (name, value) in ["starts", "ends", "axes", "steps"].iter().zip(bounds) {
                sample.integers(name, &[value]);
            }
            sample.op("Slice", &["x", "starts", "ends", "axes", "steps"], "y");
        });
        all.push(right(format!("Slice {name}"), built));
    }
    let old = node("Slice", &[("starts", ints(&[2])), ("ends", ints(&[5])), ("axes", ints(&[1]))]);
    let old = Model {
        opset: 9,
        ..with_channels(3, |sample| {
            sample.node(old);
        })
    };
    all.push(right("Slice by attributes", old));
    let rows = model(|sample| {
        sample.integers("starts", &[1]).integers("ends", &[5]).integers("axes", &[2]);
        sample.op("Slice", &["x", "starts", "ends", "axes"], "y");
    });
    all.push(refused("Slice of rows", rows, "supported are channels"));
    let gathered = with_channels(4, |sample| {
        sample.integers("i", &[5, 0, -2, 0]);
        sample.node(reading("Gather", &["x", "i"], &[("axis", Attribute::Int(1))]));
    });
    all.push(right("Gather", gathered));
    let gathered = model(|sample| {
        sample.integers("i", &[0, 1, 2]);
        sample.node(reading("Gather", &["x", "i"], &[("axis", Attribute::Int(3))]));
    });
    all.push(refused("Gather of columns", gathered, "supported are channels"));
    for axis in [1, -3] {
        let joined = with_channels(12, |sample| {
            sample.op("Relu", &["x"], "r");
            sample.node(reading("Concat", &["x", "r"], &[("axis", Attribute::Int(axis))]));
        });
        all.push(right(format!("Concat {axis}"), joined));
    }
    // The smaller half counts as much as the other.
    let uneven = model(|sample| {
        sample.op("Relu", &["x"], "r").scalar("s", 0.001).op("Mul", &["r", "s"], "t");
        sample.node(Node::new("Concat", &["r", "t"], &["j"]).with("axis", Attribute::Int(1)));
        sample.conv("j", "y", [CHANNELS, 12, 1, 1], &[]);
        let weights = sample.model.graph.initializers.get_mut("y.weight").expect("weights");
        if let Data::F32(weights) = &mut weights.data {
            let small = weights.chunks_exact_mut(CHANNELS).skip(1).step_by(2);
            small.flatten().for_each(|weight| *weight *= 1000.0);
        }
    });
    all.push(right("Concat of a thousandth", uneven));
    let rows = model(|sample| {
        sample.node(reading("Concat", &["x", "x"], &[("axis", Attribute::Int(2))]));
    });
    all.push(refused("Concat of rows", rows, "supported is channels"));
    all
}

/// Borders and sizes.
fn borders() -> Vec<Construct> {
    let mut all = Vec::new();
    let pads = &[0, 0, 1, 0, 0, 0, 2, 1];
    all.push(right(
        "Pad",
        model(|sample| {
            sample.integers("p", pads).op("Pad", &["x", "p"], "y");
        }),
    ));
    let old =
        node("Pad", &[("pads", ints(pads)), ("mode", text("constant")), ("value", Attribute::Float(0.0))]);
    all.push(right(
        "Pad by attributes",
        of_opset(10, |sample| {
            sample.node(old);
        }),
    ));
    let axes = of_opset(18, |sample| {
        sample.integers("p", &[1, 2]).integers("axes", &[-1]).op("Pad", &["x", "p", "", "axes"], "y");
    });
    all.push(right("Pad of axes", axes));
    let value = model(|sample| {
        sample.integers("p", pads).scalar("v", 1.5).op("Pad", &["x", "p", "v"], "y");
    });
    all.push(refused("Pad with a value", value, "pads with 1.5"));
    for mode in ["reflect", "edge", "wrap"] {
        let built = model(|sample| {
            sample.integers("p", pads).node(reading("Pad", &["x", "p"], &[("mode", text(mode))]));
        });
        all.push(refused(format!("Pad {mode}"), built, "supported is `constant`"));
    }
    let cut = model(|sample| {
        sample.integers("p", &[0, 0, -1, 0, 0, 0, 0, 0]).op("Pad", &["x", "p"], "y");
    });
    all.push(refused("Pad that cuts", cut, "pads [0, 0, -1"));
    let channels = with_channels(7, |sample| {
        sample.integers("p", &[0, 1, 0, 0, 0, 0, 0, 0]).op("Pad", &["x", "p"], "y");
    });
    all.push(refused("Pad of channels", channels, "supported are rows and columns"));

    let resize = |opset: i64, attributes: &[(&str, Attribute)], scale: f32| {
        let built = reading("Resize", &["x", "", "scales"], attributes);
        of_opset(opset, |sample| {
            sample.constant("scales", Tensor::f32(&[4], vec![1.0, 1.0, scale, scale])).node(built);
        })
    };
    let by = |transform: &str, nearest: &str| {
        vec![
            ("coordinate_transformation_mode", text(transform)),
            ("nearest_mode", text(nearest)),
            ("mode", text("nearest")),
        ]
    };
    for (transform, nearest) in [
        ("asymmetric", "floor"),
        ("asymmetric", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("half_pixel", "round_prefer_floor"),
        ("pytorch_half_pixel", "round_prefer_floor"),
    ] {
        all.push(right(format!("Resize {transform} {nearest}"), resize(13, &by(transform, nearest), 2.0)));
    }
    for (transform, nearest) in [("asymmetric", "ceil"), ("align_corners", "floor"), ("half_pixel", "floor")]
    {
        all.push(refused(
            format!("Resize {transform} {nearest}"),
            resize(13, &by(transform, nearest), 2.0),
            "supported is plain nearest",
        ));
    }
    all.push(right("Resize", resize(13, &[], 2.0)));
    all.push(refused("Resize by 3", resize(13, &[], 3.0), "other factors than 2"));
    all.push(refused("Resize linear", resize(13, &[("mode", text("linear"))], 2.0), "mode `linear`"));
    all.push(refused(
        "Resize antialias",
        resize(18, &[("antialias", Attribute::Int(1))], 2.0),
        "attribute `antialias` is 1",
    ));
    all.push(refused("Resize axes", resize(18, &[("axes", ints(&[2, 3]))], 2.0), "attribute `axes`"));
    let sizes = model(|sample| {
        sample.integers("s", &[1, 6, 16, 16]).op("Resize", &["x", "", "", "s"], "y");
    });
    all.push(right("Resize to sizes", Model { graph: fixed_batch(sizes.graph), ..sizes }));
    let scales = Tensor::f32(&[4], vec![1.0, 1.0, 2.0, 2.0]);
    let old = |sample: &mut Sample| {
        sample.constant("s", scales.clone()).op("Resize", &["x", "s"], "y");
    };
    all.push(right("Resize of opset 10", of_opset(10, old)));
    let older = |sample: &mut Sample| {
        sample.constant("s", scales.clone()).op("Upsample", &["x", "s"], "y");
    };
    all.push(right("Upsample of opset 9", of_opset(9, older)));
    let oldest = node(
        "Upsample",
        &[("scales", Attribute::Floats(vec![1.0, 1.0, 2.0, 2.0])), ("mode", text("nearest"))],
    );
    all.push(right(
        "Upsample of opset 7",
        of_opset(7, |sample| {
            sample.node(oldest);
        }),
    ));
    let linear = node(
        "Upsample",
        &[("scales", Attribute::Floats(vec![1.0, 1.0, 2.0, 2.0])), ("mode", text("linear"))],
    );
    all.push(refused(
        "Upsample linear",
        of_opset(7, |sample| {
            sample.node(linear);
        }),
        "attribute `mode` is `linear`",
    ));
    all
}

/// A graph whose input and output have a batch of one.
fn fixed_batch(mut graph: goldcrest_onnx::Graph) -> goldcrest_onnx::Graph {
    for value in graph.inputs.iter_mut().chain(&mut graph.outputs) {
        if let Some(first) = value.shape.as_mut().and_then(|shape| shape.first_mut()) {
            *first = Dimension::Fixed(1);
        }
    }
    graph
}

/// What a model takes.
fn inputs() -> Vec<Construct> {
    /// The network behind its input `image` of this type; `build` writes `v`, [batch, 3, 8, 8].
    fn typed(element: i32, channels_last: bool, build: impl FnOnce(&mut Sample)) -> Model {
        let shape: &[i64] = if channels_last { &[8, 8, 3] } else { &[3, 8, 8] };
        let mut sample = Sample::new(shape, 4);
        sample.model.graph.inputs[0].element = element;
        build(&mut sample);
        sample.conv("v", "y", [CHANNELS, 3, 3, 3], &[]).head("y", CHANNELS, 4);
        sample.model
    }
    let to_float = |input: &str| Node::new("Cast", &[input], &["f"]).with("to", Attribute::Int(1));
    let shrunk = |sample: &mut Sample| {
        sample.scalar("s", 255.0).op("Div", &["f", "s"], "d");
    };
    let mut all = vec![
        pixels(
            "uint8, cast",
            typed(data_type::UINT8, false, |sample| {
                sample.node(to_float("image"));
                shrunk(sample);
                sample.op("Identity", &["d"], "v");
            }),
            0.0,
            1.0,
        ),
        pixels(
            "uint8, channels last, cast",
            typed(data_type::UINT8, true, |sample| {
                sample.node(to_float("image"));
                shrunk(sample);
                sample.node(Node::new("Transpose", &["d"], &["v"]).with("perm", ints(&[0, 3, 1, 2])));
            }),
            0.0,
            1.0,
        ),
        pixels(
            "uint8, channels last, turned, cast",
            typed(data_type::UINT8, true, |sample| {
                sample.node(Node::new("Transpose", &["image"], &["t"]).with("perm", ints(&[0, 3, 1, 2])));
                sample.node(to_float("t"));
                shrunk(sample);
                sample.op("Identity", &["d"], "v");
            }),
            0.0,
            1.0,
        ),
        pixels(
            "int8, cast",
            typed(data_type::INT8, false, |sample| {
                sample.node(to_float("image"));
                shrunk(sample);
                sample.op("Identity", &["d"], "v");
            }),
            128.0,
            1.0,
        ),
        refused(
            "uint8, cast to an integer",
            typed(data_type::UINT8, false, |sample| {
                sample.node(Node::new("Cast", &["image"], &["i"]).with("to", Attribute::Int(6)));
                sample.node(to_float("i"));
                sample.op("Identity", &["f"], "v");
            }),
            "holds uint8 values",
        ),
        refused(
            "uint8, read at once",
            typed(data_type::UINT8, false, |sample| {
                sample.op("Relu", &["image"], "v");
            }),
            "holds uint8 values",
        ),
        refused(
            "uint8, in two ways",
            typed(data_type::UINT8, false, |sample| {
                sample.scalar("s", 0.5).op("DequantizeLinear", &["image", "s"], "g").node(to_float("image"));
                sample.op("Add", &["f", "g"], "v");
            }),
            "holds uint8 values",
        ),
    ];
    for element in [data_type::INT32, data_type::INT64, data_type::BOOL, 4, 12] {
        let built = typed(element, false, |sample| {
            sample.node(to_float("image")).op("Identity", &["f"], "v");
        });
        all.push(refused(format!("input of type {element}"), built, "supported are float"));
    }
    for (name, element, zero, scale, lacks) in [
        ("uint8", data_type::UINT8, Data::U8(vec![128]), 1.0 / 127.5, 0.0),
        ("uint8 from 0", data_type::UINT8, Data::U8(vec![0]), 1.0 / 255.0, 0.0),
        ("int8", data_type::INT8, Data::I8(vec![-128]), 1.0 / 255.0, 128.0),
        ("int8 around 0", data_type::INT8, Data::I8(vec![0]), 1.0 / 128.0, 128.0),
    ] {
        let stands_for_0 = match &zero {
            Data::U8(zero) => f32::from(zero[0]),
            Data::I8(zero) => f32::from(zero[0]) + lacks,
            _ => 0.0,
        };
        let built = typed(element, false, |sample| {
            sample.scalar("s", scale).constant("z", Tensor::new(&[], zero));
            sample.op("DequantizeLinear", &["image", "s", "z"], "v");
        });
        all.push(pixels(format!("{name}, dequantized"), built, stands_for_0, scale));
    }
    // Floats, of which the first operator tells what they are.
    let float = |build: &dyn Fn(&mut Sample)| typed(data_type::FLOAT, false, |sample| build(sample));
    all.extend([
        pixels(
            "a factor of 1/255",
            float(&|sample| {
                sample.scalar("s", 1.0 / 255.0).op("Mul", &["image", "s"], "v");
            }),
            0.0,
            1.0,
        ),
        pixels(
            "a divisor of 255",
            float(&|sample| {
                sample.scalar("s", 255.0).op("Div", &["image", "s"], "v");
            }),
            0.0,
            1.0,
        ),
        pixels(
            "1/127.5 less 1",
            float(&|sample| {
                sample.scalar("s", 1.0 / 127.5).op("Mul", &["image", "s"], "a").scalar("o", 1.0).op(
                    "Sub",
                    &["a", "o"],
                    "v",
                );
            }),
            0.0,
            1.0,
        ),
        pixels(
            "means of dozens",
            float(&|sample| {
                sample.constant("m", Tensor::f32(&[1, 3, 1, 1], vec![123.0, 117.0, 104.0])).op(
                    "Sub",
                    &["image", "m"],
                    "w",
                );
                sample.constant("d", Tensor::f32(&[1, 3, 1, 1], vec![58.0, 57.0, 57.5])).op(
                    "Div",
                    &["w", "d"],
                    "v",
                );
            }),
            0.0,
            1.0,
        ),
        right(
            "means of parts",
            float(&|sample| {
                sample.constant("m", Tensor::f32(&[1, 3, 1, 1], vec![0.48, 0.45, 0.4])).op(
                    "Sub",
                    &["image", "m"],
                    "w",
                );
                sample.constant("d", Tensor::f32(&[1, 3, 1, 1], vec![0.23, 0.22, 0.225])).op(
                    "Div",
                    &["w", "d"],
                    "v",
                );
            }),
        ),
        right(
            "float16",
            typed(data_type::FLOAT16, false, |sample| {
                sample.node(to_float("image")).op("Identity", &["f"], "v");
            }),
        ),
        right(
            "double",
            typed(data_type::DOUBLE, false, |sample| {
                sample.node(to_float("image")).op("Identity", &["f"], "v");
            }),
        ),
    ]);
    // Shapes.
    for shape in [&[3, 8][..], &[3, 8, 8, 1], &[8]] {
        let built = Sample::new(shape, 4).op("Flatten", &["image"], "logits").model.clone();
        all.push(refused(format!("input of shape {shape:?}"), built, "dimensions"));
    }
    let mut free = Sample::new(&[3, -1, 8], 4);
    free.conv("image", "y", [CHANNELS, 3, 3, 3], &[]).head("y", CHANNELS, 4);
    all.push(refused("input of free size", free.model, "no fixed size"));
    let mut high = Sample::new(&[9, 12, 1], 4);
    high.conv("image", "y", [CHANNELS, 9, 5, 1], &[("pads", &[2, 0, 2, 0])]).head("y", CHANNELS, 4);
    all.push(right("one column of nine channels", high.model));
    all
}

/// How a model ends.
fn ends() -> Vec<Construct> {
    /// A network that writes `z`, [batch, classes], and what `build` makes of it.
    fn ended(classes: usize, shape: &[i64], build: impl FnOnce(&mut Sample)) -> Model {
        let mut sample = Sample::new(&[3, 8, 8], 4);
        sample.conv("image", "x", [CHANNELS, 3, 3, 3], &[]).op("Relu", &["x"], "r");
        sample.op("GlobalAveragePool", &["r"], "p").op("Flatten", &["p"], "f");
        sample.floats("w", &[CHANNELS, classes], -0.9, 0.9).op("MatMul", &["f", "w"], "z");
        build(&mut sample);
        sample.model.graph.outputs = vec![ValueInfo::float("logits", shape)];
        sample.model
    }
    let end = |op: &str, axis: i64, output: &str| {
        Node::new(op, &["z"], &[output]).with("axis", Attribute::Int(axis))
    };
    let mut all = Vec::new();
    for (op, axis) in [("Softmax", 1), ("Softmax", -1), ("LogSoftmax", 1)] {
        all.push(right(
            format!("{op} {axis}"),
            ended(4, &[-1, 4], |sample| {
                sample.node(end(op, axis, "logits"));
            }),
        ));
    }
    let old = ended(4, &[-1, 4], |sample| {
        sample.op("Softmax", &["z"], "logits");
    });
    all.push(right("Softmax of opset 11", Model { opset: 11, ..old.clone() }));
    all.push(right("Softmax of opset 13", old));
    let batch = ended(4, &[-1, 4], |sample| {
        sample.node(end("Softmax", 0, "logits"));
    });
    all.push(refused("Softmax of the batch", batch, "attribute `axis` is 0"));
    for (name, behind) in [
        ("Identity", Node::new("Identity", &["s"], &["logits"])),
        ("Flatten", Node::new("Flatten", &["s"], &["logits"])),
        ("Reshape", Node::new("Reshape", &["s", "shape"], &["logits"])),
    ] {
        let built = ended(4, &[-1, 4], |sample| {
            sample.node(end("Softmax", 1, "s")).integers("shape", &[-1, 4]).node(behind);
        });
        all.push(right(format!("Softmax, {name}"), built));
    }
    let inside = ended(4, &[-1, 4], |sample| {
        sample.node(end("Softmax", 1, "s")).scalar("two", 2.0).op("Mul", &["s", "two"], "logits");
    });
    all.push(refused("Softmax inside", inside, "stands before the network's end"));
    all.push(right(
        "Sigmoid of one",
        ended(1, &[-1, 1], |sample| {
            sample.op("Sigmoid", &["z"], "logits");
        }),
    ));
    all.push(right(
        "one logit",
        ended(1, &[-1, 1], |sample| {
            sample.op("Identity", &["z"], "logits");
        }),
    ));
    all.push(right(
        "Sigmoid of several",
        ended(4, &[-1, 4], |sample| {
            sample.op("Sigmoid", &["z"], "logits");
        }),
    ));
    let one = ended(1, &[-1, 1], |sample| {
        sample.op("Tanh", &["z"], "t").op("Sigmoid", &["t"], "logits");
    });
    all.push(right("Sigmoid of one Tanh", one));
    let mut wide = Sample::new(&[3, 8, 8], 4);
    wide.conv("image", "x", [4, 3, 3, 3], &[]).op("GlobalAveragePool", &["x"], "logits");
    wide.model.graph.outputs = vec![ValueInfo::float("logits", &[-1, 4, 1, 1])];
    all.push(right("logits of four dimensions", wide.model));
    let mut image = Sample::new(&[3, 8, 8], 4);
    image.conv("image", "logits", [4, 3, 3, 3], &[]);
    all.push(refused("an image comes out", image.model, "the output `logits` is"));
    let unneeded = ended(4, &[-1, 4], |sample| {
        sample.op("Identity", &["z"], "logits").op("Einsum", &["r"], "n").op("Loop", &["n"], "m");
    });
    all.push(right("operators that nothing needs", unneeded));
    let mut two = ended(4, &[-1, 4], |sample| {
        sample.op("Identity", &["z"], "logits");
    });
    two.graph.outputs.push(ValueInfo::float("z", &[-1, 4]));
    all.push(refused("two outputs", two, "2 outputs"));
    all
}

/// The same network in every operator set.
fn operator_sets() -> Vec<Construct> {
    let network = |opset: i64| {
        let mut sample = Sample::new(&[3, 8, 8], 4);
        sample
            .conv("image", "a", [CHANNELS, 3, 3, 3], &[("pads", &[1, 1, 1, 1])])
            .batch_norm("a", "b", CHANNELS);
        sample.op("Relu", &["b"], "x").op("Dropout", &["x"], "d");
        sample.node(reading("MaxPool", &["d"], &[("kernel_shape", ints(&[2, 2]))])).head("y", CHANNELS, 4);
        Model { opset, ..sample.model }
    };
    let mut all: Vec<Construct> =
        (7..=23).map(|opset| right(format!("opset {opset}"), network(opset))).collect();
    all.extend(
        [6, 24, 0, -1]
            .map(|opset| refused(format!("opset {opset}"), network(opset), "supported are 7 to 23")),
    );
    all
}

/// Operators that are not imported, or not where they stand.
fn strangers() -> Vec<Construct> {
    let mut all = Vec::new();
    for op in [
        "ArgMax",
        "ConvTranspose",
        "CumSum",
        "DepthToSpace",
        "Einsum",
        "GRU",
        "GridSample",
        "InstanceNormalization",
        "LRN",
        "LSTM",
        "LayerNormalization",
        "LpPool",
        "MeanVarianceNormalization",
        "NonMaxSuppression",
        "Not",
        "RNN",
        "ReduceL2",
        "ReduceProd",
        "RoiAlign",
        "ScatterND",
        "SpaceToDepth",
        "TopK",
        "Where",
    ] {
        let built = model(|sample| {
            sample.op(op, &["x"], "y");
        });
        all.push(refused(op, built, "Goldcrest has no such operator"));
    }
    let foreign = model(|sample| {
        sample.node(reading("Relu", &["x"], &[]).in_domain("com.example"));
    });
    all.push(refused("another domain's Relu", foreign, "com.example.Relu"));
    for (op, name) in [
        ("Relu", "negative_slope"),
        ("Sigmoid", "beta"),
        ("Add", "axis"),
        ("Identity", "mode"),
        ("Flatten", "keep"),
    ] {
        let built = node(op, &[(name, Attribute::Int(1))]);
        let inputs: &[&str] = if op == "Add" { &["x", "x"] } else { &["x"] };
        let built = Node { inputs: inputs.iter().map(|&input| input.into()).collect(), ..built };
        all.push(refused(
            format!("{op} with {name}"),
            model(|sample| {
                sample.node(built);
            }),
            "is not supported",
        ));
    }
    let bool = model(|sample| {
        sample.node(node("Cast", &[("to", Attribute::Int(9))]));
    });
    all.push(refused("Cast to bool", bool, "casts an activation to bool"));
    all.push(right(
        "Cast to float16",
        model(|sample| {
            sample.node(Node::new("Cast", &["x"], &["h"]).with("to", Attribute::Int(10)));
            sample.node(reading("Cast", &["h"], &[("to", Attribute::Int(1))]));
        }),
    ));
    all
}

/// What is computed of constants before anything is imported.
fn constants() -> Vec<Construct> {
    let mut all = Vec::new();
    let folded = |name: &str, build: &dyn Fn(&mut Sample)| {
        right(
            format!("constants by {name}"),
            model(|sample| {
                build(sample);
                sample.op("Add", &["x", "c"], "y");
            }),
        )
    };
    for op in [
        "Abs",
        "Exp",
        "Floor",
        "Ceil",
        "Round",
        "Sqrt",
        "Log",
        "Sin",
        "Tanh",
        "Sigmoid",
        "Erf",
        "Sign",
        "Reciprocal",
        "Softplus",
    ] {
        all.push(folded(op, &|sample| {
            sample.floats("a", &[CHANNELS, 1, 1], 0.2, 2.5).op(op, &["a"], "c");
        }));
    }
    for op in ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"] {
        all.push(folded(op, &|sample| {
            sample.floats("a", &[CHANNELS, 1, 1], 0.2, 2.5).floats("b", &[1, 1], 0.2, 2.5).op(
                op,
                &["a", "b"],
                "c",
            );
        }));
    }
    all.push(folded("Where", &|sample| {
        sample.floats("a", &[CHANNELS, 1, 1], -1.0, 1.0).scalar("b", 0.1).op("Greater", &["a", "b"], "g");
        sample.op("Not", &["g"], "n").op("Where", &["n", "a", "b"], "c");
    }));
    all.push(folded("Equal", &|sample| {
        sample.integers("a", &[1, 2, 3, 1, 2, 3]).integers("b", &[2]).op("Equal", &["a", "b"], "e");
        sample.node(Node::new("Cast", &["e"], &["f"]).with("to", Attribute::Int(1)));
        sample.integers("s", &[6, 1, 1]).op("Reshape", &["f", "s"], "c");
    }));
    all.push(folded("Expand", &|sample| {
        sample.floats("a", &[1, 1], -1.0, 1.0).integers("s", &[6, 1, 1]).op("Expand", &["a", "s"], "c");
    }));
    all.push(folded("Tile", &|sample| {
        sample.floats("a", &[3, 1, 1], -1.0, 1.0).integers("r", &[2, 1, 1]).op("Tile", &["a", "r"], "c");
    }));
    all.push(folded("Range", &|sample| {
        for (name, value) in [("from", 0), ("to", 12), ("by", 2)] {
            sample.constant(name, Tensor::new(&[], Data::I64(vec![value])));
        }
        sample.op("Range", &["from", "to", "by"], "r").integers("s", &[6, 1, 1]);
        sample.node(Node::new("Cast", &["r"], &["f"]).with("to", Attribute::Int(1))).op(
            "Reshape",
            &["f", "s"],
            "c",
        );
    }));
    all.push(folded("Gather", &|sample| {
        sample.floats("a", &[2, 9, 1, 1], -1.0, 1.0).integers("i", &[8, 7, 6, 0, 1, 2]);
        sample.node(Node::new("Gather", &["a", "i"], &["b"]).with("axis", Attribute::Int(1)));
        sample.constant("zero", Tensor::new(&[], Data::I64(vec![1])));
        sample.node(Node::new("Gather", &["b", "zero"], &["c"]).with("axis", Attribute::Int(0)));
    }));
    all.push(folded("ConstantOfShape", &|sample| {
        sample.integers("s", &[6, 1, 1]);
        let value = Attribute::Tensor(Tensor::f32(&[1], vec![0.7]));
        sample.node(Node::new("ConstantOfShape", &["s"], &["c"]).with("value", value));
    }));
    all.push(folded("Transpose", &|sample| {
        sample.floats("a", &[1, 1, CHANNELS], -1.0, 1.0);
        sample.node(Node::new("Transpose", &["a"], &["c"]).with("perm", ints(&[2, 0, 1])));
    }));
    let unknown = model(|sample| {
        sample.floats("a", &[CHANNELS, 1, 1], 0.0, 1.0).op("Einsum", &["a"], "c").op("Add", &["x", "c"], "y");
    });
    all.push(refused("constants by Einsum", unknown, "cannot be computed from its constants"));
    all
}

/// Models that other tools quantized: their own grids, and what these cut off.
fn quantized() -> Vec<Construct> {
    /// `x` rounded to a grid of `zero`, then `build`, which reads `q` and writes `y`.
    fn rounded(zero: Data, scale: f32, attributes: &[(&str, i64)], build: impl FnOnce(&mut Sample)) -> Model {
        model(|sample| {
            sample.scalar("s", scale).constant("z", Tensor::new(&[], zero));
            let with = |node: Node| {
                attributes.iter().fold(node, |node, (name, value)| node.with(name, Attribute::Int(*value)))
            };
            sample.node(with(Node::new("QuantizeLinear", &["x", "s", "z"], &["i"])));
            sample.node(with(Node::new("DequantizeLinear", &["i", "s", "z"], &["q"])));
            build(sample);
        })
    }
    let plain = |sample: &mut Sample| {
        sample.op("Identity", &["q"], "y");
    };
    vec![
        right("rounded to int8", rounded(Data::I8(vec![3]), 0.01, &[], plain)),
        right("rounded to uint8", rounded(Data::U8(vec![120]), 0.01, &[], plain)),
        right("a Relu by saturation", rounded(Data::I8(vec![-128]), 0.006, &[], plain)),
        right("a Relu6 by saturation", rounded(Data::U8(vec![0]), 0.5 / 255.0, &[], plain)),
        refused(
            "blocks",
            rounded(Data::I8(vec![3]), 0.01, &[("block_size", 2)], plain),
            "attribute `block_size` is 2",
        ),
        refused(
            "integers that are added",
            rounded(Data::I8(vec![3]), 0.01, &[], |sample| {
                sample.op("Add", &["i", "i"], "y");
            }),
            "reads an activation's integers",
        ),
        refused(
            "integers that are cast",
            rounded(Data::I8(vec![3]), 0.01, &[], |sample| {
                sample.node(reading("Cast", &["i"], &[("to", Attribute::Int(1))]));
            }),
            "reads an activation's integers",
        ),
        right(
            "integers that are pooled",
            rounded(Data::I8(vec![3]), 0.01, &[], |sample| {
                sample.node(Node::new("MaxPool", &["i"], &["m"]).with("kernel_shape", ints(&[2, 2])));
                sample.op("DequantizeLinear", &["m", "s", "z"], "y");
            }),
        ),
    ]
}

fn all() -> Vec<Construct> {
    [
        activations(),
        arithmetic(),
        linear(),
        windows(),
        layouts(),
        borders(),
        inputs(),
        ends(),
        operator_sets(),
        strangers(),
        constants(),
        quantized(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Pictures per construct.
const PICTURES: usize = 12;

/// The file's own output for pictures, in ONNX Runtime.
fn of_file(model: &Model, normalization: &Normalization, images: &Split) -> Result<Vec<f32>, String> {
    let input = image_input(model).map_err(|error| error.to_string())?;
    let Shape { height, width, channels } = input.shape;
    let sizes = if input.channels_last { [height, width, channels] } else { [channels, height, width] };
    let mut model = model.clone();
    // What no runtime knows and nothing needs.
    model.graph.nodes.retain(|node| !["Einsum", "Loop"].contains(&&*node.op));
    // Nothing is dropped in inference.
    let dropout = |node: &&mut Node| node.op == "Dropout";
    model.graph.nodes.iter_mut().filter(dropout).for_each(|node| node.inputs.truncate(1));
    let outputs = model.graph.outputs.clone();
    let failed = |error: &dyn std::fmt::Display| format!("in ONNX Runtime: {error}");
    let runtime = OnnxRuntime::load(&model, sizes, outputs, GraphOptimizationLevel::Disable)
        .map_err(|error| failed(&error))?;
    let mut found = Vec::new();
    for first in (0..images.len()).step_by(input.batch.unwrap_or(images.len())) {
        let pictures: Vec<&[u8]> =
            (first..first + input.batch.unwrap_or(images.len())).map(|index| images.image(index)).collect();
        let bytes = pictures.concat();
        let bytes = if input.channels_last { bytes } else { to_nchw(&bytes, input.shape) };
        let outputs = match input.element {
            Element::Uint8 => runtime.run::<u8, f32>(&bytes),
            Element::Int8 => runtime
                .run::<i8, f32>(&bytes.iter().map(|&byte| (i16::from(byte) - 128) as i8).collect::<Vec<_>>()),
            Element::Float => {
                let values = normalize(normalization, input.shape, &pictures);
                runtime.run::<f32, f32>(&if input.channels_last {
                    to_hwc(&values, input.shape)
                } else {
                    values
                })
            }
        };
        found.extend(outputs.map_err(|error| failed(&error))?.concat());
    }
    Ok(found)
}

/// What the file ends with, of logits.
fn ended(model: &Model, logits: &[f32], classes: usize) -> Vec<f32> {
    let has = |op: &str| model.graph.nodes.iter().any(|node| node.op == op);
    let single = matches!(model.graph.outputs[0].shape.as_deref(), Some([_, Dimension::Fixed(1)]));
    let each = |logits: &[f32]| -> Vec<f32> {
        let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
        match () {
            () if single && has("Sigmoid") => vec![logits[1].exp() / sum],
            () if single => vec![logits[1] - logits[0]],
            () if has("Softmax") => logits.iter().map(|logit| logit.exp() / sum).collect(),
            () if has("LogSoftmax") => logits.iter().map(|logit| logit - sum.ln()).collect(),
            () => logits.to_vec(),
        }
    };
    logits.chunks_exact(classes).flat_map(each).collect()
}

/// What is wrong with a construct.
fn fault(construct: &Construct) -> Result<(), String> {
    let model = Model::decode(&construct.model.encode()).map_err(|error| format!("decode: {error}"))?;
    let imported = float_model(&model);
    let (zero, scale) = match construct.outcome {
        Outcome::Right { zero, scale } => (zero, scale),
        Outcome::Refused(says) => {
            return match imported {
                Ok(_) => Err("is imported, and must be refused".into()),
                Err(error) if error.to_string().contains(says) => Ok(()),
                Err(error) => Err(format!("is refused without `{says}`: {error}")),
            };
        }
    };
    let (graph, info) = imported.map_err(|error| format!("is refused: {error}"))?;
    let input = graph.tensor(graph.input).shape;
    let expected = Normalization {
        mean: vec![zero / 255.0; input.channels],
        std: vec![1.0 / (255.0 * scale); input.channels],
    };
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    let found = &info.normalization;
    if !found.mean.iter().zip(&expected.mean).chain(found.std.iter().zip(&expected.std)).all(near) {
        return Err(format!("its pixels are taken with {found:?}, and must be with {expected:?}"));
    }

    let mut random = Random::stream(5, &[]);
    let bytes = (0..PICTURES * input.len()).map(|_| (random.unit() * 256.0) as u8).collect();
    let images = Split::new(input, bytes, vec![0; PICTURES]);
    let pictures: Vec<&[u8]> = (0..PICTURES).map(|index| images.image(index)).collect();
    let theirs = of_file(&model, &expected, &images)?;
    let export = float_export::write(&graph);
    let output = export.graph.outputs.last().cloned().into_iter().collect();
    let sizes = [input.channels, input.height, input.width];
    let runtime = OnnxRuntime::load(&export, sizes, output, GraphOptimizationLevel::Disable);
    let ours = runtime
        .and_then(|runtime| runtime.run::<f32, f32>(&normalize(&info.normalization, input, &pictures)))
        .map_err(|error| format!("imported, in ONNX Runtime: {error}"))?
        .concat();
    let shown = ended(&model, &ours, info.labels.len());
    if shown.len() != theirs.len() {
        return Err(format!("{} values, the file has {}", shown.len(), theirs.len()));
    }
    // Grids round in the file, and not in the float graph.
    let tolerance =
        if is_quantized(&model) && model.graph.nodes.iter().any(|node| node.op == "QuantizeLinear") {
            0.01
        } else {
            1e-4
        };
    let most = theirs.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    if theirs.iter().all(|value| value.abs() < 1e-3) {
        return Err(format!("the file's values say nothing: {theirs:?}"));
    }
    let off = |(a, b): &(&f32, &f32)| (*a - *b).abs() > tolerance * most || a.is_nan();
    if let Some((a, b)) = shown.iter().zip(&theirs).find(off) {
        return Err(format!("{a} imported, {b} in the file"));
    }

    let classifier = load(&model).map_err(|error| format!("eval: {error}"))?;
    let evaluated = logits(&*classifier, &images, &|_| {}).map_err(|error| format!("eval: {error}"))?;
    if evaluated.len() != ours.len() {
        return Err(format!("eval has {} values, the import {}", evaluated.len(), ours.len()));
    }
    if let Some((a, b)) = evaluated.iter().zip(&ours).find(off) {
        return Err(format!("{a} in eval, {b} imported"));
    }

    let settings = Settings { learn: false, ..Settings::default() };
    let quantized = match is_quantized(&model) {
        true => take_over_model(&model, &images, &|_| {}).map(|(quantized, _)| quantized),
        false => quantize_model(&model, &images, &settings, &|_| {}),
    };
    let quantized = quantized.map_err(|error| format!("quantize: {error}"))?;
    let int8 = load(&quantized.onnx).and_then(|int8| logits(&*int8, &images, &|_| {}));
    let int8 = int8.map_err(|error| format!("int8: {error}"))?;
    let range = |values: &[f32]| {
        values.iter().copied().fold(f32::MIN, f32::max) - values.iter().copied().fold(f32::MAX, f32::min)
    };
    let squares: f32 = int8.iter().zip(&ours).map(|(a, b)| (a - b) * (a - b)).sum();
    let error = (squares / ours.len() as f32).sqrt() / range(&ours).max(1e-6);
    if error.is_nan() || error > 0.05 {
        return Err(format!("int8 is off by {error} of the range of the logits"));
    }
    let scope = Scope { onnxruntime: usize::MAX, board: None, packing: PackOptions::default(), image: None };
    let comparison = Int8File::decode(quantized.onnx.encode())
        .and_then(|file| file.verify(&images.head(2), &scope, &|_| {}))
        .map_err(|error| format!("verify: {error}"))?;
    comparison.first.map_or(Ok(()), |first| Err(format!("verify: {first}")))
}

#[test]
fn each_is_right_or_refused() {
    let constructs = all();
    assert!(constructs.len() >= 300, "{}", constructs.len());
    let refusals = constructs.iter().filter(|one| matches!(one.outcome, Outcome::Refused(_))).count();
    assert!(refusals >= 80 && constructs.len() - refusals >= 200, "{refusals} of {}", constructs.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut faults = Vec::new();
        while let Some(construct) = constructs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(fault) = fault(construct) {
                faults.push(format!("{}: {fault}", construct.name));
            }
        }
        faults
    };
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
    let mut faults: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    faults.sort();
    assert!(faults.is_empty(), "{} of {} constructs:\n{}", faults.len(), constructs.len(), faults.join("\n"));
}
