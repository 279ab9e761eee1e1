//! The test vectors of `docs/int8-semantics.md`: the specification, the engine's kernels, tract and ONNX
//! Runtime compute what an implementation in plain Python integers does.

use goldcrest_engine::kernels::Family;
use goldcrest_engine::requantize::{Multiplier, requantize};
use goldcrest_engine::shape::{Padding, Shape, Window};
use goldcrest_onnx::int8;
use goldcrest_quantize::check::check;
use goldcrest_quantize::graph::{
    Clamp, ModelInfo, Normalization, QuantizedConv, QuantizedModel, QuantizedOp, TensorId,
};
use goldcrest_quantize::operators::{Lookup, MaxPool, Pad, QuantizedAdd, QuantizedAveragePool, QuantizedMul};
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::reference;
use serde::Deserialize;

use super::engine::HostEngine;
use super::onnxruntime::Int8OnnxRuntime;
use super::plain::Specification;
use super::synthetic::Builder;
use super::tract::Tract;
use super::{Participant, Runner, compare};

#[derive(Deserialize)]
struct Vectors {
    requantize: Vec<(i32, u32, i8, i8)>,
    pixels: Pixels,
    operators: Vec<Case>,
}

#[derive(Deserialize)]
struct Pixels {
    mean: Vec<f32>,
    std: Vec<f32>,
    scale: f32,
    zero_point: i8,
    table: Vec<Vec<i8>>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    op: String,
    inputs: Vec<Values>,
    output: Values,
    window: Option<WindowJson>,
    groups: Option<usize>,
    weights: Option<Vec<i8>>,
    bias: Option<Vec<i32>>,
    k: Option<Vec<u32>>,
    clamp: Option<(i8, i8)>,
    table: Option<Vec<i8>>,
    padding: Option<[usize; 4]>,
}

#[derive(Deserialize)]
struct Values {
    shape: [usize; 3],
    zero_point: i8,
    values: Vec<i8>,
    accumulators: Option<Vec<i64>>,
}

#[derive(Deserialize)]
struct WindowJson {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 4],
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/int8.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn padding([top, left, bottom, right]: [usize; 4]) -> Padding {
    Padding { top, left, bottom, right }
}

impl Values {
    fn shape(&self) -> Shape {
        let [height, width, channels] = self.shape;
        Shape::new(height, width, channels)
    }
}

impl Case {
    fn op(&self) -> QuantizedOp {
        let window = || {
            let WindowJson { kernel, stride, dilation, padding: sides } = self.window.as_ref().unwrap();
            Window { kernel: *kernel, stride: *stride, dilation: *dilation, padding: padding(*sides) }
        };
        let k =
            || -> Vec<Multiplier> { self.k.iter().flatten().map(|&k| Multiplier::new(k).unwrap()).collect() };
        let clamp = self.clamp.map_or(Clamp::NONE, |(low, high)| Clamp { low, high });
        match &*self.op {
            "conv" => QuantizedOp::Conv(QuantizedConv {
                window: window(),
                groups: self.groups.unwrap(),
                weights: self.weights.clone().unwrap(),
                bias: self.bias.clone().unwrap(),
                multipliers: k(),
                clamp,
            }),
            "average_pool" => {
                QuantizedOp::AveragePool(QuantizedAveragePool { window: window(), multiplier: k()[0] })
            }
            "max_pool" => QuantizedOp::MaxPool(MaxPool { window: window() }),
            "add" => QuantizedOp::Add(QuantizedAdd { multipliers: k().try_into().unwrap(), clamp }),
            "mul" => QuantizedOp::Mul(QuantizedMul { multiplier: k()[0] }),
            "lookup" => {
                QuantizedOp::Lookup(Lookup { table: self.table.clone().unwrap().try_into().unwrap() })
            }
            "concat" => QuantizedOp::Concat,
            "pad" => QuantizedOp::Pad(Pad { padding: padding(self.padding.unwrap()) }),
            "upsample" => QuantizedOp::UpsampleNearest2,
            other => panic!("{}: operator `{other}`", self.name),
        }
    }

    /// A network of the operator with an image that gives it the case's inputs.
    fn network(&self) -> (QuantizedModel, Vec<i8>) {
        let largest =
            self.inputs.iter().map(Values::shape).max_by_key(|shape| shape.height * shape.width).unwrap();
        let shape = Shape { channels: self.inputs.iter().map(|input| input.shape[2]).sum(), ..largest };
        // All inputs side by side as channels; a single row and column is repeated, and reduced again.
        let mut image = Vec::with_capacity(shape.len());
        for position in 0..shape.height * shape.width {
            for Values { shape: [height, width, channels], values, .. } in &self.inputs {
                let position = position % (height * width);
                image.extend(&values[position * channels..][..*channels]);
            }
        }
        let mut builder = Builder::new(shape, 0);
        let (mut operands, mut channel) = (Vec::new(), 0);
        for (index, input) in self.inputs.iter().enumerate() {
            let channels = channel..channel + input.shape[2];
            channel = channels.end;
            let id = builder.channels(&format!("input{index}"), channels, input.zero_point);
            operands.push(if input.shape().height * input.shape().width == 1 {
                builder.reduce(id)
            } else {
                id
            });
        }
        let output = builder.push("case", self.op(), &operands, self.output.zero_point);
        let logits = builder.reduce(output);
        (builder.finish(logits), image)
    }
}

#[test]
fn requantization_is_as_specified() {
    let rows = vectors().requantize;
    for &(accumulator, k, zero_point, output) in &rows {
        let found = requantize(accumulator, Multiplier::new(k).unwrap(), zero_point);
        assert_eq!(found, output, "{accumulator} * {k} / 65536 + {zero_point}");
    }
    let tie = |&&(accumulator, k, ..): &&(i32, u32, i8, i8)| {
        (i64::from(accumulator) * i64::from(k)) & 0xffff == 0x8000
    };
    assert!(rows.len() > 100 && rows.iter().filter(tie).count() > 20);
}

#[test]
fn pixels_are_quantized_as_specified() {
    let Pixels { mean, std, scale, zero_point, table } = vectors().pixels;
    let mut builder = Builder::new(Shape::new(1, 1, 2), zero_point);
    let identity = QuantizedOp::Pad(Pad { padding: Padding::default() });
    let output = builder.push("same", identity, &[TensorId(0)], zero_point);
    let mut model = builder.finish(output);
    model.graph.tensors[0].info.scale = scale;
    model.info = ModelInfo { normalization: Normalization { mean, std }, ..model.info };
    for (channel, table) in table.iter().enumerate() {
        assert_eq!(model.pixel_table(channel).as_slice(), table);
    }
}

#[test]
fn every_runner_computes_the_vectors() {
    let cases = vectors().operators;
    for case in &cases {
        let name = format!("{}: {}", case.op, case.name);
        let (model, image) = case.network();
        check(&model).unwrap_or_else(|error| panic!("{name}: {error}"));
        let graph = &model.graph;
        let position = graph.nodes.iter().position(|node| node.name == "case").unwrap();
        let node = &graph.nodes[position];
        assert_eq!(graph.tensor(node.output).shape, case.output.shape(), "{name}");

        let tensors = reference::run(graph, &image);
        let inputs: Vec<&[i8]> = node.inputs.iter().map(|id| &*tensors[id.0]).collect();
        for (found, expected) in inputs.iter().zip(&case.inputs) {
            assert_eq!(*found, expected.values, "{name}: inputs");
        }
        if let Some(expected) = &case.output.accumulators {
            let output = reference::Output::new(graph, node, &inputs);
            let scale = match node.op {
                QuantizedOp::Mul(QuantizedMul { multiplier }) => i64::from(multiplier.k()),
                _ => 1,
            };
            let Shape { width, channels, .. } = case.output.shape();
            for (index, &expected) in expected.iter().enumerate() {
                let place = [index / channels / width, index / channels % width, index % channels];
                assert_eq!(
                    output.accumulator(place).map(|sum| sum * scale),
                    Some(expected),
                    "{name}: {place:?}"
                );
            }
        }

        let options = |family| PackOptions { family, ..PackOptions::default() };
        let onnx = int8::write(&model);
        let tract = Tract::load(&onnx.encode(), graph).unwrap();
        let runtime = Int8OnnxRuntime::load(&onnx, graph).unwrap();
        let engines: Vec<HostEngine> = Family::ALL
            .iter()
            .map(|&family| HostEngine::pack_as(&model, &options(family)).unwrap())
            .collect();
        let specification = Specification::new(graph);
        let mut runners: Vec<&dyn Runner> = vec![&specification, &tract, &runtime];
        runners.extend(engines.iter().map(|engine| engine as &dyn Runner));
        for runner in &runners {
            let found = &runner.layers(&image).unwrap()[position];
            assert_eq!(*found, case.output.values, "{name}: {}", runner.name());
        }
        let participants: Vec<Participant<'_>> = runners.into_iter().map(Participant::all).collect();
        let comparison = compare(&model, &participants, 1, &|_| image.clone(), &|_| {}).unwrap();
        assert_eq!(comparison.first.map(|first| first.to_string()), None, "{name}");
    }
    let operators = ["conv", "average_pool", "max_pool", "add", "mul", "lookup", "concat", "pad", "upsample"];
    for op in operators {
        assert!(cases.iter().any(|case| case.op == op), "{op}");
    }
}
