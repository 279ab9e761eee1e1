//! The proof on whole networks with random weights, and that it can fail.

use goldcrest_data::{Dataset, Spec};
use goldcrest_engine::requantize::Multiplier;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::int8;
use goldcrest_onnx::samples::every_operator;
use goldcrest_prove::calibrate::{Settings, quantize_model};
use goldcrest_prove::verify::engine::HostEngine;
use goldcrest_prove::verify::onnxruntime::Int8OnnxRuntime;
use goldcrest_prove::verify::plain::Specification;
use goldcrest_prove::verify::stress::{Probe, probes, stress};
use goldcrest_prove::verify::synthetic::OWN;
use goldcrest_prove::verify::tract::Tract;
use goldcrest_prove::verify::{
    Comparison, Contestant, Int8File, Participant, Runner, RunnerError, Scope, compare,
};
use goldcrest_quantize::graph::{QuantizedModel, QuantizedOp};
use goldcrest_quantize::pack::PackOptions;
use goldcrest_quantize::reference;
use goldcrest_train::architecture;

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
            let Some(conv) = model.graph.nodes[0].op.conv_mut() else { panic!() };
            conv.weights[7] ^= 1;
        }),
        ("one multiplier", |model| {
            let Some(conv) = model.graph.nodes[0].op.conv_mut() else { panic!() };
            conv.multipliers[3] = Multiplier::new(conv.multipliers[3].k() + 1).unwrap();
        }),
        ("two channels", |model| {
            let Some(conv) = model.graph.nodes[2].op.conv_mut() else { panic!() };
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

#[test]
fn every_runner_rounds_alike_next_to_ties() {
    let data = pictures();
    for name in ["lenet5", "every operator"] {
        let model = quantized(name, &data);
        let scope = Scope { onnxruntime: 1, board: None, packing: PackOptions::default(), image: None };
        let stress = Int8File::decode(int8::write(&model).encode()).unwrap().stress(&scope).unwrap();
        assert_eq!(stress.first.as_ref().map(ToString::to_string), None, "{name}");
        assert!(stress.layers >= 5 && stress.placed > 10_000 && stress.ties > 100, "{name}: {stress:?}");
        assert!(stress.values > 2 * stress.placed, "{name}: {stress:?}");
    }
}

#[test]
fn targets_are_where_the_stress_says() {
    let model = quantized("every operator", &pictures());
    for Probe { model, images, placed, .. } in probes(&model) {
        goldcrest_quantize::check::check(&model).unwrap();
        let graph = &model.graph;
        let rounding = graph.nodes.iter().find(|node| !node.name.starts_with(OWN)).unwrap();
        let size = graph.tensor(graph.input).shape.len();
        let Shape { height, width, channels } = graph.tensor(rounding.output).shape;
        let mut near = 0;
        for image in images.chunks_exact(size) {
            let tensors = reference::run(graph, image);
            let inputs: Vec<&[i8]> = rounding.inputs.iter().map(|id| &*tensors[id.0]).collect();
            let output = reference::Output::new(graph, rounding, &inputs);
            let places =
                (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| [y, x, c])));
            for position in places {
                let Some((sum, k)) = output.sum(position) else { continue };
                // Distance to the nearest half, in units of one step of the accumulator.
                let scaled = sum * i64::from(k);
                near += u64::from(((scaled & 0xffff) - 0x8000).abs() <= i64::from(k));
            }
        }
        let exhaustive = matches!(rounding.op, QuantizedOp::Add { .. } | QuantizedOp::Mul { .. });
        assert!(exhaustive || near >= placed, "{}: {near} near ties, {placed} placed", rounding.name);
    }
}

/// The specification but for one layer, which rounds halves away from zero.
struct HalvesAway {
    model: QuantizedModel,
    layer: String,
}

impl Runner for HalvesAway {
    fn name(&self) -> &'static str {
        "mutant"
    }

    fn layers(&self, images: &[i8]) -> Result<Vec<Vec<i8>>, RunnerError> {
        let graph = &self.model.graph;
        let mut layers = Specification::new(graph).layers(images)?;
        let size = graph.tensor(graph.input).shape.len();
        for (node, layer) in graph.nodes.iter().zip(&mut layers).filter(|(node, _)| node.name == self.layer) {
            let Some(conv) = node.op.conv() else { continue };
            let tensor = graph.tensor(node.output);
            let Shape { width, channels, .. } = tensor.shape;
            for (image, values) in images.chunks_exact(size).zip(layer.chunks_exact_mut(tensor.shape.len())) {
                let tensors = reference::run(graph, image);
                let output = reference::Output::new(graph, node, &[&tensors[node.inputs[0].0]]);
                for (index, value) in values.iter_mut().enumerate() {
                    let position = [index / channels / width, index / channels % width, index % channels];
                    let k = conv.multipliers[position[2]].to_f64();
                    let real = output.accumulator(position).unwrap() as f64 * k;
                    let rounded = real.round() + f64::from(tensor.info.zero_point);
                    *value = (rounded.clamp(-128.0, 127.0) as i8).clamp(conv.clamp.low, conv.clamp.high);
                }
            }
        }
        Ok(layers)
    }
}

#[test]
fn one_wrong_rounding_is_caught_next_to_ties() {
    let data = pictures();
    let model = quantized("lenet5", &data);
    let layer = model.graph.nodes[2].name.clone();
    let onnx = int8::write(&model);
    let tract = Tract::load(&onnx.encode(), &model.graph).unwrap();
    let mutant = HalvesAway { model: model.clone(), layer: layer.clone() };
    let runners: [&dyn Runner; 2] = [&tract, &mutant];
    let images =
        compare(&model, &runners.map(Participant::all), 12, &inputs(&model, &data), &|_| {}).unwrap();
    let result = stress(&model, &|probe| {
        let onnx = int8::write(probe).encode();
        let tract = Contestant { runner: Box::new(Tract::load(&onnx, &probe.graph)?), images: usize::MAX };
        let mutant = Box::new(HalvesAway { model: probe.clone(), layer: layer.clone() });
        Ok(vec![tract, Contestant { runner: mutant, images: usize::MAX }])
    })
    .unwrap();
    let first = result.first.as_ref().expect("caught").to_string();
    assert!(first.contains(&format!("`{layer}`")) && first.contains(".500000)"), "{first}");
    // Half of the ties round to even the same way as away from zero.
    assert!(result.mismatches > 100, "{} next to ties, {} on images", result.mismatches, images.mismatches());
}
