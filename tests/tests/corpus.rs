//! Models as PyTorch's two exporters and Keras write them (`tests/corpus`, made by its `make.py`): they
//! compute what the framework computed before the export, and their int8 forms are exact in every runner.

use std::collections::BTreeMap;
use std::path::PathBuf;

use goldcrest_data::Split;
use goldcrest_data::random::Random;
use goldcrest_engine::shape::Shape;
use goldcrest_onnx::import::{ImageInput, ImportError, OPSETS, float_model, image_input};
use goldcrest_onnx::{Model, float_export};
use goldcrest_prove::calibrate::{Settings, quantize_model};
use goldcrest_prove::verify::layout::to_nchw;
use goldcrest_prove::verify::onnxruntime::OnnxRuntime;
use goldcrest_prove::verify::{Int8File, Scope};
use goldcrest_quantize::pack::PackOptions;
use ort::session::builder::GraphOptimizationLevel;
use serde::Deserialize;

/// What a framework computed.
#[derive(Deserialize)]
struct Golden {
    exporter: String,
    opset: i64,
    operators: Vec<String>,
    /// One row per image.
    outputs: Vec<Vec<f32>>,
}

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/corpus").into()
}

fn golden() -> BTreeMap<String, Golden> {
    let text = std::fs::read_to_string(folder().join("golden.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn model(name: &str) -> Model {
    Model::read(&folder().join(format!("{name}.onnx"))).unwrap()
}

/// `images` of `make.py`: the same values in the model's own layout.
fn pattern(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((((index * 7919 + 12345) % 2001) as f64 - 1000.0) / 1000.0) as f32).collect()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// The imported graph's logits for `count` images of the pattern.
fn logits(model: &Model, count: usize) -> Result<Vec<f32>, ImportError> {
    let (graph, _) = float_model(model)?;
    let ImageInput { shape, channels_last, .. } = image_input(model)?;
    let images = pattern(count * shape.len());
    let images = if channels_last { to_nchw(&images, shape) } else { images };
    let export = float_export::write(&graph);
    let output = export.graph.outputs.last().cloned().into_iter().collect();
    let Shape { height, width, channels } = shape;
    let sizes = [channels, height, width];
    let runtime = OnnxRuntime::load(&export, sizes, output, GraphOptimizationLevel::Disable).unwrap();
    Ok(runtime.run::<f32, f32>(&images).unwrap().concat())
}

/// Panics with the messages of all models that failed.
fn for_every_model(check: impl Fn(&str, &Golden) -> Result<(), String>) {
    let golden = golden();
    assert!(golden.len() >= 20);
    let failure = |(name, entry): (&String, &Golden)| {
        check(name, entry).err().map(|message| format!("{name} ({}): {message}", entry.exporter))
    };
    let failures: Vec<String> = golden.iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn exported_models_compute_what_the_framework_did() {
    for_every_model(|name, entry| {
        let logits = logits(&model(name), entry.outputs.len()).map_err(|error| error.to_string())?;
        let classes = entry.outputs[0].len();
        if logits.len() != classes * entry.outputs.len() {
            return Err(format!("{} logits", logits.len()));
        }
        // A last softmax is left to the host.
        let probabilities = entry.operators.iter().any(|op| op == "Softmax");
        for (found, expected) in logits.chunks_exact(classes).zip(&entry.outputs) {
            let found = if probabilities { softmax(found) } else { found.to_vec() };
            let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if error.is_nan() || error >= 1e-4 {
                return Err(format!("off by {error}: {found:?} {expected:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn the_corpus_covers_exporters_and_operator_sets() {
    let golden = golden();
    for exporter in ["torchscript", "dynamo", "tf2onnx"] {
        assert!(golden.values().filter(|entry| entry.exporter.contains(exporter)).count() >= 5, "{exporter}");
    }
    let opsets: Vec<i64> = golden.values().map(|entry| entry.opset).collect();
    assert!(OPSETS.filter(|opset| opsets.contains(opset)).count() >= 10, "{opsets:?}");
}

#[test]
fn exported_models_are_exact_as_int8() {
    for_every_model(|name, _| {
        let model = model(name);
        let shape = image_input(&model).map_err(|error| error.to_string())?.shape;
        let mut random = Random::stream(11, &[]);
        let pixels = (0..12 * shape.len()).map(|_| (random.unit() * 256.0) as u8).collect();
        let images = Split::new(shape, pixels, vec![0; 12]);
        let quantized = quantize_model(&model, &images, &Settings::default(), &|_| {})
            .map_err(|error| error.to_string())?;
        let scope =
            Scope { onnxruntime: usize::MAX, board: None, packing: PackOptions::default(), image: None };
        let comparison = Int8File::decode(quantized.onnx.encode())
            .and_then(|file| file.verify(&images.head(3), &scope, &|_| {}))
            .map_err(|error| error.to_string())?;
        assert!(comparison.references.iter().all(|&(_, images)| images == 3) && comparison.values() > 1000);
        comparison.first.map_or(Ok(()), |first| Err(first.to_string()))
    });
}
