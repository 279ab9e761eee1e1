//! The proof on whole networks with random weights, and that it can fail.

use goldcrest_shared::quantize::graph::{QuantizedModel, QuantizedOp};
use goldcrest_shared::requantize::Multiplier;
use goldcrest_shared::shape::Shape;

use super::engine::HostEngine;
use super::onnxruntime::Int8OnnxRuntime;
use super::plain::Specification;
use super::tract::Tract;
use super::{Comparison, Participant, Runner, compare};
use crate::architecture;
use crate::calibrate::{Settings, quantize_model};
use crate::dataset::{Dataset, Spec};
use crate::onnx::import::samples::every_operator;
use crate::onnx::int8;

fn pictures() -> Dataset {
    let spec: Spec = "glyphs".parse().unwrap();
    let mut data = Dataset::open(&spec, &Default::default()).unwrap();
    data.train = data.train.head(40);
    data
}

fn quantized(name: &str, data: &Dataset) -> QuantizedModel {
    let model = match name {
        "every operator" => every_operator(),
        name => architecture::load(name).unwrap().build(Shape::new(32, 32, 3), 10, 3).unwrap(),
    };
    quantize_model(&model, &data.train, &Settings::default(), &|_| {}).unwrap().model
}

fn inputs<'a>(model: &'a QuantizedModel, data: &'a Dataset) -> impl Fn(usize) -> Vec<i8> + Sync + 'a {
    let tables: Vec<[i8; 256]> = (0..3).map(|channel| model.pixel_table(channel)).collect();
    move |index| {
        let pixels = data.train.image(index).iter().enumerate();
        pixels.map(|(at, &pixel)| tables[at % 3][usize::from(pixel)]).collect()
    }
}

/// `model` in the engine and in the specification, `file` in tract and ONNX Runtime.
fn compared(model: &QuantizedModel, file: &QuantizedModel, data: &Dataset, images: usize) -> Comparison {
    let onnx = int8::write(file);
    let tract = Tract::load(&onnx.encode(), &model.graph).unwrap();
    let runtime = Int8OnnxRuntime::load(&onnx, &model.graph).unwrap();
    let engine = HostEngine::pack(model).unwrap();
    let specification = Specification::new(&model.graph);
    let runners: [&dyn Runner; 4] = [&engine, &specification, &tract, &runtime];
    compare(model, &runners.map(Participant::all), images, &inputs(model, data), &|_| {}).unwrap()
}

#[test]
fn every_runner_computes_every_layer_alike() {
    let data = pictures();
    for name in ["lenet5", "resnet8", "mobilenetv1-025", "every operator"] {
        let model = quantized(name, &data);
        let comparison = compared(&model, &model, &data, 12);
        assert_eq!(comparison.first.as_ref().map(ToString::to_string), None, "{name}");
        assert_eq!(comparison.mismatches(), 0);
        assert!(comparison.values() > 90_000);
        let names = comparison.references.iter().map(|&(name, images)| (name, images == 12));
        let expected = ["engine", "specification", "tract", "onnxruntime"].map(|name| (name, true));
        assert!(names.eq(expected));
    }
}

#[test]
fn a_changed_bit_rounding_or_order_is_caught() {
    let data = pictures();
    let model = quantized("lenet5", &data);
    let mutations: [(&str, fn(&mut QuantizedModel)); 3] = [
        ("one weight bit", |model| {
            let QuantizedOp::Conv(conv) = &mut model.graph.nodes[0].op else { panic!() };
            conv.weights[7] ^= 1;
        }),
        ("one multiplier", |model| {
            let QuantizedOp::Conv(conv) = &mut model.graph.nodes[0].op else { panic!() };
            conv.multipliers[3] = Multiplier::new(conv.multipliers[3].k() + 1).unwrap();
        }),
        ("two channels", |model| {
            let QuantizedOp::Conv(conv) = &mut model.graph.nodes[2].op else { panic!() };
            conv.bias.swap(0, 1);
            let each = conv.weights.len() / conv.bias.len();
            let (first, second) = conv.weights.split_at_mut(each);
            first.swap_with_slice(&mut second[..each]);
        }),
    ];
    for (what, mutate) in mutations {
        let mut mutant = model.clone();
        mutate(&mut mutant);
        let comparison = compared(&mutant, &model, &data, 12);
        let first = comparison.first.as_ref().expect(what);
        let changed = comparison.layers.iter().position(|layer| layer.mismatches > 0);
        assert_eq!(changed, Some(if what == "two channels" { 2 } else { 0 }), "{what}: {first}");
        assert!(first.to_string().contains("the specification"), "{first}");
    }
}
